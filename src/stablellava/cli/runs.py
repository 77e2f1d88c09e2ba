"""From the shared options to settings and a run directory."""

from collections.abc import Sequence
from pathlib import Path

from stablellava.config.loading import dump_config, load_config
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.store.layout import RunLayout

DEFAULT_PRESET = "demo"
RUNS_DIR = Path("runs")


def open_run(
    config_path: Path | None, preset: str | None, run: Path | None, overrides: Sequence[str] | None
) -> tuple[RunConfig, RunLayout]:
    """Resolve settings and say where the run lies; nothing is created.

    A run directory that holds settings is taken up with them, unless others are named.
    """
    saved = RunLayout(run).config_path if run else None
    if config_path is None and preset is None:
        if saved and saved.exists():
            config_path = saved
        else:
            preset = DEFAULT_PRESET
    config = load_config(config_path, preset, overrides or ())
    return config, RunLayout(run or RUNS_DIR / config.name)


def existing_run(run: Path | None, overrides: Sequence[str] | None = None) -> tuple[RunConfig, RunLayout]:
    """Open a run that was begun before.

    Raises: ConfigError when the directory holds no run.
    """
    layout = RunLayout(run or RUNS_DIR / DEFAULT_PRESET)
    if not layout.config_path.exists():
        raise ConfigError(
            f"no run in {str(layout.root)!r}: it has no config.yaml. "
            f"Begin one: stablellava synthesize --run {layout.root}"
        )
    return load_config(layout.config_path, None, overrides or ()), layout


def save_config(config: RunConfig, layout: RunLayout) -> None:
    """Write the resolved settings into the run, so that later verbs need only ``--run``."""
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.config_path.write_text(dump_config(config), encoding="utf-8")
