"""What a product depends on, as one short hash.

A product on disk carries the fingerprint of the settings that shaped it. Equal fingerprints: it
can be resumed or skipped. Different: it is another product. Every setting counts unless a table
below says why it does not, so a setting added later counts from its first day.
"""

from collections.abc import Iterable
from typing import Any

from stablellava.config.training import StageName
from stablellava.config.tree import RunConfig
from stablellava.core.ids import hash_id

NOT_IN_DATA = {
    "name": "a label for people",
    "synthesis.num_workers": "work is split by shard, and seeds come from ids",
    "synthesis.spending": "says where to stop, not what to make",
    "training": "happens after the data stand",
    "evaluation": "happens after the data stand",
}
NOT_IN_STAGE = {
    "name": "a label for people",
    "synthesis.num_workers": "never changes the data",
    "synthesis.spending": "never changes the data",
    "training.num_threads": "may change the last bits of a sum, not what is computed; a resume may use another machine",
    "training.speed": "changes the last bits of a sum and how long it takes, not what is computed",
    "training.watch.spike_factor": "says what to report",
    "training.watch.report_to": "says where to report",
    "training.align.save_every_steps": "says when to save, not what",
    "training.instruct.save_every_steps": "says when to save, not what",
    "evaluation": "happens after the weights stand",
}
NOT_IN_OPTIONS = {
    "base_url": "the same model may be served elsewhere after a restart",
    "key_env": "says who pays",
    "key_file": "says who pays",
    "max_in_flight": "speed",
    "rpm": "speed",
    "tpm": "speed",
    "batch_poll_seconds": "the same calls, in files",
    "timeout_seconds": "patience",
    "max_tries": "patience",
    "backoff_seconds": "patience",
    "unreachable_seconds": "patience",
    "patience_seconds": "patience",
}
"""Options of a backend that say how it is reached, by name; its revision says what it answers."""
COUNT_WHERE_CHANGED = (
    "synthesis.drafting",
    "training.model.start",
    "training.model.pad_images",
    "training.watch.suite",
    "training.watch.suite_items",
)
"""Sections younger than the first data: their defaults stand for their absence, so that old products stay known."""


def data_fingerprint(config: RunConfig) -> str:
    """Identify the synthesized samples."""
    return _hash_without("data", config, NOT_IN_DATA)


def stage_fingerprint(config: RunConfig, stage: StageName) -> str:
    """Identify the weights after a stage; align does not depend on what instruct does later."""
    excluded = dict(NOT_IN_STAGE)
    if stage == "align":
        excluded["training.instruct"] = "happens after align"
    return _hash_without(stage, config, excluded)


def changed_settings(old: RunConfig, new: RunConfig, excluded: dict[str, str]) -> list[str]:
    """Return "path: old -> new" for every setting that counts and differs."""
    before, after = _counted(old, excluded), _counted(new, excluded)
    paths = sorted(before.keys() | after.keys())
    return [
        f"{path}: {before.get(path)!r} -> {after.get(path)!r}" for path in paths if before.get(path) != after.get(path)
    ]


def _hash_without(product: str, config: RunConfig, excluded: dict[str, str]) -> str:
    return hash_id(product, _counted(config, excluded))


def _counted(config: RunConfig, excluded: dict[str, str]) -> dict[str, Any]:
    leaves = flatten(config.model_dump(mode="json"))
    defaults = flatten(RunConfig().model_dump(mode="json"))
    return {
        path: value
        for path, value in leaves.items()
        if not _lies_in(path, excluded)
        and not (".options." in path and path.rpartition(".options.")[2].partition(".")[0] in NOT_IN_OPTIONS)
        and not (_lies_in(path, COUNT_WHERE_CHANGED) and value == defaults.get(path))
    }


def _lies_in(path: str, sections: Iterable[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in sections)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted path -> value for every leaf; an empty mapping is a leaf."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            leaves.update(flatten(value, f"{path}."))
        else:
            leaves[path] = value
    return leaves
