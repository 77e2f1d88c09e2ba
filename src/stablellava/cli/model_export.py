"""Verb: export-model."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stablellava.cli.options import JsonOption

_BYTES_PER_GB = 1e9


class ModelForm(StrEnum):
    """The forms that a model is written in; gguf answers why it is none."""

    hf = "hf"
    merged = "merged"
    llava = "llava"
    adapter = "adapter"
    gguf = "gguf"


class WeightType(StrEnum):
    """Precision of the weights written."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


def export_model(
    model: Annotated[
        Path,
        typer.Option(
            "--model", "-m", help="A model in any form: a run's, Hugging Face's, LLaVA's, an adapter.", metavar="DIR"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.", metavar="DIR")],
    form: Annotated[
        ModelForm,
        typer.Option(
            "--form",
            "-f",
            help="hf: Hugging Face, adapters merged. merged: the same, of an adapter only. llava: the original LLaVA's "
            "layout. adapter: peft's files and the projector. gguf: not possible, says why.",
        ),
    ] = ModelForm.hf,
    dtype: Annotated[WeightType, typer.Option("--dtype", help="Of the weights; adapters stay as they are.")] = (
        WeightType.float32
    ),
    as_json: JsonOption = False,
) -> None:
    """Write a trained model in a form that others load, with a model card, and read it back tensor by tensor.

    Any of these folders is also taken by --model of other verbs, and by training.model.start to train further.

    Example: stablellava export-model --model runs/demo/model/instruct --form hf --out demo-llava
    """
    from stablellava.cli.output import print_result
    from stablellava.model import exporting
    from stablellava.studies.model_card import write_model_card

    report = exporting.export_model(model, form.value, out, dtype.value)
    card = write_model_card(model, out)
    size_gb = report.size_bytes / _BYTES_PER_GB
    lines = [f"{report.num_tensors} tensors, {size_gb:.2f} GB, read back the same -> {report.path}", f"card: {card}"]
    if report.note:
        lines.append(report.note)
    print_result(report.model_dump(mode="json"), as_json, "\n".join(lines))
