"""What a product depends on, as one short hash.

A product on disk carries the fingerprint of the settings that shaped it. Equal fingerprints: it
can be resumed or skipped. Different: it is another product. Every setting counts unless a table
below says why it does not, so a setting added later counts from its first day.
"""

from typing import Any

from stablellava.config.tree import RunConfig, StageName
from stablellava.core.ids import hash_id

NOT_IN_DATA = {
    "name": "a label for people",
    "synthesis.num_workers": "work is split by shard, and seeds come from ids",
    "training": "happens after the data stand",
    "evaluation": "happens after the data stand",
}
NOT_IN_STAGE = {
    "name": "a label for people",
    "synthesis.num_workers": "never changes the data",
    "training.num_threads": "may change the last bits of a sum, not what is computed; a resume may use another machine",
    "training.align.save_every_steps": "says when to save, not what",
    "training.instruct.save_every_steps": "says when to save, not what",
    "evaluation": "happens after the weights stand",
}


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
    return {
        path: value
        for path, value in leaves.items()
        if not any(path == name or path.startswith(f"{name}.") for name in excluded)
    }


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
