"""Backends by name. Adapters are imported when they are asked for, never before."""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Literal

from stablellava.core.errors import BackendMissing, ConfigError
from stablellava.core.suggesting import suggest_name

Kind = Literal["writer", "chat", "painter", "repainter", "scorer", "classifier", "features"]
ENTRY_POINT_GROUP = "stablellava.backends"

_BUILT_IN: dict[str, str] = {
    "writer.grammar": "stablellava.backends.adapters.grammar:GrammarWriter",
    "writer.fake-writer": "stablellava.backends.adapters.fake:FakeWriter",
    "chat.openai": "stablellava.backends.adapters.wire:WireChat",
    "chat.llamacpp": "stablellava.backends.adapters.llamacpp:LlamaCppChat",
    "chat.fake-chat": "stablellava.backends.adapters.fake_chat:FakeChat",
    "features.efficientnet-lite0": "stablellava.backends.adapters.picture_features:EfficientNetFeatures",
    "scorer.image-text": "stablellava.backends.adapters.image_text_scorer:ImageTextScorer",
    "classifier.image-classifier": "stablellava.backends.adapters.image_classifier:ImageClassifier",
    "painter.openmoji": "stablellava.backends.adapters.openmoji:OpenMojiPainter",
    "painter.diffusers": "stablellava.backends.adapters.diffusers_painter:DiffusersPainter",
    "repainter.diffusers": "stablellava.backends.adapters.diffusers_painter:DiffusersRepainter",
    "painter.openai-images": "stablellava.backends.adapters.wire:WirePainter",
    "painter.fake-painter": "stablellava.backends.adapters.fake:FakePainter",
}
_EXTRA_OF_BACKEND = {"painter.diffusers": "diffusers", "repainter.diffusers": "diffusers"}
"""What to install for backends that need more than one package."""


def list_backends() -> dict[str, str]:
    """Return "kind.name" -> "module:class" for built-in and third-party backends."""
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**found, **_BUILT_IN}


def build_backend(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Import and build a backend.

    Raises: ConfigError for an unknown name or option, BackendMissing when a package is not installed.
    """
    known = list_backends()
    target = known.get(f"{kind}.{name}")
    if target is None:
        names = [key.partition(".")[2] for key in known if key.startswith(f"{kind}.")]
        raise ConfigError(f"no {kind} named {name!r}. {suggest_name(name, names)}")
    module_name, _, class_name = target.partition(":")
    try:
        backend_class = getattr(importlib.import_module(module_name), class_name)
    except ImportError as exc:
        extra = _EXTRA_OF_BACKEND.get(f"{kind}.{name}")
        wanted = f"'stablellava[{extra}]'" if extra else exc.name
        raise BackendMissing(f"{kind} {name!r} needs the package {exc.name!r}: pip install {wanted}") from exc
    try:
        return backend_class(**dict(options or {}))
    except TypeError as exc:
        raise ConfigError(f"{kind} {name!r} does not take these options: {exc}") from exc
