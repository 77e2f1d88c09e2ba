import pytest

from stablellava.config.base import BackendSettings
from stablellava.core.errors import ConfigError
from stablellava.core.sample import Rejected, Sample
from stablellava.studies.painter_comparison import PainterComparison, compare_painters
from stablellava.studies.painter_figures import compare_marks
from toys import toy_config, toy_material


def compare(first: dict[str, float], second: dict[str, float]) -> PainterComparison:
    settings = [BackendSettings(backend="fake-painter", options=options) for options in (first, second)]
    return compare_painters(toy_config(samples_per_capability=6), (settings[0], settings[1]), material=toy_material())


def row_of(result: PainterComparison, measure: str) -> tuple[str, ...]:
    [row] = [row for row in result.tables[0].rows if row[0] == measure]
    return row


def test_both_painters_get_the_same_drafts_and_seeds() -> None:
    result = compare({}, {"num_layouts": 1})
    assert result.names == ("fake-painter 1", "fake-painter 2")
    assert len(result.pairs) == 12
    for (first, first_images), (second, second_images) in result.pairs:
        assert isinstance(first, Sample)
        assert isinstance(second, Sample)
        assert first.draft == second.draft
        assert [painting.seed for painting in first.paintings] == [painting.seed for painting in second.paintings]
        assert len(first_images) == len(second_images) == 1
    assert any(first[1] != second[1] for first, second in result.pairs)


def test_wrong_pictures_and_refusals_show_in_shares_and_pairs() -> None:
    result = compare({}, {"wrong_share": 1.0})
    assert row_of(result, "painted")[1:4] == ("100.0", "100.0", "+0.0")
    assert row_of(result, "keyword_drawn")[1:4] == ("100.0", "0.0", "-100.0")
    second = result.pairs[0][1][0]
    assert isinstance(second, Rejected)
    assert (second.stage, second.reason) == ("verify", "keyword_not_drawn")
    refusing = compare({"fail_share": 1.0}, {})
    assert row_of(refusing, "painted")[1:4] == ("0.0", "100.0", "+100.0")
    assert any("refused keyword_not_drawable 12" in note for note in refusing.tables[0].notes)


def test_broken_pictures_are_neither_kept_nor_shown() -> None:
    result = compare({"broken_share": 1.0}, {})
    assert row_of(result, "kept")[1:3] == ("0.0", "100.0")
    (outcome, images), _ = result.pairs[0]
    assert isinstance(outcome, Rejected)
    assert (outcome.stage, outcome.reason, images) == ("verify", "image_truncated", ())


def test_what_cannot_be_scored_is_counted_and_not_passed() -> None:
    reported = {"painted": 1.0, "kept": 1.0, "keyword_drawn": 1.0, "clip, prompt": 0.25}
    unreported = {"painted": 1.0, "kept": None, "keyword_drawn": None, "clip, prompt": 0.35}
    table, by_capability = compare_marks(("a", "b"), ["animal"] * 8, [reported] * 8, [unreported] * 8, seed=0)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["keyword_drawn"] == ("100.0", "-", "-", "-", "0", "0", "8")
    assert rows["clip, prompt"][:3] == ("0.250", "0.350", "+0.100")
    assert by_capability.rows == (("animal", "100.0", "-", "-", "-", "0", "0", "8"),)


def test_drafts_that_all_fail_leave_nothing_to_compare() -> None:
    config = toy_config(writer={"empty_share": 1.0}, samples_per_capability=2)
    painters = (BackendSettings(backend="fake-painter"), BackendSettings(backend="fake-painter"))
    with pytest.raises(ConfigError, match="nothing to paint"):
        compare_painters(config, painters, material=toy_material())
