"""From ratings to figures: how many pairs fit, by source and capability, and how far that can be trusted.

A pair counts once, however many people rated it: its verdict is the median of theirs, the worse one of two in the
middle. Pairs with planted pictures are in no figure but their own.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from stablellava.core.rating import FITS, CheckSaid, Fit, KeyedPair, Origin, Rating, RatingKey
from stablellava.core.record import Record
from stablellava.core.shares import wilson_bounds
from stablellava.filters.calibrating import Calibration, measure_threshold
from stablellava.store.ratings import RatingsByRater
from stablellava.studies.rater_agreement import cohen_kappa, fleiss_kappa, observed_agreement

ALL = "all"
ALL_CHECKS = "all checks"


class Share(Record):
    """So many of so many, with the 95 % Wilson interval."""

    num: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        return self.num / self.of if self.of else None


class GroupFigures(Record):
    """What people say of one capability of one source."""

    source: str
    origin: Origin
    capability: str
    num_pairs: int
    num_unrated: int
    """Nobody said whether the dialogue fits."""
    aligned: Share
    """Rated pairs that fit; "partly" does not count."""
    num_partly: int
    good_pictures: Share


class RaterFigures(Record):
    """One person: how much was rated, and whether the planted pairs were noticed."""

    rater: str
    num_rated: int
    num_unrated: int
    planted_found: Share
    """Planted pairs of which this person said that they do not fit."""
    num_planted_partly: int


class Agreement(Record):
    """How far people agree on the pairs that all of them rated, planted ones left out."""

    question: Literal["fits", "picture"]
    raters: tuple[str, ...]
    measure: Literal["Cohen", "Fleiss"]
    num_pairs: int
    observed: float | None
    kappa: float | None
    """None without pairs, or where everybody always said the same."""


class CheckFigures(Record):
    """An automatic check against people; pairs that people do not call aligned are what it should refuse."""

    name: str
    at_its_threshold: Calibration
    ranking: float | None
    """How often an aligned pair scores higher than one that is not; 0.5 is chance. None without a score or both."""


class RatingFigures(Record):
    """Everything that ratings of one study say."""

    study_id: str
    num_pairs: int
    groups: tuple[GroupFigures, ...]
    raters: tuple[RaterFigures, ...]
    agreement: tuple[Agreement, ...]
    checks: tuple[CheckFigures, ...]


def compute_figures(key: RatingKey, ratings: RatingsByRater) -> RatingFigures:
    """Return all figures of a study; what nobody rated is counted apart."""
    fits = join_fits(ratings)
    pictures = _join_pictures(ratings)
    shown = [pair for pair in key.pairs if pair.origin != "planted"]
    return RatingFigures(
        study_id=key.study_id,
        num_pairs=len(key.pairs),
        groups=tuple(_group(name, pairs, fits, pictures) for name, pairs in _grouped(shown)),
        raters=tuple(_rater(name, said, key.pairs) for name, said in ratings.items()),
        agreement=tuple(_agreements(ratings, [pair.pair_id for pair in shown])),
        checks=tuple(_checks([pair for pair in shown if pair.origin != "other" and pair.pair_id in fits], fits)),
    )


def join_fits(ratings: RatingsByRater) -> dict[str, Fit]:
    """Return one verdict per pair that anybody rated: the median, the worse of two in the middle."""
    said: dict[str, list[int]] = {}
    for rating in _each(ratings):
        if rating.fits is not None:
            said.setdefault(rating.pair_id, []).append(FITS.index(rating.fits))
    return {pair_id: FITS[sorted(ranks)[(len(ranks) - 1) // 2]] for pair_id, ranks in said.items()}


def label_kept(key: RatingKey, ratings: RatingsByRater) -> list[dict[str, str | bool]]:
    """Return a label for every rated sample that the run kept: good where the dialogue fits, and not just partly."""
    fits = join_fits(ratings)
    return [
        {"sample_id": pair.sample_id, "good": fits[pair.pair_id] == "yes"}
        for pair in key.pairs
        if pair.origin == "kept" and pair.pair_id in fits
    ]


def _join_pictures(ratings: RatingsByRater) -> dict[str, bool]:
    said: dict[str, list[bool]] = {}
    for rating in _each(ratings):
        if rating.picture_good is not None:
            said.setdefault(rating.pair_id, []).append(rating.picture_good)
    return {pair_id: 2 * sum(votes) > len(votes) for pair_id, votes in said.items()}


def _each(ratings: RatingsByRater) -> Iterable[Rating]:
    return itertools.chain.from_iterable(said.values() for said in ratings.values())


def _grouped(pairs: Sequence[KeyedPair]) -> list[tuple[tuple[Origin, str, str], list[KeyedPair]]]:
    """Return the pairs by source and capability; each source ends with all of it, unless it has one group only."""
    sources: dict[tuple[Origin, str], dict[str, list[KeyedPair]]] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.origin, pair.source, pair.capability)):
        sources.setdefault((pair.origin, pair.source), {}).setdefault(pair.capability, []).append(pair)
    groups = []
    for (origin, source), by_capability in sources.items():
        groups += [((origin, source, name), held) for name, held in by_capability.items() if len(by_capability) > 1]
        groups.append(((origin, source, ALL), list(itertools.chain.from_iterable(by_capability.values()))))
    return groups


def _group(
    name: tuple[Origin, str, str], pairs: Sequence[KeyedPair], fits: Mapping[str, Fit], pictures: Mapping[str, bool]
) -> GroupFigures:
    origin, source, capability = name
    said = [fits[pair.pair_id] for pair in pairs if pair.pair_id in fits]
    seen = [pictures[pair.pair_id] for pair in pairs if pair.pair_id in pictures]
    return GroupFigures(
        source=source,
        origin=origin,
        capability=capability,
        num_pairs=len(pairs),
        num_unrated=len(pairs) - len(said),
        aligned=_share(said.count("yes"), len(said)),
        num_partly=said.count("partly"),
        good_pictures=_share(sum(seen), len(seen)),
    )


def _rater(name: str, said: Mapping[str, Rating], pairs: Sequence[KeyedPair]) -> RaterFigures:
    rated = [pair for pair in pairs if pair.pair_id in said and said[pair.pair_id].fits is not None]
    on_planted = [said[pair.pair_id].fits for pair in rated if pair.origin == "planted"]
    return RaterFigures(
        rater=name,
        num_rated=len(rated),
        num_unrated=len(pairs) - len(rated),
        planted_found=_share(on_planted.count("no"), len(on_planted)),
        num_planted_partly=on_planted.count("partly"),
    )


def _agreements(ratings: RatingsByRater, pair_ids: Sequence[str]) -> Iterable[Agreement]:
    """Yield every two raters, then all of them where there are more."""
    companies: list[tuple[str, ...]] = list(itertools.combinations(ratings, 2))
    if len(ratings) > 2:
        companies.append(tuple(ratings))
    for company in companies:
        for question in ("fits", "picture"):
            yield _agreement(question, company, ratings, pair_ids)


def _agreement(
    question: Literal["fits", "picture"], raters: tuple[str, ...], ratings: RatingsByRater, pair_ids: Sequence[str]
) -> Agreement:
    field = "fits" if question == "fits" else "picture_good"
    rows = []
    for pair_id in pair_ids:
        labels = [getattr(ratings[rater].get(pair_id), field, None) for rater in raters]
        if None not in labels:
            rows.append(labels)
    kappa = cohen_kappa([(row[0], row[1]) for row in rows]) if len(raters) == 2 else fleiss_kappa(rows)
    return Agreement(
        question=question,
        raters=raters,
        measure="Cohen" if len(raters) == 2 else "Fleiss",
        num_pairs=len(rows),
        observed=observed_agreement(rows),
        kappa=kappa,
    )


def _checks(pairs: Sequence[KeyedPair], fits: Mapping[str, Fit]) -> Iterable[CheckFigures]:
    """Yield all checks together where refused pairs were rated, then every check that left scores."""
    is_good = [fits[pair.pair_id] == "yes" for pair in pairs]
    if any(pair.origin == "refused" for pair in pairs):
        kept = [1.0 if pair.origin == "kept" else 0.0 for pair in pairs]
        yield CheckFigures(name=ALL_CHECKS, at_its_threshold=measure_threshold(kept, is_good, 0.5), ranking=None)
    for name in sorted({said.filter_name for pair in pairs for said in pair.said}):
        found = [_find(pair, name) for pair in pairs]
        verdicts = [None if said is None else float(said.kept) for said in found]
        scored = [(said.score, good) for said, good in zip(found, is_good, strict=True) if said is not None]
        yield CheckFigures(
            name=name, at_its_threshold=measure_threshold(verdicts, is_good, 0.5), ranking=_rank_apart(scored)
        )


def _find(pair: KeyedPair, name: str) -> CheckSaid | None:
    return next((said for said in pair.said if said.filter_name == name), None)


def _rank_apart(scored: Sequence[tuple[float, bool]]) -> float | None:
    good = [score for score, is_good in scored if is_good]
    bad = [score for score, is_good in scored if not is_good]
    if not good or not bad:
        return None
    won = sum((high > low) + 0.5 * (high == low) for high in good for low in bad)
    return won / (len(good) * len(bad))


def _share(num: int, of: int) -> Share:
    low, high = wilson_bounds(num, of)
    return Share(num=num, of=of, low=low, high=high)
