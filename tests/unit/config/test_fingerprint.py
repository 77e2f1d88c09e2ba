from collections.abc import Callable
from typing import Any

import pytest

from stablellava.config.fingerprint import (
    NOT_IN_DATA,
    NOT_IN_STAGE,
    changed_settings,
    data_fingerprint,
    flatten,
    stage_fingerprint,
)
from stablellava.config.loading import load_config
from stablellava.config.tree import RunConfig

LEAVES = flatten(RunConfig().model_dump(mode="json"))
CHANGED: dict[str, Any] = {
    "synthesis.capabilities": ["hair"],
    "synthesis.writer.options": {"a": 1},
    "synthesis.painter.options": {"a": 1},
    "training.align.method": "closed_form",
    "training.align.data": "dialogues",
    "training.instruct.data": "descriptions",
    "training.align.sources": [{"path": "a.json"}],
    "training.instruct.sources": [{"path": "a.json"}],
    "training.check_images": "exists",
    "training.align.schedule": "linear",
    "training.instruct.schedule": "linear",
    "training.model.projector": "mlp2x_gelu",
    "training.precision": "bfloat16",
    "training.speed.attention": "segments",
    "training.watch.keep": "best",
    "training.watch.report_to": ["tensorboard"],
    "training.instruct.lora": {"rank": 8},
}
MEASURED = ("training.watch.held_out_samples=8", "training.watch.every_steps=5")
NEEDED = {
    "training.watch.every_steps": MEASURED[:1],
    "training.watch.keep": MEASURED,
    "training.watch.stop_after": MEASURED,
    "training.watch.suite": MEASURED,
}
"""What has to be set as well for a setting to be allowed."""
CANNOT_VARY = {"training.align.train_language_model", "training.align.lora", "training.instruct.method"}


def with_another(path: str) -> tuple[RunConfig, RunConfig]:
    """Return settings and the same with one changed to some other valid value."""
    value = LEAVES[path]
    if path not in CHANGED:
        another: Any = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value
        another = value / 2 + 0.01 if isinstance(value, float) else f"{value}x" if isinstance(value, str) else another
        another = 7 if value is None else another
    else:
        another = CHANGED[path]
    needed = NEEDED.get(path, ())
    return load_config(overrides=needed), load_config(overrides=[*needed, f"{path}={another}"])


def is_excluded(path: str, table: dict[str, str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in table)


@pytest.mark.parametrize(
    ("fingerprint", "table"),
    [
        (data_fingerprint, NOT_IN_DATA),
        (lambda config: stage_fingerprint(config, "instruct"), NOT_IN_STAGE),
    ],
    ids=["data", "instruct"],
)
@pytest.mark.parametrize("path", sorted(LEAVES.keys() - CANNOT_VARY))
def test_a_setting_counts_exactly_when_no_table_excludes_it(
    path: str, fingerprint: Callable[[RunConfig], str], table: dict[str, str]
) -> None:
    before, changed = with_another(path)

    assert changed != before
    assert (fingerprint(changed) == fingerprint(before)) == is_excluded(path, table)


@pytest.mark.parametrize("table", [NOT_IN_DATA, NOT_IN_STAGE])
def test_every_exclusion_names_a_setting_and_a_reason(table: dict[str, str]) -> None:
    for name, reason in table.items():
        assert any(is_excluded(path, {name: reason}) for path in LEAVES), name
        assert reason


def test_align_does_not_depend_on_instruct() -> None:
    changed = load_config(overrides=["training.instruct.learning_rate=0.5"])

    assert stage_fingerprint(changed, "align") == stage_fingerprint(RunConfig(), "align")
    assert stage_fingerprint(changed, "instruct") != stage_fingerprint(RunConfig(), "instruct")


def test_the_products_of_one_config_differ_from_each_other() -> None:
    config = RunConfig()

    prints = {data_fingerprint(config), stage_fingerprint(config, "align"), stage_fingerprint(config, "instruct")}

    assert len(prints) == 3


def test_what_changed_is_told_setting_by_setting() -> None:
    new = load_config(overrides=["seed=3", "synthesis.num_workers=2"])

    assert changed_settings(RunConfig(), new, NOT_IN_DATA) == ["seed: 0 -> 3"]
