"""Evaluation items, answers, scores and the log that keeps them."""

from stablellava.core.capability import FormKind
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
