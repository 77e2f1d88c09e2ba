"""The capability benchmark: one question per item, scored by keywords.

Paper: 2308.10253v1, section 4 (50 items per ability, generated and real).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from stablellava import __version__
from stablellava.backends.protocols import Answerer
from stablellava.core.score import Answer, EvalItem, EvalLog, EvalLogEntry
from stablellava.evaluation.asking import AnswerCollector, Progress, answer_key
from stablellava.evaluation.log import is_task_log, read_task_log, refuse_other_model
from stablellava.evaluation.log_views import as_suite_log
from stablellava.evaluation.reporting import build_reports
from stablellava.evaluation.scoring import rescore_entries, score_answer, unscored
from stablellava.evaluation.suites import Suite, load_suite
from stablellava.store.files import write_atomic
from stablellava.store.journal import ShardJournal


def _utc_now() -> datetime:
    return datetime.now(UTC)


def evaluate_suite(
    suite: Path | Suite,
    answerer: Answerer,
    suite_name: str,
    *,
    log_path: Path,
    batch_size: int = 32,
    progress: Progress | None = None,
    now: Callable[[], datetime] = _utc_now,
) -> EvalLog:
    """Ask every item once, score the answers and write the log.

    Answers are journaled beside ``log_path`` as they come, so a killed run continues; a finished
    log of the same suite is scored again without asking. An item whose answer cannot be
    obtained is unscored and asked again in the next run.

    Raises: RecordError if the suite is bad, ConfigError if the log there is another model's, BackendFailed if the
    answerer breaks its contract or fails several times in a row.
    """
    earlier = read_log(log_path) if log_path.is_file() else None
    if earlier:
        refuse_other_model(log_path, earlier, answerer.name, answerer.fingerprint)
    checked = load_suite(suite) if isinstance(suite, Path) else suite
    journal_path = log_path.with_name(log_path.name + ".journal")
    keys = {item.item_id: answer_key(answerer.fingerprint, checked.fingerprint, item.item_id) for item in checked.items}
    collector = AnswerCollector(
        checked.items, checked.folder, keys, answerer, ShardJournal(journal_path), _finished_answers(earlier)
    )
    collector.ask_all(batch_size, progress)
    entries = tuple(_entry(item, collector) for item in checked.items)
    log = EvalLog(
        suite=suite_name,
        suite_dir=str(checked.folder.resolve()),
        model=answerer.name,
        model_fingerprint=answerer.fingerprint,
        data_fingerprint=checked.fingerprint,
        created=now().isoformat(timespec="seconds"),
        package_version=__version__,
        reports=build_reports(entries),
        entries=entries,
    )
    write_log(log, log_path)
    journal_path.unlink(missing_ok=True)
    return log


def rescore(log: EvalLog) -> EvalLog:
    """Return the log with its stored answers scored by the present rules."""
    entries = rescore_entries(log.entries)
    return log.model_copy(update={"entries": entries, "reports": build_reports(entries)})


def write_log(log: EvalLog, path: Path) -> None:
    """Write the log in one step.

    Raises: RecordError when the disk is full or the folder may not be written to.
    """
    write_atomic(path, log.to_json() + b"\n")


def read_log(path: Path) -> EvalLog:
    """Read what ``write_log`` wrote; the log of a task is read as one of a suite, its groups as capabilities.

    Raises: RecordError if there is no such file or it is no evaluation log.
    """
    if is_task_log(path):
        return as_suite_log(read_task_log(path), path.parent)
    return EvalLog.from_json(path.read_bytes(), where=str(path))


def _finished_answers(log: EvalLog | None) -> dict[str, Answer]:
    if log is None:
        return {}
    return {
        answer_key(log.model_fingerprint, log.data_fingerprint, entry.item.item_id): entry.answer
        for entry in log.entries
        if entry.score.value is not None
    }


def _entry(item: EvalItem, collector: AnswerCollector) -> EvalLogEntry:
    answer = collector.answers.get(item.item_id)
    if answer is None:
        nothing = Answer(item_id=item.item_id, prompt="", text="")
        return EvalLogEntry(item=item, answer=nothing, score=unscored(item, collector.failures[item.item_id]))
    return EvalLogEntry(item=item, answer=answer, score=score_answer(item, answer))
