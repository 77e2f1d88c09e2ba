"""Verb: train configs."""

from pathlib import Path
from typing import Annotated

import typer

from stablellava.cli.options import JsonOption


def write_configs(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.", metavar="DIR")] = Path("accelerate"),
    as_json: JsonOption = False,
) -> None:
    """Write the configurations for accelerate that come with the package: DDP, FSDP2, DeepSpeed ZeRO-2 and ZeRO-3.

    Edit num_processes, then: accelerate launch --config_file accelerate/fsdp2.yaml -m stablellava.cli train ...

    Example: stablellava train configs --out accelerate
    """
    from importlib.resources import files

    from stablellava.cli.output import print_result
    from stablellava.store.files import write_atomic

    written = []
    for source in sorted(files("stablellava.config").joinpath("accelerate").iterdir(), key=lambda entry: entry.name):
        if not source.name.endswith((".yaml", ".json")):
            continue
        # accelerate looks for DeepSpeed's file from wherever it is started.
        text = source.read_text(encoding="utf-8").replace(
            "deepspeed_config_file: ", f"deepspeed_config_file: {out.resolve()}/"
        )
        write_atomic(out / source.name, text.encode())
        written.append(str(out / source.name))
    print_result({"written": written}, as_json, "\n".join(written))
