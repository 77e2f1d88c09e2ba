from collections.abc import Sequence
from pathlib import Path

import pytest

from stablellava.backends.adapters.fake import FakePainter, FakeWriter
from stablellava.core.draft import Draft, DraftRefusal, DraftRequest
from stablellava.core.errors import BackendFailed
from stablellava.core.sample import Painting, Rejected
from stablellava.store.journal import ShardJournal
from stablellava.synthesis.drafting import write_drafts
from stablellava.synthesis.painting import Easel, paint_jobs
from stablellava.synthesis.planning import Tally, training_planner
from toys import toy_config, toy_material


class WanderingWriter(FakeWriter):
    """Answers another place than it was asked for."""

    def write(self, requests: Sequence[DraftRequest]) -> list[Draft | DraftRefusal]:
        return [
            draft.model_copy(update={"setting": "moon"}) if isinstance(draft, Draft) else draft
            for draft in super().write(requests)
        ]


class SilentWriter(FakeWriter):
    """Loses the last answer."""

    def write(self, requests: Sequence[DraftRequest]) -> list[Draft | DraftRefusal]:
        return super().write(requests)[:-1]


class CountingPainter(FakePainter):
    """Counts its pictures."""

    num_jobs = 0

    def paint(self, jobs):  # type: ignore[no-untyped-def]
        self.num_jobs += len(jobs)
        return super().paint(jobs)


def requests(count: int = 3) -> list[DraftRequest]:
    return training_planner(toy_config(), toy_material().capabilities[0]).plan_round(0, count, Tally())


def test_a_writer_that_leaves_the_plan_is_not_believed(tmp_path: Path) -> None:
    results = write_drafts(WanderingWriter(), requests(), ShardJournal(tmp_path / "j"))
    assert [result.reason for result in results if isinstance(result, Rejected)] == ["draft_off_plan"] * 3


def test_a_writer_that_loses_answers_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match="2 results for 3 requests"):
        write_drafts(SilentWriter(), requests(), ShardJournal(tmp_path / "j"))


def test_drafts_and_pictures_in_the_journal_are_not_made_again(tmp_path: Path) -> None:
    path, painter = tmp_path / "journal.jsonl", CountingPainter()
    for num_expected in (3, 3):
        journal = ShardJournal(path)
        drafts = [draft for draft in write_drafts(FakeWriter(), requests(), journal) if isinstance(draft, Draft)]
        jobs = [job for draft in drafts for job in paint_jobs(draft, 0, 32)]
        outcomes = Easel(painter, tmp_path, journal).paint(jobs)
        assert all(isinstance(outcome, Painting) and outcome.stamp.seconds is None for outcome in outcomes)
        assert painter.num_jobs == num_expected


def test_a_torn_last_line_of_a_journal_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    ShardJournal(path).add([("a", {"x": 1}), ("b", {"x": 2})])
    path.write_bytes(path.read_bytes()[:-5])
    journal = ShardJournal(path)
    assert journal.find("a") == {"x": 1}
    assert journal.find("b") is None
    journal.add([("b", {"x": 3})])
    assert ShardJournal(path).find("b") == {"x": 3}


def test_every_attempt_and_every_picture_has_its_own_seed(tmp_path: Path) -> None:
    (draft,) = write_drafts(FakeWriter(), requests(1), ShardJournal(tmp_path / "j"))
    assert isinstance(draft, Draft)
    two_pictures = draft.model_copy(update={"prompts": draft.prompts * 2})
    seeds = [job.seed for attempt in range(3) for job in paint_jobs(two_pictures, attempt, 32)]
    assert len(set(seeds)) == 6
