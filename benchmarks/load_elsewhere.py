"""Load exported checkpoints with other releases of transformers: is every tensor found, are the logits ours?

python -m benchmarks.load_elsewhere --python OTHER_VENV/bin/python
python -m benchmarks.load_elsewhere --python OTHER_VENV/bin/python --model EXPORTED_FOLDER
python -m benchmarks.load_elsewhere --python LLAVA_VENV/bin/python --llava

Without --model, small LLaVAs are assembled (CLIP and SigLIP towers, linear and two-layer projectors, rotary positions
of another base than usual) and exported. The other Python needs transformers, torch and pillow, not this package. With
--llava, LLaVA's own code loads what --form llava writes (pip install --no-deps llava-torch==1.2.2.post1, and
transformers 4.37.2, tokenizers 0.15.1, accelerate 0.21.0, numpy<2).
Exits 1 if a tensor is missing, left over or re-initialised, or if logits differ by more than 1e-5.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ASK = """
import json, sys, warnings
import torch
import transformers
from transformers import LlavaForConditionalGeneration

folder, out = sys.argv[1:]
model, info = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
model = model.float().eval()
config = model.config
generator = torch.Generator().manual_seed(0)
size_px = config.vision_config.image_size
pixel_values = torch.randn(1, 3, size_px, size_px, generator=generator)
image = getattr(config, "image_token_id", None) or config.image_token_index
# Long enough for positions to matter.
row = [5, 6] + [image] * config.image_seq_length + list(range(3, 43))
with torch.inference_mode():
    logits = model(input_ids=torch.tensor([row]), pixel_values=pixel_values).logits
torch.save(logits, out)
try:
    from transformers import AutoProcessor
    processor = AutoProcessor.from_pretrained(folder)
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}]
    text = processor.apply_chat_template(message, add_generation_prompt=True)
    from PIL import Image
    inputs = processor(images=Image.new("RGB", (70, 90), (200, 30, 30)), text=text, return_tensors="pt")
    ids = inputs.input_ids[0].tolist()
except Exception as exc:
    ids = f"{type(exc).__name__}: {exc}"[:300]
print(json.dumps({
    "transformers": transformers.__version__,
    "num_tensors": len(model.state_dict()),
    **{name: sorted(map(str, info[name])) for name in ("missing_keys", "unexpected_keys", "mismatched_keys")},
    "prompt": ids,
}))
"""


ASK_LLAVA = """
import json, sys
import torch
import transformers
from llava.model.language_model.llava_llama import LlavaLlamaForCausalLM

folder, out = sys.argv[1:]
model, info = LlavaLlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
tower = model.get_vision_tower()
if not tower.is_loaded:
    tower.load_model()
model = model.float().eval()
generator = torch.Generator().manual_seed(0)
size_px = tower.config.image_size
pixel_values = torch.randn(1, 3, size_px, size_px, generator=generator)
with torch.inference_mode():
    logits = model(input_ids=torch.tensor([[5, 6, -200] + list(range(3, 43))]), images=pixel_values).logits
torch.save(logits, out)
# LLaVA loads the tower from the folder that mm_vision_tower names; the logits say whether it did.
left_over = [name for name in info["unexpected_keys"] if "vision_tower" not in name]
print(json.dumps({
    "transformers": transformers.__version__ + " with LLaVA's code",
    "num_tensors": len(model.state_dict()),
    "missing_keys": sorted(info["missing_keys"]),
    "unexpected_keys": left_over,
    "mismatched_keys": [],
}))
"""


def ask(python: str, folder: Path, scratch: Path, script: str = ASK) -> tuple[dict[str, object], Path]:
    """Return what a Python's transformers makes of a folder, and the file of its logits."""
    out = scratch / f"logits-{len(list(scratch.iterdir()))}.pt"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [python, "-W", "ignore", "-c", script, str(folder), str(out)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    if answer.returncode:
        said = textwrap.shorten(
            answer.stderr.strip().splitlines()[-1]
            if "Error: " not in answer.stderr
            else answer.stderr[answer.stderr.rindex("Error: ") :],
            400,
            placeholder=" ...",
        )
        raise SystemExit(f"{python} cannot load {folder}: {said}")
    return json.loads(answer.stdout.splitlines()[-1]), out


def compare(python: str, folder: Path, scratch: Path, original: Path | None = None) -> bool:
    """Print how the other Python loads a folder next to this one, and tell whether it is the same.

    With ``original``, the other Python loads that with LLaVA's code.
    """
    import torch

    here, ours = ask(sys.executable, folder, scratch)
    there, theirs = ask(python, original or folder, scratch, ASK_LLAVA if original else ASK)
    difference = float((torch.load(ours) - torch.load(theirs)).abs().max())
    lost = {name: there[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys") if there[name]}
    releases = f"transformers {here['transformers']} and {there['transformers']}"
    print(f"{folder.name}: {releases}, {there['num_tensors']} tensors")
    print(f"  not accounted for: {lost or 'none'}; largest difference of a logit: {difference:.1e}")
    if original is not None:
        return not lost and difference <= 1e-5
    same_prompt = here["prompt"] == there["prompt"]
    print(f"  prompt ids of the processor: {'equal' if same_prompt else there['prompt']}")
    return not lost and difference <= 1e-5 and same_prompt


def write_examples(folder: Path, *, for_llava: bool) -> list[tuple[Path, Path | None]]:
    """Return exported folders of small models of every kind, and what is in LLaVA's layout if that is wanted."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import tiny_towers
    import tiny_vlm
    from stablellava.model.assembling import assemble
    from stablellava.model.exporting import export_model

    language_model = tiny_vlm.write_language_model(folder / "lm", rope_theta=500000.0)
    found: list[tuple[Path, Path | None]] = []
    for kind in ("clip",) if for_llava else ("clip", "siglip"):
        tower = tiny_towers.write_tower(folder / kind, kind)
        for projector in ("linear", "mlp2x_gelu"):
            settings = tiny_vlm.tiny_settings(
                language_model, tower=str(tower), image_size_px=tiny_towers.IMAGE_SIZE_PX, projector=projector
            )
            saved, exported = folder / f"{kind}-{projector}-saved", folder / f"{kind}-{projector}"
            assemble(settings, seed=0).save(saved)
            export_model(saved, "hf", exported)
            original = folder / f"{kind}-{projector}-llava" if for_llava else None
            if original is not None:
                export_model(saved, "llava", original)
            found.append((exported, original))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="Interpreter that has the other transformers.")
    parser.add_argument("--model", type=Path, help="An exported folder; small ones are made by default.")
    parser.add_argument("--llava", action="store_true", help="The other Python has LLaVA's own code.")
    options = parser.parse_args()
    if options.model and options.llava:
        parser.error("--llava compares the small models that are made here; leave --model out")
    with tempfile.TemporaryDirectory() as scratch:
        made = None if options.model else write_examples(Path(scratch), for_llava=options.llava)
        folders = made or [(options.model, None)]
        same = [compare(options.python, folder, Path(scratch), original) for folder, original in folders]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
