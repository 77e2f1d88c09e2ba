"""The evaluation log on disk: JSON lines, the header first, then every sample in the order of the items.

It holds no clock time, so equal runs write equal bytes, killed and resumed ones too.
"""

from pathlib import Path

from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.score import EvalLog, TaskEntry, TaskLog, TaskLogHeader
from stablellava.store.files import write_atomic

_SHOWN = 12
_MARK = b'"format":"stablellava-evaluation"'


def is_task_log(path: Path) -> bool:
    """Return whether the file begins as a task's log does.

    Raises: RecordError if there is no such file.
    """
    if not path.is_file():
        raise RecordError(f"no evaluation log at {path}; run 'stablellava evaluate' first or check the path")
    with path.open("rb") as file:
        return _MARK in file.readline()


def refuse_other_model(path: Path, held: TaskLogHeader | EvalLog, name: str, fingerprint: str) -> None:
    """Raise ConfigError if a log holds the answers of another model than the one that is to be written there."""
    if held.model_fingerprint == fingerprint:
        return
    raise ConfigError(
        f"{path} holds the answers of {held.model!r} ({held.model_fingerprint[:_SHOWN]}), and this is {name!r} "
        f"({fingerprint[:_SHOWN]}): other weights, or asked with other settings. Name another folder (--out for a "
        "task, --run for a suite), or move that log away"
    )


def write_task_log(log: TaskLog, path: Path) -> None:
    """Write the log in one step.

    Raises: RecordError when the disk is full or the folder may not be written to.
    """
    lines = [log.header.to_json(), *(entry.to_json() for entry in log.entries)]
    write_atomic(path, b"\n".join(lines) + b"\n")


def read_task_log(path: Path) -> TaskLog:
    """Read what ``write_task_log`` wrote.

    Raises: RecordError naming file and line if it is no such log, or samples are missing from it.
    """
    if not is_task_log(path):
        raise RecordError(f"{path} is no log of a task; those begin with a header line and end in .jsonl")
    first, *lines = path.read_bytes().splitlines()
    header = TaskLogHeader.from_json(first, where=f"{path}, line 1")
    entries = tuple(TaskEntry.from_json(line, where=f"{path}, line {n}") for n, line in enumerate(lines, start=2))
    if len(entries) != header.num_items:
        raise RecordError(f"{path} holds {len(entries)} of {header.num_items} samples; evaluate again")
    return TaskLog(header=header, entries=entries)
