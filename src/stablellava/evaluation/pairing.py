"""The same items as two models answered them: capability logs and benchmark logs alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stablellava.core.capability import FormKind
from stablellava.core.errors import RecordError
from stablellava.core.score import EvalLog, TaskEntry, TaskLog

ALL_ITEMS = "all"
"""Group of items that their benchmark does not sort."""


@dataclass(frozen=True)
class PairedItem:
    """One question and what two models' answers to it are worth."""

    item_id: str
    group: str
    """Capability, subtask or ability."""
    cluster: str
    """Items of one name share their pictures, so they are no independent evidence."""
    before: float
    after: float

    @property
    def gain(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Pairing:
    """The items that both models have a score for."""

    items: tuple[PairedItem, ...]
    num_unpaired: int
    """Items left out because one of the two was not scored."""


def pair_suite_logs(before: EvalLog, after: EvalLog, form: FormKind | None = None) -> Pairing:
    """Pair the items of two capability logs, all of them or those of one question form.

    Raises: RecordError if the logs are not of the same items.
    """
    earlier = {entry.item.item_id: entry.score.value for entry in before.entries}
    later = {entry.item.item_id: entry for entry in after.entries}
    is_other = before.data_fingerprint != after.data_fingerprint
    _refuse_strangers(before.model, after.model, earlier, later, is_other=is_other)
    return _join(
        (item_id, entry.item.capability, entry.item.images_sha256, earlier[item_id], entry.score.value)
        for item_id, entry in later.items()
        if form is None or entry.item.form == form
    )


def pair_task_logs(before: TaskLog, after: TaskLog) -> Pairing:
    """Pair the questions of two benchmark logs; one that is asked in several passes is right if every pass is.

    Raises: RecordError if the logs are of different tasks, protocols or items.
    """
    for field in ("task", "variant"):
        named = [getattr(log.header, field) for log in (before, after)]
        if named[0] != named[1]:
            raise RecordError(
                f"the logs are of {field} {named[0]!r} and {named[1]!r}, whose figures are not comparable; "
                f"evaluate both models on one {field}"
            )
    earlier, later = (_by_question(log.entries) for log in (before, after))
    is_other = before.header.data_fingerprint != after.header.data_fingerprint
    _refuse_strangers(before.header.model, after.header.model, earlier, later, is_other=is_other)
    return _join(
        (
            question,
            passes[0].item.group or ALL_ITEMS,
            passes[0].item.images_sha256,
            _worst(earlier[question]),
            _worst(passes),
        )
        for question, passes in later.items()
    )


def _join(rows: Iterable[tuple[str, str, Sequence[str], float | None, float | None]]) -> Pairing:
    items, num_unpaired = [], 0
    for item_id, group, images_sha256, before, after in rows:
        if before is None or after is None:
            num_unpaired += 1
        else:
            items.append(PairedItem(item_id, group, " ".join(images_sha256) or item_id, before, after))
    return Pairing(tuple(items), num_unpaired)


def _by_question(entries: Iterable[TaskEntry]) -> dict[str, list[TaskEntry]]:
    questions: dict[str, list[TaskEntry]] = {}
    for entry in entries:
        questions.setdefault(entry.item.unit or entry.item.item_id, []).append(entry)
    return questions


def _worst(passes: Sequence[TaskEntry]) -> float | None:
    """Return the worst pass; with none wrong and one unscored, nothing is known."""
    values = [entry.score.value for entry in passes]
    scored = [value for value in values if value is not None]
    if 0.0 in scored:
        return 0.0
    return min(scored) if scored and len(scored) == len(values) else None


def _refuse_strangers(before: str, after: str, earlier: Iterable[str], later: Iterable[str], *, is_other: bool) -> None:
    num_alone = len(set(earlier) ^ set(later))
    if is_other or num_alone:
        raise RecordError(
            f"the logs of {before!r} and {after!r} are not of the same suite "
            f"({num_alone} items stand in one only); evaluate both models on one suite"
        )
