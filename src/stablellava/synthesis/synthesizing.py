"""The verb: make the samples that a configuration asks for, or go on with them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stablellava.backends.catalog import build_backend
from stablellava.capabilities import load_capability, load_places
from stablellava.config.fingerprint import NOT_IN_OPTIONS
from stablellava.config.synthesis import SINGLE_IMAGE_CAPABILITIES, SynthesisSettings
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability
from stablellava.core.errors import ConfigError
from stablellava.core.ids import hash_id
from stablellava.filters.lexicon import Lexicon
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import DATA_SCHEMA_VERSION, lock_folder, open_manifest
from stablellava.synthesis.chat_drafting.room import DraftingRoom, is_chat, open_drafting
from stablellava.synthesis.chat_drafting.spending import SpendingFile
from stablellava.synthesis.evolution import Evolution
from stablellava.synthesis.making import MakerSetup
from stablellava.synthesis.painting import build_painter
from stablellava.synthesis.planning import training_planner
from stablellava.synthesis.reporting import ProgressCallback, SynthesisProgress, SynthesisReport
from stablellava.synthesis.round_plan import RoundPlanner
from stablellava.synthesis.rounds import RoundLoop
from stablellava.synthesis.target_planning import TargetedPlanner
from stablellava.synthesis.targets import check_targets, resolve_targets
from stablellava.synthesis.vocabulary import build_lexicon

Purpose = Literal["train", "evaluate"]


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

    Raises: ConfigError for an unknown capability, with a suggestion, or two of the same name.
    """
    chosen = load_chosen(names)
    claiming = [chosen.get(name) or load_capability(name) for name in SINGLE_IMAGE_CAPABILITIES]
    return Material(tuple(chosen.values()), build_lexicon(claiming, load_places()))


def load_chosen(names: Sequence[str]) -> dict[str, Capability]:
    """Return the capabilities of a run by how its settings name them.

    Raises: as ``load_material``.
    """
    chosen = {name: load_capability(name) for name in dict.fromkeys(names)}
    own = Counter(capability.name for capability in chosen.values())
    if repeated := sorted(name for name, count in own.items() if count > 1):
        raise ConfigError(f"two capabilities are named {repeated[0]!r}; give your own another name in capability.yaml")
    return chosen


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
    wanted = settings.samples_per_capability
    planners = training_planners(config, material.capabilities)
    return fill_folder(config, layout.data_dir, layout.spending_path, "train", planners, wanted, material, progress)


def fill_folder(
    config: RunConfig,
    data_dir: Path,
    spending_path: Path,
    purpose: Purpose,
    planners: Mapping[str, RoundPlanner],
    num_wanted: int,
    material: Material,
    progress: ProgressCallback | None,
) -> SynthesisReport:
    """Make samples below ``data_dir`` until every capability has ``num_wanted``, or go on with them.

    Raises: as ``synthesize``.
    """
    settings = config.synthesis
    with ExitStack() as stack:
        room = stack.enter_context(open_drafting(config)) if is_chat(settings.writer) else None
        inputs, attribution = describe_inputs(config, material.capabilities, purpose, room)
        inputs["settings"]["samples_per_capability"] = num_wanted
        stack.enter_context(lock_folder(data_dir))
        manifest = open_manifest(data_dir, inputs, attribution)
        spending = SpendingFile(spending_path, room.meter) if room is not None else None
        loop = RoundLoop(
            manifest,
            MakerSetup(data_dir, settings, material.lexicon, has_writer=room is None),
            material.capabilities,
            num_wanted * len(material.capabilities),
            _telling(progress, spending),
            drafts=room.stream if room is not None else None,
            evolution=_evolution_of(settings, material, data_dir) if purpose == "train" else None,
        )
        try:
            report = loop.run_rounds(planners, num_wanted)
        finally:
            # What a failed or interrupted start has paid counts as well.
            sums = spending.save() if spending is not None else {}
    if room is None:
        return report
    return report.model_copy(update={"spending": room.meter.total, "spending_by_capability": sums})


def _telling(progress: ProgressCallback | None, spending: SpendingFile | None) -> ProgressCallback | None:
    """Return a callback that also saves what was spent."""
    if spending is None:
        return progress

    def tell(standing: SynthesisProgress) -> None:
        spending.save_now_and_then()
        if progress is not None:
            progress(standing)

    return tell


def _evolution_of(settings: SynthesisSettings, material: Material, data_dir: Path) -> Evolution | None:
    """Return the pools of a run; evaluation items are written after the seeds alone, so that suites stay comparable."""
    pool, drafting = settings.pool, settings.drafting
    if pool is None:
        return None
    if is_chat(settings.writer):  # lineage must not name what an instruction has no room for
        pool = pool.model_copy(update={"num_shown": min(pool.num_shown, drafting.max_exemplars)})
    return Evolution(data_dir, material.capabilities, pool, drafts_per_call=drafting.drafts_per_call)


def training_planners(config: RunConfig, capabilities: Sequence[Capability]) -> dict[str, RoundPlanner]:
    """Return the planner of every capability. Raises: ConfigError for coverage targets that cannot be met."""
    if config.synthesis.coverage is not None:
        check_targets(config.synthesis.coverage, [capability.name for capability in capabilities])
    return {capability.name: _planner_of(config, capability) for capability in capabilities}


def _planner_of(config: RunConfig, capability: Capability) -> RoundPlanner:
    planner, coverage = training_planner(config, capability), config.synthesis.coverage
    if coverage is None:
        return planner
    wanted = config.synthesis.samples_per_capability
    axes = resolve_targets(coverage, capability, planner.settings_by_keyword, wanted)
    return TargetedPlanner(planner, axes, wanted, coverage.max_drafts_per_sample) if axes else planner


def describe_inputs(
    config: RunConfig, capabilities: Sequence[Capability], purpose: Purpose, room: DraftingRoom | None = None
) -> tuple[dict[str, Any], str]:
    """Return everything that has a say in the data, and the painter's licence line.

    Args:
        config: the run.
        capabilities: whose tables count.
        purpose: "train" or "evaluate".
        room: of a chat model; None where a writer drafts.

    Raises: ConfigError, BackendMissing if a backend cannot be built.
    """
    settings = config.synthesis
    if room is None:
        writer_revision = build_backend("writer", settings.writer.backend, settings.writer.options).revision
    else:
        writer_revision = room.drafter.revision
    painter = build_painter(settings)
    inputs = {
        "schema_version": DATA_SCHEMA_VERSION,
        "purpose": purpose,
        "seed": config.seed,
        "settings": data_settings(settings, room is not None),
        "capabilities": {capability.name: hash_id(capability.model_dump(mode="json")) for capability in capabilities},
        "writer_revision": writer_revision,
        "painter_revision": painter.revision if painter is not None else None,
    }
    return inputs, str(painter.attribution) if painter is not None else ""


def data_settings(settings: SynthesisSettings, has_chat: bool = False) -> dict[str, Any]:
    """Return the settings that can change the data.

    Not the number of processes, nor what calls cost; of no backend how it is reached, for its revision names what
    answers; of a writer not how a chat model would be asked.
    """
    excluded: set[str] = {"num_workers", "capabilities", "spending"} | (set() if has_chat else {"drafting"})
    kept = settings.model_dump(mode="json", exclude=excluded)
    if has_chat:
        kept["writer"] = {"backend": settings.writer.backend}
    for backend in (kept["painter"], *(check["backend"] for check in kept.get("verify", {}).get("checks", ()))):
        if backend is not None:
            backend["options"] = {name: backend["options"][name] for name in backend["options"].keys() - NOT_IN_OPTIONS}
    return kept
