import pytest

from stablellava.core.rating import Fit, KeyedPair, Rating, RatingKey
from stablellava.core.shares import wilson_bounds
from stablellava.store.layout import RunLayout
from stablellava.store.ratings import RatingsByRater
from stablellava.studies.pair_sampling import draw_study
from stablellava.studies.rating_figures import compute_figures, join_fits, label_kept


def _rate(key: RatingKey, rater: str, says: dict[str, Fit | None], good: bool | None = True) -> dict[str, Rating]:
    """Rate every pair by its origin; an origin that is not named is left out."""
    return {
        pair.pair_id: Rating(
            study_id=key.study_id, pair_id=pair.pair_id, rater=rater, fits=says[pair.origin], picture_good=good
        )
        for pair in key.pairs
        if pair.origin in says
    }


def _key(*pairs: tuple[str, str]) -> RatingKey:
    keyed = [
        KeyedPair(pair_id=pair_id, origin="kept", source="mine", sample_id=f"s-{pair_id}", capability=capability)
        for pair_id, capability in pairs
    ]
    return RatingKey(study_id="study", seed=0, pairs=tuple(keyed))


def _said(rater: str, **fits: Fit | None) -> dict[str, Rating]:
    return {
        pair_id: Rating(study_id="study", pair_id=pair_id, rater=rater, fits=said) for pair_id, said in fits.items()
    }


def test_a_pair_counts_once_with_the_median_of_what_people_say() -> None:
    ratings: RatingsByRater = {
        "ann": _said("ann", a="yes", b="yes", c="no", d=None),
        "ben": _said("ben", a="yes", b="partly", c="yes"),
        "cem": _said("cem", a="no", c="yes"),
    }
    assert join_fits(ratings) == {"a": "yes", "b": "partly", "c": "yes"}


def test_shares_have_wilson_intervals_and_the_unrated_stand_apart() -> None:
    key = _key(("a", "animal"), ("b", "animal"), ("c", "animal"), ("d", "food"))
    figures = compute_figures(key, {"ann": _said("ann", a="yes", b="partly", d="yes")})
    rows = {group.capability: group for group in figures.groups}
    assert list(rows) == ["animal", "food", "all"]
    animal, everything = rows["animal"], rows["all"]
    assert (animal.num_pairs, animal.num_unrated, animal.aligned.num, animal.aligned.of) == (3, 1, 1, 2)
    assert (animal.aligned.low, animal.aligned.high) == wilson_bounds(1, 2)
    assert (animal.num_partly, animal.aligned.value) == (1, 0.5)
    assert (everything.aligned.num, everything.aligned.of, everything.num_unrated) == (2, 3, 1)
    assert (everything.good_pictures.of, everything.good_pictures.value) == (0, None)


def test_planted_pairs_tell_who_looks_and_are_in_no_other_figure(painted_run: RunLayout) -> None:
    key = draw_study(painted_run, 6, num_planted=3).key
    ratings = {"ann": _rate(key, "ann", {"kept": "yes", "planted": "no"}), "bob": _rate(key, "bob", {"planted": "yes"})}
    figures = compute_figures(key, ratings)
    assert [(one.rater, one.num_rated, one.num_unrated) for one in figures.raters] == [("ann", 9, 0), ("bob", 3, 6)]
    assert [(one.planted_found.num, one.planted_found.of) for one in figures.raters] == [(3, 3), (0, 3)]
    assert sum(group.num_pairs for group in figures.groups if group.capability == "all") == 6


def test_agreement_is_over_pairs_that_all_rated_without_the_planted(painted_run: RunLayout) -> None:
    key = draw_study(painted_run, 6, num_planted=3, num_refused=4).key
    says: list[dict[str, Fit | None]] = [
        {"kept": "yes", "refused": "no", "planted": "no"},
        {"kept": "yes", "refused": "no", "planted": "yes"},
        {"kept": "yes"},
    ]
    ratings = {name: _rate(key, name, said) for name, said in zip(("ann", "ben", "cem"), says, strict=True)}
    found = {(one.raters, one.question): one for one in compute_figures(key, ratings).agreement}
    two, three = found[("ann", "ben"), "fits"], found[("ann", "ben", "cem"), "fits"]
    assert (two.measure, two.num_pairs, two.kappa) == ("Cohen", 10, pytest.approx(1.0))
    assert (three.measure, three.num_pairs, three.observed, three.kappa) == ("Fleiss", 6, 1.0, None)
    assert len(found) == 8


def test_checks_are_held_against_people_where_refused_pairs_were_rated(painted_run: RunLayout) -> None:
    key = draw_study(painted_run, 6, num_refused=4).key
    kept = [pair.pair_id for pair in key.pairs if pair.origin == "kept"]
    ratings = {"ann": _rate(key, "ann", {"kept": "yes", "refused": "no"})}
    ratings["ann"][kept[0]] = ratings["ann"][kept[0]].model_copy(update={"fits": "partly"})
    every, scored = compute_figures(key, ratings).checks
    assert (every.name, scored.name) == ("all checks", "image_text")
    for check in (every, scored):
        assert (check.at_its_threshold.num_good, check.at_its_threshold.num_bad) == (5, 5)
        assert (check.at_its_threshold.recall, check.at_its_threshold.precision) == (0.8, 1.0)
    # Four of five bad pairs score lower than all good ones, one as high as they do.
    assert scored.ranking == pytest.approx(0.9)


def test_labels_are_of_kept_samples_and_partly_is_not_good(painted_run: RunLayout) -> None:
    key = draw_study(painted_run, 3, num_planted=2, num_refused=2).key
    labels = label_kept(key, {"ann": _rate(key, "ann", {"kept": "partly", "planted": "no", "refused": "no"})})
    kept = {pair.sample_id for pair in key.pairs if pair.origin == "kept"}
    assert {row["sample_id"] for row in labels} == kept
    assert [row["good"] for row in labels] == [False] * 3
