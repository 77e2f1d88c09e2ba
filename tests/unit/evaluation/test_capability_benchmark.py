from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stablellava.core.errors import BackendFailed, ConfigError, RecordError
from stablellava.core.score import Answer, EvalItem, EvalLog
from stablellava.evaluation.capability_benchmark import evaluate_suite, read_log, rescore
from stablellava.evaluation.reporting import capability_reports, form_reports, mean_report

SuiteWriter = Callable[..., Path]
LogBuilder = Callable[..., EvalLog]
_IDS = [f"i{index}" for index in range(6)]


class ScriptedAnswerer:
    """An answerer that says what it was told, and remembers what it was asked."""

    def __init__(self, texts: dict[str, str], fingerprint: str = "weights-1", fails_on: Sequence[str] = ()) -> None:
        self.name = "scripted"
        self.fingerprint = fingerprint
        self.texts = texts
        self.fails_on = set(fails_on)
        self.asked: list[str] = []

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        failing = [item.item_id for item in items if item.item_id in self.fails_on]
        if failing:
            raise BackendFailed(f"cannot answer {failing[0]}")
        self.asked += [item.item_id for item in items]
        return [Answer(item_id=i.item_id, prompt=i.question, text=self.texts.get(i.item_id, "")) for i in items]


def _now() -> datetime:
    return datetime(2025, 1, 1, tzinfo=UTC)


def _evaluate(folder: Path, answerer: ScriptedAnswerer, batch_size: int = 2) -> EvalLog:
    log_path = folder / "evaluation" / "photos.json"
    return evaluate_suite(folder, answerer, "photos", log_path=log_path, batch_size=batch_size, now=_now)


@pytest.fixture
def folder(write_suite: SuiteWriter) -> Path:
    row = {"image": "images/a.png", "question": "What is it?", "keywords": ["cat"]}
    return write_suite([{**row, "id": i, "capability": "animal" if i < "i4" else "food"} for i in _IDS])


def test_every_item_is_asked_once_and_reported_per_capability(folder: Path) -> None:
    answerer = ScriptedAnswerer({"i0": "a cat", "i1": "a dog", "i2": "", "i4": "cat", "i5": "two cats"})
    log = _evaluate(folder, answerer)
    assert answerer.asked == _IDS
    animal = capability_reports(log)["animal"]
    assert (animal.value, animal.num_items, animal.num_unparsed) == (0.25, 4, 2)
    assert capability_reports(log)["food"].value == 1.0
    assert mean_report(log).value == pytest.approx(0.625)
    assert form_reports(log)["wh"].value == pytest.approx(0.5)


def test_the_log_is_on_disk_and_equal_runs_write_equal_bytes(folder: Path) -> None:
    path = folder / "evaluation" / "photos.json"
    log = _evaluate(folder, ScriptedAnswerer({"i0": "cat"}))
    first = path.read_bytes()
    path.unlink()
    _evaluate(folder, ScriptedAnswerer({"i0": "cat"}), batch_size=5)
    assert path.read_bytes() == first
    assert read_log(path) == log
    assert [file.name for file in path.parent.iterdir()] == ["photos.json"]


def test_a_killed_run_asks_only_what_it_has_no_answer_to(folder: Path) -> None:
    class Killed(ScriptedAnswerer):
        def answer(self, items, image_dir):  # type: ignore[no-untyped-def]
            if len(self.asked) == 4:
                raise KeyboardInterrupt
            return super().answer(items, image_dir)

    with pytest.raises(KeyboardInterrupt):
        _evaluate(folder, Killed({}))
    journal = folder / "evaluation" / "photos.json.journal"
    journal.write_bytes(journal.read_bytes()[:-7])
    answerer = ScriptedAnswerer({})
    log = _evaluate(folder, answerer)
    assert answerer.asked == ["i3", "i4", "i5"]
    assert len(log.entries) == 6


def test_a_finished_log_answers_for_its_model_and_is_no_other_models(folder: Path) -> None:
    log = _evaluate(folder, ScriptedAnswerer({"i0": "cat"}))
    same, other = ScriptedAnswerer({}), ScriptedAnswerer({}, fingerprint="weights-2")
    assert _evaluate(folder, same).entries[0].answer.text == "cat"
    assert same.asked == []
    with pytest.raises(
        ConfigError, match=r"photos.json holds the answers of 'scripted' \(weights-1\).*--run for a suite"
    ):
        _evaluate(folder, other)
    assert other.asked == []
    assert read_log(folder / "evaluation" / "photos.json") == log


def test_an_item_that_fails_is_unscored_and_asked_again(folder: Path) -> None:
    log = _evaluate(folder, ScriptedAnswerer({"i0": "cat"}, fails_on=["i1"]))
    assert [entry.score.value for entry in log.entries[:3]] == [1.0, None, 0.0]
    assert "cannot answer i1" in log.entries[1].score.why
    animal = capability_reports(log)["animal"]
    assert (animal.num_items, animal.num_unscored) == (4, 1)
    assert animal.value == pytest.approx(1 / 3)
    again = ScriptedAnswerer({"i1": "cat"})
    assert _evaluate(folder, again).entries[1].score.value == 1.0
    assert again.asked == ["i1"]


def test_an_outage_stops_the_run(folder: Path) -> None:
    with pytest.raises(BackendFailed, match="5 times in a row"):
        _evaluate(folder, ScriptedAnswerer({}, fails_on=_IDS))


def test_answers_in_another_order_are_refused(folder: Path) -> None:
    class Reversed(ScriptedAnswerer):
        def answer(self, items, image_dir):  # type: ignore[no-untyped-def]
            return super().answer(items, image_dir)[::-1]

    with pytest.raises(BackendFailed, match="in their order"):
        _evaluate(folder, Reversed({}))


def test_progress_counts_items(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    evaluate_suite(
        folder, ScriptedAnswerer({}), "photos", log_path=folder / "log.json", batch_size=4,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(0, 6), (4, 6), (6, 6)]


def test_rescoring_repairs_scores_and_reports(build_log: LogBuilder) -> None:
    log = build_log({"animal": "110"})
    broken = log.model_copy(
        update={
            "reports": (),
            "entries": tuple(
                entry.model_copy(update={"score": entry.score.model_copy(update={"value": 0.0})})
                for entry in log.entries
            ),
        }
    )
    assert rescore(broken) == log


def test_a_missing_or_foreign_log_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no evaluation log"):
        read_log(tmp_path / "none.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(RecordError, match=r"other\.json"):
        read_log(tmp_path / "other.json")
