"""The capability benchmark's generated half: held-out items, drafted, painted and checked like training data.

Paper: 2308.10253v1, section 4 (questions drafted by their own instruction, short reference answers).
Departs: items use only keyword-setting combinations that training cannot have seen, and that is checked.
"""

from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability
from stablellava.core.draft import Draft
from stablellava.core.errors import RecordError
from stablellava.core.sample import Sample
from stablellava.core.score import EvalItem
from stablellava.store.files import write_atomic
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import lock_folder
from stablellava.store.shards import list_shards, read_samples
from stablellava.synthesis.planning import evaluation_planner
from stablellava.synthesis.reporting import ProgressCallback, SynthesisReport
from stablellava.synthesis.synthesizing import Material, fill_folder, load_material

SUITE_NAME = "generated"
ITEMS_FILE = "items.jsonl"


def make_suite(
    config: RunConfig,
    layout: RunLayout,
    progress: ProgressCallback | None = None,
    material: Material | None = None,
) -> SynthesisReport:
    """Make items_per_capability items per capability below ``suites/generated``, or go on with them.

    Raises: as ``synthesize``; RecordError if the run's samples show a combination of the suite.
    """
    suite_dir, num_items = layout.suite_dir(SUITE_NAME), config.evaluation.items_per_capability
    material = material or load_material(config.synthesis.capabilities)
    planners = {capability.name: evaluation_planner(config, capability) for capability in material.capabilities}
    report = fill_folder(config, suite_dir, layout.spending_path, "evaluate", planners, num_items, material, progress)
    if not report.stopped:
        with lock_folder(suite_dir):
            _write_items(layout, material)
    return report


def _write_items(layout: RunLayout, material: Material) -> None:
    suite_dir = layout.suite_dir(SUITE_NAME)
    capabilities = {capability.name: capability for capability in material.capabilities}
    drafts = list(read_samples(suite_dir))
    if list_shards(layout.data_dir):
        _refuse_leaks([sample.draft for sample in drafts], [sample.draft for sample in read_samples(layout.data_dir)])
    items = [_to_item(layout, sample, capabilities[sample.draft.capability]) for sample in drafts]
    write_atomic(suite_dir / ITEMS_FILE, b"".join(item.to_json() + b"\n" for item in items))


def _refuse_leaks(held_out: list[Draft], trained: list[Draft]) -> None:
    seen = {(draft.capability, draft.keyword, draft.setting) for draft in trained}
    leaks = sorted({(draft.capability, draft.keyword, draft.setting) for draft in held_out} & seen)
    if leaks:
        named = "; ".join(" / ".join(leak) for leak in leaks[:3])
        raise RecordError(f"{len(leaks)} combinations of the suite are in the training data: {named}. Make both anew")


def _to_item(layout: RunLayout, sample: Sample, capability: Capability) -> EvalItem:
    draft, suite_dir = sample.draft, layout.suite_dir(SUITE_NAME)
    assert draft.form is not None
    images = [painting.sha256 for painting in sample.paintings]
    question = next(turn.text for turn in reversed(draft.turns) if turn.speaker == "user")
    other = dict(draft.attributes).get("other", "")
    return EvalItem(
        item_id=sample.sample_id,
        capability=draft.capability,
        images=tuple(image_path(suite_dir, sha256).relative_to(suite_dir).as_posix() for sha256 in images),
        images_sha256=tuple(images),
        question=question,
        accepted=draft.accepted_answers,
        rejected=_all_names(capability, other) if other and draft.form == "either_or" else (),
        form=draft.form,
        keyword=draft.keyword,
        setting=draft.setting,
    )


def _all_names(capability: Capability, answer: str) -> tuple[str, ...]:
    """Return the wrong alternative with every phrase that means the same."""
    meant = [keyword for keyword in capability.keywords if answer in (keyword.name, keyword.short_answer)]
    return tuple(dict.fromkeys([answer, *(name for keyword in meant for name in keyword.accepted_answers)]))
