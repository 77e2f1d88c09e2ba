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
    from stablellava.config.tree import EvaluationSettings
    from stablellava.core.errors import ConfigError
    from stablellava.core.score import EvalItem
    from stablellava.store.images import read_picture, resolve_inside

    if not question.strip():
        raise ConfigError("the question is empty. Ask something, as in: What is this?")
    # A bad picture is told before the model is loaded.
    paths = [resolve_inside(path.parent, path.name, "--image") for path in image]
    for path in paths:
        read_picture(path, "--image")
    from stablellava.model.answering import LocalAnswerer

    root = paths[0].anchor
    names = tuple(path.relative_to(root).as_posix() for path in paths)
    item = EvalItem(item_id="chat", capability="chat", images=names, question=question, accepted=())
    answerer = LocalAnswerer(model, EvaluationSettings(max_new_tokens=max_new_tokens))
    (answer,) = answerer.answer([item], root)
    print_result(answer.model_dump(mode="json"), as_json, answer.text)
