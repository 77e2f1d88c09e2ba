"""Two small capabilities and a configuration on the fake backends, for tests of everything above them."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from stablellava.config.base import BackendSettings
from stablellava.config.synthesis import SynthesisSettings
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability, DialogueExemplar, EvaluationForm, Keyword, Place, PromptExemplar
from stablellava.synthesis.synthesizing import Material
from stablellava.synthesis.vocabulary import build_lexicon

TOY_SETTINGS = ("beach", "forest", "desert", "kitchen", "garden", "office")


def toy_capability(name: str, keywords: tuple[Keyword, ...], **changes: Any) -> Capability:
    fields: dict[str, Any] = {
        "name": name,
        "title": name.title(),
        "group": "life",
        "brief": "Things to see.",
        "cautions": ("Nothing unseen.",),
        "answer_form": "One sentence.",
        "paper": "2308.10253v1, section 3",
        "settings": TOY_SETTINGS,
        "visual_features": ("soft light",),
        "keywords": keywords,
        "prompt_exemplars": (PromptExemplar(keyword=keywords[0].name, texts=(keywords[0].name,)),),
        "dialogue_exemplars": (DialogueExemplar(prompts=("x",), turns=("What?", "That.")),),
        "description_questions": ("What do you see?",),
        "evaluation_forms": (
            EvaluationForm(kind="wh", question="What is this?"),
            EvaluationForm(kind="yes_no", question="Is this a {keyword}?"),
            EvaluationForm(kind="either_or", question="Is this a {first} or a {second}?"),
        ),
        "grammar": {},
    }
    return Capability(**{**fields, **changes})


def toy_material() -> Material:
    animals = ("dog", "cat", "horse", "zebra", "lion", "owl", "frog", "goat")
    vehicles = ("car", "truck", "boat", "train", "bike", "plane")
    capabilities = (
        toy_capability("animal", tuple(Keyword(name=name) for name in animals)),
        toy_capability("vehicle", tuple(Keyword(name=name) for name in vehicles)),
    )
    return Material(capabilities, build_lexicon(capabilities, [Place(name="beach", phrase="on the beach")]))


def toy_config(
    writer: dict[str, Any] | None = None, painter: dict[str, Any] | None = None, seed: int = 0, **settings: Any
) -> RunConfig:
    fields: dict[str, Any] = {
        "capabilities": ("animal", "vehicle"),
        "samples_per_capability": 20,
        "writer": BackendSettings(backend="fake-writer", options=writer or {}),
        "painter": BackendSettings(backend="fake-painter", options=painter or {}),
        "size_px": 48,
        "shard_size": 8,
        "num_workers": 1,
    }
    return RunConfig(seed=seed, synthesis=SynthesisSettings(**{**fields, **settings}))


def tree_digest(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def copy_capability(folder: Path, name: str) -> Path:
    """Return the path of a user's own capability, made of a built-in one."""
    own = folder / name
    with as_file(files("stablellava.capabilities") / "animal") as built_in:
        shutil.copytree(built_in, own)
    text = (own / "capability.yaml").read_text(encoding="utf-8")
    (own / "capability.yaml").write_text(text.replace("name: animal", f"name: {name}", 1), encoding="utf-8")
    return own
