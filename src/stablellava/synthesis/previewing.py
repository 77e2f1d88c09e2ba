"""A few samples to look at before a run, made exactly as the run would make them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from stablellava.config.tree import RunConfig
from stablellava.core.sample import Sample
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.synthesis.synthesizing import Material, synthesize


@dataclass(frozen=True)
class PreviewSample:
    """A sample with the bytes of its pictures."""

    sample: Sample
    images: tuple[bytes, ...]


def preview(
    config: RunConfig, capability: str, num_samples: int, material: Material | None = None
) -> list[PreviewSample]:
    """Return accepted samples of one capability; fewer if rounds run out. Leaves nothing on disk.

    Raises: as ``synthesize``.
    """
    changes = {
        "capabilities": (capability,), "samples_per_capability": num_samples, "num_workers": 1,
        "coverage": None,  # targets add up to a whole run
    }  # fmt: skip
    config = config.model_copy(update={"synthesis": config.synthesis.model_copy(update=changes)})
    with tempfile.TemporaryDirectory() as folder:
        layout = RunLayout(Path(folder))
        report = synthesize(config, layout, material=material)
        samples = read_samples(layout.data_dir) if report.num_accepted else ()
        return [
            PreviewSample(
                sample,
                tuple(image_path(layout.data_dir, painting.sha256).read_bytes() for painting in sample.paintings),
            )
            for sample in samples
        ]
