"""The verb: make the samples that a configuration asks for, or go on with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stablellava.backends.catalog import build_backend
from stablellava.capabilities import load_capability, load_places
from stablellava.config.tree import SINGLE_IMAGE_CAPABILITIES, RunConfig, SynthesisSettings
from stablellava.core.capability import Capability
from stablellava.core.ids import hash_id
from stablellava.filters.lexicon import Lexicon
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import DATA_SCHEMA_VERSION, lock_folder, open_manifest
from stablellava.synthesis.making import MakerSetup
from stablellava.synthesis.planning import training_planner
from stablellava.synthesis.reporting import ProgressCallback, SynthesisReport
from stablellava.synthesis.rounds import RoundLoop
from stablellava.synthesis.vocabulary import build_lexicon


@dataclass(frozen=True)
class Material:
    """The tables a run works from.

    Attributes:
        capabilities: those to make data for, in the configuration's order.
        lexicon: phrases whose mention is a claim about a picture.
    """

    capabilities: tuple[Capability, ...]
    lexicon: Lexicon


def load_material(names: Sequence[str]) -> Material:
    """Read the capabilities, and the lexicon from all single-image ones.

    Raises: ConfigError for an unknown capability, with a suggestion.
    """
    chosen = {name: load_capability(name) for name in dict.fromkeys(names)}
    claiming = [chosen.get(name) or load_capability(name) for name in SINGLE_IMAGE_CAPABILITIES]
    return Material(tuple(chosen.values()), build_lexicon(claiming, load_places()))


def synthesize(
    config: RunConfig,
    layout: RunLayout,
    progress: ProgressCallback | None = None,
    material: Material | None = None,
) -> SynthesisReport:
    """Make exactly samples_per_capability samples per capability below ``layout.data_dir``, or go on with them.

    Raises: ConfigError, RecordError (folder of another run, full disk), BackendMissing, BackendFailed.
    """
    settings = config.synthesis
    material = material or load_material(settings.capabilities)
    planners = {capability.name: training_planner(config, capability) for capability in material.capabilities}
    inputs, attribution = describe_inputs(config, material.capabilities, "train")
    with lock_folder(layout.data_dir):
        manifest = open_manifest(layout.data_dir, inputs, attribution)
        loop = RoundLoop(
            manifest,
            MakerSetup(layout.data_dir, settings, material.lexicon),
            material.capabilities,
            settings.samples_per_capability * len(material.capabilities),
            progress,
        )
        return loop.run_rounds(planners, settings.samples_per_capability)


def describe_inputs(config: RunConfig, capabilities: Sequence[Capability], purpose: str) -> tuple[dict[str, Any], str]:
    """Return everything that has a say in the data, and the painter's licence line.

    Raises: ConfigError, BackendMissing if a backend cannot be built.
    """
    settings = config.synthesis
    writer = build_backend("writer", settings.writer.backend, settings.writer.options)
    painter = build_backend("painter", settings.painter.backend, settings.painter.options)
    inputs = {
        "schema_version": DATA_SCHEMA_VERSION,
        "purpose": purpose,
        "seed": config.seed,
        "settings": data_settings(settings),
        "capabilities": {capability.name: hash_id(capability.model_dump(mode="json")) for capability in capabilities},
        "writer_revision": writer.revision,
        "painter_revision": painter.revision,
    }
    return inputs, str(painter.attribution)


def data_settings(settings: SynthesisSettings) -> dict[str, Any]:
    """Return the settings that can change the data: all but the number of processes."""
    return settings.model_dump(mode="json", exclude={"num_workers", "capabilities"})
