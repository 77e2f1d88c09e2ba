"""From the shared options to settings and a run directory."""

from collections.abc import Sequence
from pathlib import Path

from stablellava.config.fingerprint import NOT_IN_DATA, changed_settings
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
    """Write the resolved settings into the run, so that later verbs need only ``--run``.

    Raises: ConfigError when the run holds data made with other settings, or an option is a key.
    """
    from stablellava.store.manifest import holds_data
    from stablellava.studies.planning import refuse_keys_in

    refuse_keys_in(config)
    if layout.config_path.exists() and holds_data(layout.data_dir):
        changed = changed_settings(load_config(layout.config_path), config, NOT_IN_DATA)
        if changed:
            raise ConfigError(
                f"{str(layout.root)!r} holds data made with other settings ({'; '.join(changed[:3])}). "
                "Name another directory with --run, or delete this one."
            )
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.config_path.write_text(dump_config(config), encoding="utf-8")


def load_settings_of(layout: RunLayout, overrides: Sequence[str] | None) -> RunConfig:
    """Return a run's settings with overrides; the defaults where the directory has none."""
    saved = layout.config_path
    return load_config(saved if saved.exists() else None, None, overrides or ())
