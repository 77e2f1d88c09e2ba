"""Getting an answer for every item, asking nothing twice."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stablellava.backends.protocols import Answerer
from stablellava.core.errors import BackendFailed
from stablellava.core.ids import hash_id
from stablellava.core.score import Answer, EvalItem
from stablellava.store.journal import ShardJournal

Progress = Callable[[int, int], None]
"""Called with (items done, items in all) at the start and after every batch."""
_MAX_FAILURES_IN_A_ROW = 5
"""More than that is an outage, not a hard item."""


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
        for start in range(0, len(pending), batch_size):
            batch = pending[start : start + batch_size]
            self._ask(batch)
            num_done += len(batch)
            if progress:
                progress(num_done, num_total)

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
        self._journal.add([(self._keys[answer.item_id], answer.model_dump(mode="json")) for answer in answers])
        self.answers.update((answer.item_id, answer) for answer in answers)
        self._failures_in_a_row = 0

    def _note_failure(self, item: EvalItem, exc: BackendFailed) -> None:
        self.failures[item.item_id] = str(exc)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _MAX_FAILURES_IN_A_ROW:
            raise BackendFailed(
                f"{self._answerer.name} failed {self._failures_in_a_row} times in a row, last: {exc}; "
                f"{len(self.answers)} answers are kept, run again to continue"
            ) from exc
