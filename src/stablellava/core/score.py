"""Evaluation items, answers, scores and the log that keeps them."""

from typing import Literal

from stablellava.core.capability import FormKind
from stablellava.core.draft import CallStamp
from stablellava.core.record import Record


class EvalItem(Record):
    """One question about one or more images."""

    item_id: str
    capability: str
    images: tuple[str, ...]
    """Paths relative to the suite's folder."""
    images_sha256: tuple[str, ...] = ()
    question: str
    accepted: tuple[str, ...]
    """Answers that count as right; for yes_no "yes" or "no"."""
    rejected: tuple[str, ...] = ()
    """Answers that make an either-or reply wrong when they are named."""
    form: FormKind = "wh"
    keyword: str = ""
    setting: str = ""


class Answer(Record):
    """What a model said."""

    item_id: str
    prompt: str
    """As sent to the model."""
    text: str
    num_tokens: int = 0


class Unanswered(Record):
    """An item that got no answer, and why; others may still get one."""

    item_id: str
    why: str


class ItemScore(Record):
    """The score of one answer; ``value`` is None when it could not be scored, and ``why`` says so."""

    item_id: str
    value: float | None
    parsed: str = ""
    why: str = ""


class TaskReport(Record):
    """One figure with all that it takes to judge it."""

    name: str
    value: float | None
    """Mean of the scored items, 0 to 1, or points where the benchmark counts in points (MME); None: nothing scored."""
    ci_low: float | None
    ci_high: float | None
    num_items: int
    num_unscored: int = 0
    num_unparsed: int = 0
    """No answer could be read out of the text; wrong, unless the benchmark's own rule says what it then counts as."""


class EvalLogEntry(Record):
    """Item, answer and score side by side."""

    item: EvalItem
    answer: Answer
    score: ItemScore


class EvalLog(Record):
    """One evaluation run, self-describing."""

    schema_version: int = 1
    suite: str
    suite_dir: str = ""
    """Where the pictures lay when they were asked about, for whoever wants to see them again."""
    model: str
    model_fingerprint: str
    data_fingerprint: str
    created: str
    """UTC, ISO 8601."""
    package_version: str
    reports: tuple[TaskReport, ...]
    entries: tuple[EvalLogEntry, ...]


TaskForm = Literal["choice", "yes_no", "short", "free", "likelihood", "unasked"]
"""A letter; yes or no; a word or a phrase; whole sentences; no text at all but the loss of each option's text; or
nothing, where the official protocol leaves the question to chance."""


class TaskItem(Record):
    """One question of a benchmark, with all that asking and scoring it need."""

    item_id: str
    form: TaskForm
    prompt: str
    """All that is asked, but for the images and the model's own template."""
    question: str
    """As the file has it."""
    options: dict[str, str] = {}
    """Texts by letter, in the order they are shown."""
    reference: tuple[str, ...] = ()
    """The right letter, or what annotators said; empty where the file has no answer, as in test splits."""
    images: tuple[str, ...] = ()
    """Paths relative to the log's folder."""
    images_sha256: tuple[str, ...] = ()
    group: str = ""
    """What tables and comparisons sort it by, as the subtask or the ability."""
    unit: str = ""
    """The question that this item is one pass of, where one is asked several times; else empty."""
    fields: dict[str, str] = {}
    """What else scoring, tables and submissions need, by the file's own column names."""
    also_known_as: tuple[str, ...] = ()
    """By what other ids files of answers name it."""


class Judgement(Record):
    """What a judge said of one answer; ``text`` is None when the call failed, and ``why`` says so."""

    request_id: str
    text: str | None
    """The reply as it came, so that it can be read again by other rules."""
    why: str = ""
    run: int = 0
    is_swapped: bool = False
    """The answer stood before the reference."""
    stamp: CallStamp | None = None


class TaskEntry(Record):
    """One sample of a log: what was asked, what was said, and what that is worth."""

    item: TaskItem
    answer: Answer | None
    failure: str = ""
    """Why there is no answer."""
    judgements: tuple[Judgement, ...] = ()
    score: ItemScore


class ContaminationNote(Record):
    """What a benchmark shares with the data that the model was trained on."""

    words: str
    """What was compared and found, in a sentence."""
    data_fingerprint: str
    """Of the training data."""
    num_samples: int
    item_ids: tuple[str, ...] = ()
    """Items that training has seen; empty is clean."""


ASKED = "asked"


class TaskLogHeader(Record):
    """The first line of an evaluation log: what was measured, how, and what came out."""

    format: Literal["stablellava-evaluation"] = "stablellava-evaluation"
    schema_version: Literal[2] = 2
    """Version 1 is ``EvalLog``, one JSON object."""
    task: str
    variant: str
    """Name of the prompt and protocol; figures of different variants are not comparable."""
    model: str
    model_fingerprint: str
    data_path: str
    data_fingerprint: str
    """Changes with every prompt, reference and image."""
    num_items: int
    limit: int | None = None
    """Only so many of the first questions were asked."""
    left_out: tuple[str, ...] = ()
    """Rows that could not be used, each with its reason."""
    answers_from: str = ASKED
    """Or the format of the file that the answers came from."""
    asked_with: dict[str, str] = {}
    """How they were got, apart from prompts and weights: batch size, length, what answered and judged, its options."""
    judge: str = ""
    judge_fingerprint: str = ""
    contamination: ContaminationNote | None = None
    """Set where the data that the model was trained on are known."""
    package_version: str
    reports: tuple[TaskReport, ...]


class TaskLog(Record):
    """One run of a benchmark."""

    header: TaskLogHeader
    entries: tuple[TaskEntry, ...]
