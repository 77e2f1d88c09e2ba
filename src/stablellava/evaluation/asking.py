"""Getting an answer for every item, asking nothing twice."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stablellava.backends.protocols import Answerer, StreamingAnswerer
from stablellava.core.errors import BackendFailed
from stablellava.core.ids import hash_id
from stablellava.core.score import Answer, EvalItem, Unanswered
from stablellava.store.journal import ShardJournal

Progress = Callable[[int, int], None]
"""Called with (items done, items in all) at the start and after every batch."""
_MAX_FAILURES_IN_A_ROW = 5
"""More than that is an outage, not a hard item."""
_MAX_HELD = 32
_MAX_HELD_SECONDS = 1.0
"""How many streamed answers, and for how long, may be in memory alone: what a kill can cost."""


def answer_key(model_fingerprint: str, data_fingerprint: str, item_id: str) -> str:
    """Return the key of an answer: another model, other options or another suite never share one."""
    return hash_id(model_fingerprint, data_fingerprint, item_id)


class AnswerCollector:
    """The answers of one run: those known, those still to be asked, those that failed."""

    def __init__(
        self,
        items: Sequence[EvalItem],
        image_dir: Path,
        keys: Mapping[str, str],
        answerer: Answerer,
        journal: ShardJournal,
        known: Mapping[str, Answer],
    ) -> None:
        """Take ``keys`` by item id, and ``known`` answers by key; those in the journal are found by themselves."""
        self._items = items
        self._image_dir = image_dir
        self._answerer = answerer
        self._journal = journal
        self._keys = keys
        self.answers: dict[str, Answer] = {}
        """By item id."""
        self.failures: dict[str, str] = {}
        """Why an item has no answer, by item id."""
        self._failures_in_a_row = 0
        for item in items:
            key = keys[item.item_id]
            stored = self._journal.find(key)
            if stored is not None:
                self.answers[item.item_id] = Answer.model_validate(stored)
            elif key in known:
                self.answers[item.item_id] = known[key]

    def ask_all(self, batch_size: int, progress: Progress | None) -> None:
        """Ask what is not known yet, in the order of the items."""
        pending = [item for item in self._items if item.item_id not in self.answers]
        num_total = len(self._items)
        num_done = num_total - len(pending)
        if progress:
            progress(num_done, num_total)
        if isinstance(self._answerer, StreamingAnswerer):
            self._stream(self._answerer, pending, progress)
            return
        for start in range(0, len(pending), batch_size):
            batch = pending[start : start + batch_size]
            self._ask(batch)
            num_done += len(batch)
            if progress:
                progress(num_done, num_total)

    def _stream(self, answerer: StreamingAnswerer, pending: Sequence[EvalItem], progress: Progress | None) -> None:
        """Hand over all that is pending and keep answers as they come, in whatever order."""
        open_ids = {item.item_id for item in pending}
        held: list[Answer] = []
        kept_at = time.monotonic()
        try:
            for outcome in answerer.answer_each(pending, str(self._image_dir)):
                if outcome.item_id not in open_ids:
                    raise BackendFailed(f"{answerer.name} answered {outcome.item_id!r}, which is not open")
                open_ids.discard(outcome.item_id)
                if isinstance(outcome, Unanswered):
                    self.failures[outcome.item_id] = outcome.why
                else:
                    held.append(outcome)
                if len(held) >= _MAX_HELD or time.monotonic() - kept_at > _MAX_HELD_SECONDS:
                    self._store(held)
                    held, kept_at = [], time.monotonic()
                if progress:
                    progress(len(self._items) - len(open_ids), len(self._items))
        finally:
            # What was paid for is kept, whatever stopped the rest.
            self._store(held)
        if open_ids:
            raise BackendFailed(f"{answerer.name} left {len(open_ids)} items without an answer or a reason")

    def _ask(self, batch: Sequence[EvalItem]) -> None:
        try:
            answers = self._answerer.answer(batch, str(self._image_dir))
        except BackendFailed as exc:
            if len(batch) == 1:
                self._note_failure(batch[0], exc)
                return
            # One bad item must not cost the whole batch its answers.
            for item in batch:
                self._ask([item])
        else:
            self._keep(batch, answers)

    def _keep(self, batch: Sequence[EvalItem], answers: Sequence[Answer]) -> None:
        if [answer.item_id for answer in answers] != [item.item_id for item in batch]:
            raise BackendFailed(
                f"{self._answerer.name} returned {len(answers)} answers for {len(batch)} items, or in another order; "
                "an answerer must return one per item, in their order"
            )
        self._store(answers)
        self._failures_in_a_row = 0

    def _store(self, answers: Sequence[Answer]) -> None:
        self._journal.add([(self._keys[answer.item_id], answer.model_dump(mode="json")) for answer in answers])
        self.answers.update((answer.item_id, answer) for answer in answers)

    def _note_failure(self, item: EvalItem, exc: BackendFailed) -> None:
        self.failures[item.item_id] = str(exc)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _MAX_FAILURES_IN_A_ROW:
            raise BackendFailed(
                f"{self._answerer.name} failed {self._failures_in_a_row} times in a row, last: {exc}; "
                f"{len(self.answers)} answers are kept, run again to continue"
            ) from exc
