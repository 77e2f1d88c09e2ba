"""Verb: chat."""

from pathlib import Path
from typing import Annotated

import typer

from stablellava.cli.options import JsonOption, ModelOption


def chat(
    question: Annotated[str, typer.Argument(help="What to ask.", metavar="QUESTION")],
    model: ModelOption,
    image: Annotated[list[Path], typer.Option("--image", "-i", help="Picture; repeat for several.", metavar="FILE")],
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Length of the answer.")] = 64,
    as_json: JsonOption = False,
) -> None:
    """Ask a trained model about pictures.

    Example: stablellava chat --model runs/demo/model/instruct --image cat.png "What is this?"
    """
