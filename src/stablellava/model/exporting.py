"""Trained models in the forms that others load, each read back before it counts as written."""

import json
import shutil
from pathlib import Path
from typing import Literal, get_args

import torch
from transformers import LlavaForConditionalGeneration

from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.model.adapters import BASE_NAME, copy_base_reference, is_adapter
from stablellava.model.checkpoints import read_checkpoint
from stablellava.model.original_llava import write_original
from stablellava.model.portable import is_portable, save_portable
from stablellava.model.weight_files import read_weights
from stablellava.store.files import explain_disk_errors

ExportForm = Literal["hf", "merged", "llava", "adapter"]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class ExportedModel(Record):
    """What was written."""

    path: str
    form: ExportForm
    num_tensors: int
    """In the files."""
    size_bytes: int
    note: str = ""
    """What loading it elsewhere takes, if anything."""


def export_model(folder: Path, form: str, out: Path, dtype: str = "float32") -> ExportedModel:
    """Write a model in another form, and read it back: every tensor has to be there, and the same.

    hf: the Hugging Face form, which transformers 4.57 and 5 load; adapters are merged into it. merged: the same, of an
    adapter only. llava: the layout of the original LLaVA. adapter: as peft loads it, with the projector.

    Args:
        folder: a model in any form.
        form: hf, merged, llava or adapter.
        out: a folder that does not exist yet.
        dtype: of the weights written, adapters excepted.

    Raises: ConfigError for a form that does not exist or does not suit the model, RecordError for a broken model.
    """
    _check(folder, form, out, dtype)
    scratch = out.with_name(f".{out.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with explain_disk_errors(out):
            scratch.mkdir(parents=True)
            is_adapter_wanted = form == "adapter"
            note = _copy_adapter(folder, scratch) if is_adapter_wanted else _write(folder, form, scratch, dtype, out)
            scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    files = [path for path in out.rglob("*") if path.is_file()]
    return ExportedModel.model_validate(
        {
            "path": str(out),
            "form": form,
            "num_tensors": len(read_weights(out)),
            "size_bytes": sum(path.stat().st_size for path in files),
            "note": note,
        }
    )


def _check(folder: Path, form: str, out: Path, dtype: str) -> None:
    if form == "gguf":
        raise ConfigError(
            "llama.cpp's converter (convert_hf_to_gguf.py) takes a LLaVA with a Pixtral tower only and refuses one "
            "with a CLIP or SigLIP tower, so no GGUF can be written; export hf and serve it with transformers or vLLM"
        )
    if form not in get_args(ExportForm):
        raise ConfigError(f"no form {form!r}; there are {', '.join(get_args(ExportForm))}")
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype={dtype!r} is none of {', '.join(_DTYPES)}")
    if form in ("merged", "adapter") and not is_adapter(folder):
        raise ConfigError(f"{folder} holds a whole model, not adapters; export it as hf or llava")
    if out.exists():
        raise ConfigError(f"{out} is already there; name a new folder")


def _write(folder: Path, form: str, scratch: Path, dtype: str, out: Path) -> str:
    model, processor = read_checkpoint(folder, _DTYPES[dtype])
    if form == "llava":
        write_original(model, processor, scratch, out)
    else:
        save_portable(model, processor, scratch)
    _verify(model, scratch, _DTYPES[dtype])
    if form == "llava":
        settings = json.loads((scratch / "config.json").read_text(encoding="utf-8"))
        return f"LLaVA's code finds the tower by mm_vision_tower in config.json: {settings['mm_vision_tower']}"
    if not is_portable(model):
        kind = model.model.vision_tower.config.model_type
        return f"the tower {kind} is not one of transformers' own: `import stablellava.model` before loading it"
    return ""


def _verify(model: LlavaForConditionalGeneration, folder: Path, dtype: torch.dtype) -> None:
    """Read the folder and compare each tensor.

    Raises: RuntimeError if one differs: that would be our mistake.
    """
    again, _ = read_checkpoint(folder, dtype)
    wanted, found = model.state_dict(), again.state_dict()
    differing = [name for name, tensor in wanted.items() if name not in found or not torch.equal(tensor, found[name])]
    if differing or wanted.keys() != found.keys():
        raise RuntimeError(
            f"{len(differing)} tensors of {folder} do not read back as they were, such as {differing[:1]}"
        )


def _copy_adapter(folder: Path, out: Path) -> str:
    for path in sorted(folder.iterdir()):
        if path.is_file():
            shutil.copy2(path, out / path.name)
    base = copy_base_reference(folder, out)
    return f"{BASE_NAME} names the model it belongs to: {base}"
