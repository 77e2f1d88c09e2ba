from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stablellava.backends.adapters.diffusers_painter import DiffusersPainter
from stablellava.core.sample import PaintJob
from tiny_diffusion import save_tiny, stable_diffusion, stable_diffusion_3, stable_diffusion_xl

PainterBuilder = Callable[..., DiffusersPainter]
JobBuilder = Callable[..., PaintJob]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of saved pipelines by a short name."""
    root = tmp_path_factory.mktemp("models")
    return {
        "sd": save_tiny(stable_diffusion(), root / "tiny-sd"),
        "sdxl": save_tiny(stable_diffusion_xl(), root / "tiny-sdxl"),
        "sd3": save_tiny(stable_diffusion_3(), root / "tiny-sd3"),
        "flagging": save_tiny(stable_diffusion(flags=True), root / "tiny-flagging"),
        "passing": save_tiny(stable_diffusion(flags=False), root / "tiny-passing"),
    }


@pytest.fixture
def build_painter(models: dict[str, Path]) -> PainterBuilder:
    def build(name: str = "sd", **options: Any) -> DiffusersPainter:
        return DiffusersPainter(**{"model": str(models[name]), "steps": 2, "batch_size": 4, **options})

    return build


@pytest.fixture
def make_job() -> JobBuilder:
    def make(number: int = 0, **changes: Any) -> PaintJob:
        fields: dict[str, Any] = {
            "painting_id": f"p{number}",
            "text": f"red car {number}, on the beach",
            "emphasis": (("red car", 1.3),),
            "seed": 1000 + number,
            "width_px": 32,
            "height_px": 32,
        }
        return PaintJob(**{**fields, **changes})

    return make
