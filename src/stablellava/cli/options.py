"""Options that several verbs share, so that they mean and read the same everywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file of settings, laid over the preset.", metavar="FILE")
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        "-p",
        help="Settings that come with the package: demo, quick, chat, smollm2, llava-1.5-7b; a wrong name lists all.",
    ),
]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", "-r", help="Directory of the run; by default runs/<name>.", metavar="DIR"),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object on stdout; progress stays on stderr.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings to change, as synthesis.samples_per_capability=20.", metavar="[KEY.PATH=VALUE]"),
]
ModelOption = Annotated[Path, typer.Option("--model", "-m", help="Directory of a trained model.", metavar="DIR")]
OpenOption = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")]


def read_options(options: Sequence[str], option: str) -> dict[str, Any]:
    """Return KEY=VALUE pairs, values read as YAML has them.

    Raises: ConfigError for a text without an equals sign, or a value that is no YAML.
    """
    import yaml

    from stablellava.core.errors import ConfigError

    pairs = {}
    for text in options:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise ConfigError(f"{option} {text!r}: KEY=VALUE is needed")
        try:
            pairs[key] = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            raise ConfigError(f"{option} {key}: {value!r} cannot be read as YAML; put it in quotes") from exc
    return pairs
