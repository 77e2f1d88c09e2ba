"""Proof that nothing asked in an evaluation was seen in training.

Paper: 2308.10253v1, section 4 (a keyword check keeps test items out of the training data).
Departs: the unit is the combination of keyword and setting; pictures and questions are compared as well.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stablellava.core.errors import RecordError
from stablellava.core.matching import split_words
from stablellava.core.sample import Sample
from stablellava.core.score import ContaminationNote, EvalItem, TaskItem
from stablellava.evaluation.near_pictures import find_near_pictures
from stablellava.store.manifest import read_manifest
from stablellava.store.shards import read_samples

_NUM_SHOWN = 3
_MIN_QUESTION_WORDS = 6
"""Shorter questions are anybody's."""
_MAX_TIMES_TRAINED = 10
"""A question that more samples ask is a stock one, whichever items ask it."""

Item = EvalItem | TaskItem


@dataclass(frozen=True)
class ContaminationReport:
    """What evaluation items share with training samples; empty is clean."""

    num_items: int
    num_samples: int
    combinations: tuple[tuple[str, str, str], ...]
    """(capability, keyword, setting) found on both sides, sorted."""
    images_sha256: tuple[str, ...]
    """Pictures found on both sides, sorted."""
    near_images: tuple[tuple[str, str], ...] = ()
    """(picture of an item, sha256 of the training picture that looks the same), sorted."""
    questions: tuple[str, ...] = ()
    """Questions of single items that training asks in the same words, sorted."""
    item_ids: tuple[str, ...] = ()
    """Items that share anything, in their order."""
    looked_at_pictures: bool = False
    """Whether pictures that only look the same were searched for."""

    @property
    def is_clean(self) -> bool:
        return not (self.combinations or self.images_sha256 or self.near_images or self.questions)

    @property
    def words(self) -> str:
        """Say in a sentence what was compared and found."""
        scope = "equal and similar pictures" if self.looked_at_pictures else "equal pictures"
        if self.is_clean:
            return (
                f"None of {self.num_items:,} items is among {self.num_samples:,} training samples "
                f"(combinations, {scope}, questions)."
            )
        counts = (
            (len(self.combinations), "combinations of keyword and setting"),
            (len(self.images_sha256), "equal pictures"),
            (len(self.near_images), "pictures that look the same"),
            (len(self.questions), "questions"),
        )
        found = ", ".join(f"{count} {what}" for count, what in counts if count)
        return (
            f"Contaminated: {len(self.item_ids)} of {self.num_items:,} items share {found} with the training data; "
            "figures that count them are too high."
        )


def check_contamination(
    items: Iterable[Item],
    samples: Iterable[Sample],
    *,
    image_dir: Path | None = None,
    data_dir: Path | None = None,
) -> ContaminationReport:
    """Compare evaluation items with the samples a model was trained on.

    Pictures are compared by their bytes; where both folders are given, also by their looks: re-encoded, resized and
    lightly changed ones are found. Questions are compared by their words; those that are short, or asked of several
    items or of many samples, are nobody's and do not count.

    Raises: RecordError for a picture that cannot be read.
    """
    items = list(items)
    combinations, pictures = _index(items)
    questions = _single_questions(items)
    shared: tuple[set[tuple[str, str, str]], set[str], set[str]] = (set(), set(), set())
    times_asked: Counter[str] = Counter()
    trained: dict[str, str] = {}
    num_samples = 0
    for sample in samples:
        num_samples += 1
        draft = sample.draft
        shared[0].update(combinations & {(draft.capability, draft.keyword, draft.setting)})
        shared[1].update(pictures & {painting.sha256 for painting in sample.paintings})
        times_asked.update(questions.keys() & {_normalise(turn.text) for turn in draft.turns if turn.speaker == "user"})
        trained.update((painting.sha256, painting.perceptual_hash) for painting in sample.paintings)
    shared[2].update(words for words, times in times_asked.items() if times <= _MAX_TIMES_TRAINED)
    near: dict[str, str] = {}
    if image_dir is not None and data_dir is not None:
        near = find_near_pictures(_pictures_besides(items, image_dir, shared[1]), trained, data_dir)
    return ContaminationReport(
        num_items=len(items),
        num_samples=num_samples,
        combinations=tuple(sorted(shared[0])),
        images_sha256=tuple(sorted(shared[1])),
        near_images=tuple(sorted(near.items())),
        questions=tuple(sorted(questions[words] for words in shared[2])),
        item_ids=tuple(item.item_id for item in items if _shares(item, shared, near, questions)),
        looked_at_pictures=image_dir is not None and data_dir is not None,
    )


def check_against_run(items: Iterable[Item], image_dir: Path, data_dir: Path) -> ContaminationReport:
    """Compare items with all that a run's data folder holds, pictures by their looks as well.

    Raises: RecordError for a picture or a shard that cannot be read.
    """
    return check_contamination(items, read_samples(data_dir), image_dir=image_dir, data_dir=data_dir)


def note_contamination(
    items: Iterable[Item], image_dir: Path, data_dir: Path, not_looked_through: Sequence[str] = ()
) -> ContaminationNote:
    """Return what a log keeps of ``check_against_run``, with the names of what else was trained on.

    Raises: RecordError for a picture, a shard or a manifest that cannot be read.
    """
    report = check_against_run(items, image_dir, data_dir)
    others = ", ".join(not_looked_through)
    return ContaminationNote(
        words=report.words + (f" Trained on as well, and not looked through: {others}." if others else ""),
        data_fingerprint=read_manifest(data_dir).fingerprint,
        num_samples=report.num_samples,
        item_ids=report.item_ids,
    )


def ensure_clean(report: ContaminationReport) -> None:
    """Refuse to go on with items that training has seen.

    Raises: RecordError naming the first of them.
    """
    if report.is_clean:
        return
    names = [f"{keyword} / {setting} ({capability})" for capability, keyword, setting in report.combinations]
    near = [f"{name} (looks like {digest[:12]})" for name, digest in report.near_images]
    shown = [*names, *report.images_sha256, *near, *report.questions][:_NUM_SHOWN]
    raise RecordError(
        f"{len(report.combinations)} keyword-setting combinations, {len(report.images_sha256) + len(near)} pictures "
        f"and {len(report.questions)} questions of the evaluation are in the training data: {', '.join(shown)}; "
        "synthesize the suite from held-out combinations, or leave these items out"
    )


def _pictures_besides(items: Sequence[Item], image_dir: Path, known: set[str]) -> dict[str, Path]:
    """Return the items' pictures by name, without those that are known by their bytes."""
    return {
        name: image_dir / name
        for item in items
        for name, digest in zip(item.images, item.images_sha256 or item.images, strict=True)
        if digest not in known
    }


def _index(items: Sequence[Item]) -> tuple[set[tuple[str, str, str]], set[str]]:
    combinations = {combination for item in items if (combination := _combination(item))[1]}
    return combinations, {digest for item in items for digest in item.images_sha256}


def _combination(item: Item) -> tuple[str, str, str]:
    if isinstance(item, EvalItem):
        return item.capability, item.keyword, item.setting
    return item.group, item.fields.get("keyword", ""), item.fields.get("setting", "")


def _single_questions(items: Sequence[Item]) -> dict[str, str]:
    """Return questions by their words: long enough to be an item's own, and asked of one item only.

    Items that are held out by their combination ask what training asks of other pictures, by design.
    """
    # The passes of one question are one item.
    asked = {(_unit(item), _normalise(item.question)): item.question for item in items if not _combination(item)[1]}
    times = Counter(words for _, words in asked)
    return {
        words: question
        for (_, words), question in asked.items()
        if times[words] == 1 and len(words.split()) >= _MIN_QUESTION_WORDS
    }


def _unit(item: Item) -> str:
    return item.unit or item.item_id if isinstance(item, TaskItem) else item.item_id


def _shares(
    item: Item,
    shared: tuple[set[tuple[str, str, str]], set[str], set[str]],
    near: dict[str, str],
    questions: dict[str, str],
) -> bool:
    words = _normalise(item.question)
    return (
        _combination(item) in shared[0]
        or not shared[1].isdisjoint(item.images_sha256)
        or any(name in near for name in item.images)
        or (words in shared[2] and words in questions)
    )


def _normalise(text: str) -> str:
    return " ".join(split_words(text.replace("<image>", " ").lower()))
