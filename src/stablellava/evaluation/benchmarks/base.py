"""What a task is made of, and what it asks of models and judges."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from stablellava.core.errors import RecordError
from stablellava.core.score import EvalItem, ItemScore, Judgement, TaskItem, TaskReport
from stablellava.evaluation.benchmarks.pictures import PictureSource, find_picture
from stablellava.evaluation.benchmarks.rows import Row

SHORT_ANSWER = "Answer the question using a single word or phrase."
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
"""LLaVA-1.5's two endings; a free-form question has none."""

CHINESE = re.compile("[\u4e00-\u9fff]")
"""A Chinese character."""

JudgeKind = Literal["mmvet", "llavabench", "mmbench", "capability"]
"""Correctness from 0 to 1; two scores beside the reference; the option an answer means; 0 to 5."""


@dataclass(frozen=True)
class JudgeRequest:
    """What a judge is given; how it is phrased is the judge's business."""

    request_id: str
    kind: JudgeKind
    question: str
    reference: str
    """The right answer, or the answer to stand beside; empty for "mmbench"."""
    prediction: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Option texts by letter, for "mmbench"."""
    context: str = ""
    """A description of the image, for "llavabench"."""
    category: str = ""
    """ "conv", "detail" or "complex", for "llavabench"."""
    run: int = 0
    """Which of several runs; part of the call's seed."""
    is_swapped: bool = False
    """Show the answer before the reference."""


@runtime_checkable
class Judge(Protocol):
    """Grades answers. A failed call comes back as a ``Judgement`` without text, never as a number."""

    name: str
    fingerprint: str
    """Changes whenever the same request could be judged otherwise."""

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Return one judgement per request, in their order, with its ``request_id``, ``run`` and order.

        Raises: BackendFailed when no request can be judged.
        """
        ...


@runtime_checkable
class LossAnswerer(Protocol):
    """An answerer that can also say how likely given texts are as answers (likelihood forms)."""

    name: str
    fingerprint: str

    def option_losses(
        self, items: Sequence[EvalItem], options: Sequence[Sequence[str]], image_dir: str
    ) -> list[tuple[float, ...]]:
        """Return for each item the mean loss per token of each option's text as the answer to its question."""
        ...


@dataclass(frozen=True)
class Source:
    """Where a task's items come from."""

    path: Path
    variant: str
    images_dir: Path | None = None
    """Where pictures lie that rows name; by default looked for beside the file."""


@dataclass(frozen=True)
class SourceItem:
    """An item whose pictures are not fetched yet."""

    item: TaskItem
    row: Row
    pictures: tuple[PictureSource, ...] = ()
    picture_column: str = "image"
    """Where the row names them, for messages."""


@dataclass(frozen=True)
class Answered:
    """An item with what was said to it."""

    item: TaskItem
    text: str | None
    """None when it could not be asked; ``failure`` says why. Of likelihood forms, a JSON list of losses."""
    failure: str = ""
    judgements: tuple[Judgement, ...] = ()


class Scored(NamedTuple):
    """What answers are worth."""

    scores: tuple[ItemScore, ...]
    """One per answered item, in their order."""
    reports: tuple[TaskReport, ...]
    """The headline first."""


def keep_all(items: Sequence[SourceItem], source: Source) -> "Arranged":
    """Take the items as the file has them."""
    return Arranged(list(items), [])


class Arranged(NamedTuple):
    """Items in the order they are asked and scored in, and what rows that belong together lack."""

    items: list[SourceItem]
    problems: list[str]
    """Each about rows that are not among the items."""


def item_unit(item: TaskItem) -> str:
    """Return what ``--limit`` counts: items of one unit are asked together or not at all."""
    return item.unit or item.item_id


@dataclass(frozen=True)
class Submission:
    """An upload as the benchmark's own server or tool takes it."""

    about: str
    suffix: str
    """Of the one file; "" where it is a folder."""
    render: Callable[[Sequence[Answered]], dict[str, bytes]]
    """Files by their path in the folder; of a single file, under ""."""


@dataclass(frozen=True)
class Task:
    """A benchmark: how its files are read, asked and scored."""

    name: str
    title: str
    needs: str
    """What ``--data`` has to be, in a sentence."""
    variants: Mapping[str, str]
    """What each named protocol is; the first is the default."""
    open_rows: Callable[[Source], Iterable[Row]]
    """Raises RecordError for a file that cannot be read at all."""
    read_row: Callable[[Row, Source], Sequence[SourceItem]]
    """Items of a row, none for one that the variant leaves aside. Raises RowError for a bad one."""
    score: Callable[[str, str, Sequence[Answered]], Scored]
    """Takes the name of the figure, the variant and answers that have a reference."""
    arrange: Callable[[Sequence[SourceItem], Source], Arranged] = keep_all
    unit_of: Callable[[TaskItem], str] = item_unit
    judge_requests: Callable[[str, Answered], Sequence[JudgeRequest]] | None = None
    """What to ask a judge about an answer (variant first); requests of one run."""
    submission: Submission | None = None
    max_new_tokens: int | None = 128
    """Length of an answer in LLaVA-1.5's scripts; None: as the settings have it."""

    @property
    def default_variant(self) -> str:
        return next(iter(self.variants))

    def figure_name(self, variant: str) -> str:
        """Return the name of the headline: the protocol is part of it."""
        return f"{self.name}:{variant}"


def format_options(options: Mapping[str, str], form: str = "{letter}. {text}") -> str:
    """Return the options a line each."""
    return "\n".join(form.format(letter=letter, text=text) for letter, text in options.items())


def ask_choice(question: str, options: Mapping[str, str], hint: str = "") -> str:
    """Return LLaVA-1.5's multiple-choice prompt: [hint,] question, "A. text" lines, the letter instruction."""
    lines = [question, format_options(options, "{letter}. {text}"), LETTER_ANSWER]
    return "\n".join([hint, *lines] if hint else lines)


def ask_short(question: str, *between: str) -> str:
    """Return LLaVA-1.5's short-answer prompt: question, lines between, the single-word instruction."""
    return "\n".join([question, *between, SHORT_ANSWER])


def locate_picture(row: Row, column: str, source: Source, folders: Sequence[Path], name: str = "") -> Path:
    """Return the picture that a cell names (or ``name``), below --images if given, else below one of the folders.

    Raises: RowError saying where it was looked for.
    """
    try:
        return find_picture(name or row.text(column), [source.images_dir] if source.images_dir else folders)
    except RecordError as exc:
        raise row.error(column, str(exc)) from exc


def score_each(answered: Sequence[Answered], score: Callable[[TaskItem, str], ItemScore]) -> list[ItemScore]:
    """Return the score of every answer; what was not answered is unscored."""
    return [no_answer(entry) if entry.text is None else score(entry.item, entry.text) for entry in answered]


def cluster_of(item: TaskItem) -> str:
    """Return what items are resampled together by: their first image."""
    return item.images_sha256[0] if item.images_sha256 else ""


def no_answer(answered: Answered) -> ItemScore:
    """Return the score of an item that was not answered."""
    return ItemScore(item_id=answered.item.item_id, value=None, why=answered.failure or "no answer")
