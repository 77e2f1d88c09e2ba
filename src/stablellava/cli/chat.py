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
    """Ask a trained model about one picture or several.

    Example: stablellava chat --model runs/demo/model/instruct --image cat.png "What is this?"
    """
    from stablellava.cli.output import print_result
    from stablellava.core.draft import Turn
    from stablellava.core.errors import ConfigError
    from stablellava.store.images import read_picture, resolve_inside

    if not question.strip():
        raise ConfigError("the question is empty. Ask something, as in: What is this?")
    # A bad picture is told before the model is loaded.
    paths = [resolve_inside(path.parent, path.name, "--image") for path in image]
    for path in paths:
        read_picture(path, "--image")
    from stablellava.model.answering import LocalAnswerer

    turn = Turn(speaker="user", text=question, images=tuple(range(len(paths))))
    answer = LocalAnswerer(model, max_new_tokens).reply([turn], paths)
    print_result({"question": question, "answer": answer}, as_json, answer)
