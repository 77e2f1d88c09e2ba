"""Verbs: cache stats, cache prune."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import JsonOption

if TYPE_CHECKING:
    from stablellava.backends.cache_upkeep import CacheUpkeep

_BYTES_PER_MB = 1_000_000
_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="The cache; by default responses.sqlite in the user's cache folder.", metavar="FILE"),
]


def show_stats(file: FileOption = None, as_json: JsonOption = False) -> None:
    """Show which models' answers are kept, and how much room they take.

    Example: stablellava cache stats
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from stablellava.cli.output import print_result
    from stablellava.cli.tables import text_table

    cache = _open(file)
    shares = cache.stats()
    rows = [
        (
            share.backend,
            share.model,
            f"{share.num_answers:,}",
            f"{share.size_bytes / _BYTES_PER_MB:,.1f}",
            datetime.fromtimestamp(share.oldest_s, UTC).date().isoformat(),
            datetime.fromtimestamp(share.newest_s, UTC).date().isoformat(),
        )
        for share in shares
    ]
    result = {"file": str(cache.path), "size_bytes": cache.size_bytes, "models": [asdict(share) for share in shares]}
    table = text_table(("backend", "model", "answers", "MB", "oldest", "newest"), rows)
    print_result(result, as_json, table, f"{cache.path}: {cache.size_bytes / _BYTES_PER_MB:,.1f} MB")
    cache.close()


def prune(
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Answers older than this: 12h, 30d, 8w.", metavar="AGE")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Answers of this model.", metavar="NAME")] = None,
    max_size: Annotated[
        str | None, typer.Option("--max-size", help="The oldest, until this is left: 500MB, 2GB.", metavar="SIZE")
    ] = None,
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete kept answers. With an age and a model, an answer must be both to go.

    Example: stablellava cache prune --older-than 30d --max-size 2GB
    """
    from stablellava.cli.output import print_result
    from stablellava.core.errors import ConfigError

    if older_than is None and model is None and max_size is None:
        raise ConfigError("nothing says what to delete: name --older-than, --model or --max-size")
    seconds = None if older_than is None else _measure(older_than, _SECONDS, "--older-than=30d")
    num_bytes = None if max_size is None else int(_measure(max_size, _BYTES, "--max-size=2GB"))
    cache = _open(file)
    num_deleted = cache.prune(seconds, model, num_bytes)
    result = {"file": str(cache.path), "num_deleted": num_deleted, "size_bytes": cache.size_bytes}
    words = f"{num_deleted:,} answers deleted; {cache.size_bytes / _BYTES_PER_MB:,.1f} MB left in {cache.path}"
    print_result(result, as_json, words)
    cache.close()


def _open(file: Path | None) -> "CacheUpkeep":
    from stablellava.backends.cache_upkeep import CacheUpkeep
    from stablellava.backends.response_cache import CACHE_FILE
    from stablellava.core.errors import ConfigError
    from stablellava.store.assets import cache_dir

    path = file or cache_dir() / CACHE_FILE
    if file is not None and not file.exists():
        raise ConfigError(f"no response cache at {str(file)!r}; leave --file out for the one of this machine")
    return CacheUpkeep(path)


def _measure(text: str, units: dict[str, int], example: str) -> float:
    from stablellava.core.errors import ConfigError

    unit = next((name for name in units if text.upper().endswith(name.upper())), "")
    number = text[: len(text) - len(unit)].strip()
    if not unit or not number.replace(".", "", 1).isdigit():
        raise ConfigError(f"{text!r} is no number with one of the units {', '.join(units)}; for example {example}")
    return float(number) * units[unit]
