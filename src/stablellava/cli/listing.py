"""Verbs: backends list, backends check, assets list, assets pull."""

from typing import Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, PresetOption, RunOption

_BYTES_PER_MB = 1_000_000


def list_backends(as_json: JsonOption = False) -> None:
    """List writers and painters by name, third-party ones included.

    Example: stablellava backends list --json
    """
    from stablellava.backends import catalog
    from stablellava.cli.output import print_result
    from stablellava.cli.tables import text_table

    found = dict(sorted(catalog.list_backends().items()))
    table = text_table(("kind.name", "class"), list(found.items()))
    print_result({"backends": found}, as_json, table)


def check_backends(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            help="Backends to call instead of the configured ones, with options: openai model=gpt-4o-mini.",
            metavar="[NAME [OPTION=VALUE]]",
        ),
    ] = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make one tiny call to each configured backend and say what is wrong.

    Example: stablellava backends check openai model=qwen base_url=http://localhost:8000/v1
    """
    from dataclasses import asdict

    from stablellava.backends.checking import check_backend
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import open_run
    from stablellava.cli.wanted_backends import configured_backends, named_backends
    from stablellava.core.errors import BackendError

    wanted = named_backends(named) if named else configured_backends(open_run(config, preset, run, None)[0])
    results = [check_backend(kind, name, options) for kind, name, options in wanted]
    lines = [
        f"{'fine  ' if found.is_fine else 'failed'}  {found.kind}.{found.name} ({found.seconds:.1f} s): {found.words}"
        for found in results
    ]
    print_result({"checks": [asdict(found) for found in results]}, as_json, *lines)
    if not all(found.is_fine for found in results):
        raise typer.Exit(BackendError.exit_code)


def list_assets(as_json: JsonOption = False) -> None:
    """List the model files that come from the package index, and which of them are here.

    Example: stablellava assets list
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.tables import text_table
    from stablellava.store import assets

    states = assets.list_assets()
    rows = [
        (state.asset.name, f"{state.asset.size_bytes / _BYTES_PER_MB:,.0f}", str(state.path or "not pulled"))
        for state in states
    ]
    result = {
        "assets": [
            {"name": s.asset.name, "about": s.asset.about, "path": str(s.path) if s.path else None} for s in states
        ]
    }
    print_result(result, as_json, text_table(("name", "MB", "path"), rows), *(state.asset.about for state in states))


def pull_assets(
    names: Annotated[list[str] | None, typer.Argument(help="Which to fetch; by default all.", metavar="NAME")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch model files once, check them and keep them in the cache.

    Example: stablellava assets pull smollm2-135m-instruct.gguf
    """
    from stablellava.cli.output import note, print_result
    from stablellava.store import assets

    paths = {}
    for name in [assets.find_asset(name).name for name in names or assets.ASSETS]:
        note(f"pulling {name}")
        paths[name] = str(assets.pull_asset(name))
    print_result({"assets": paths}, as_json, *(f"{name}: {path}" for name, path in paths.items()))
