"""From an evaluation log to a next run that makes what is missing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from stablellava.config.loading import load_config
from stablellava.core.score import Answer, EvalItem, EvalLog, EvalLogEntry, ItemScore
from stablellava.evaluation.capability_benchmark import write_log
from stablellava.evaluation.reporting import build_reports
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples

Invoke = Callable[..., Result]
ANIMALS = ("dog", "cat", "horse", "cow", "pig")


def entry(capability: str, keyword: str, number: int, value: float | None) -> EvalLogEntry:
    item_id = f"{capability}-{keyword}-{number}"
    item = EvalItem(item_id=item_id, capability=capability, images=(), question="?", accepted=("x",), keyword=keyword)
    return EvalLogEntry(
        item=item,
        answer=Answer(item_id=item_id, prompt="?", text=""),
        score=ItemScore(item_id=item_id, value=value, why="" if value is not None else "no answer"),
    )


@pytest.fixture
def layout(invoke: Invoke) -> RunLayout:
    """A run of two capabilities: animal is weak at dogs, color is strong."""
    done = invoke("synthesize", "--run", "mine", "synthesis.capabilities=animal,color",
                  "synthesis.samples_per_capability=4", "synthesis.num_workers=1", "synthesis.size_px=64")  # fmt: skip
    assert done.exit_code == 0, done.output
    layout = RunLayout(Path("mine"))
    entries = [entry("animal", name, number, float(name != "dog" and number == 0)) for name in ANIMALS
               for number in range(10)]  # fmt: skip
    entries += [entry("color", "red", number, float(number > 0)) for number in range(50)]
    log = EvalLog(
        suite="generated", model="m", model_fingerprint="", data_fingerprint="", created="", package_version="",
        reports=build_reports(entries), entries=tuple(entries),
    )  # fmt: skip
    write_log(log, layout.eval_log_path("generated", "instruct"))
    return layout


def result_of(invoke: Invoke, *arguments: object) -> dict[str, Any]:
    done = invoke("retarget", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_the_next_run_makes_what_is_missing_and_more_of_what_was_wrong(invoke: Invoke, layout: RunLayout) -> None:
    result = result_of(invoke, "--run", layout.root, "--num", 120)
    assert [short["capability"] for short in result["shortfalls"]] == ["animal"]
    assert result["shortfalls"][0]["missed"]["dog"] == 10
    done = invoke("synthesize", "--config", result["settings"], "--run", "mine-next", "synthesis.painter=null")
    assert done.exit_code == 0, done.output
    following = [sample.draft for sample in read_samples(RunLayout(Path("mine-next")).data_dir)]
    assert {draft.capability for draft in following} == {"animal"}
    assert len(following) == 120
    num_each = {name: sum(draft.keyword == name for draft in following) for name in (*ANIMALS, "owl", "lion")}
    assert all(num_each[name] >= 2 * max(1, num_each["owl"]) for name in ANIMALS), num_each


def test_the_next_training_goes_on_from_the_measured_model_half_old_half_new(invoke: Invoke, layout: RunLayout) -> None:
    config = load_config(Path(result_of(invoke, "--run", layout.root)["settings"]))
    assert config.seed == 1
    assert config.training.model.start == "mine/model/instruct"
    assert [(source.path, source.share) for source in config.training.instruct.sources] == [("", 1.0), ("mine", 1.0)]


def test_an_interval_that_reaches_the_target_does_not_show_a_shortfall(invoke: Invoke, layout: RunLayout) -> None:
    result = result_of(invoke, "--run", layout.root, "--target", 18)
    assert result["shortfalls"] == []  # 4 of 50 right: 3.2 to 18.8 %
    assert not (layout.root / "next.yaml").exists()


def test_the_weakest_come_first_and_only_so_many(invoke: Invoke, layout: RunLayout) -> None:
    named = [short["capability"] for short in result_of(invoke, "--run", layout.root, "--target", 100)["shortfalls"]]
    assert named == ["animal", "color"]
    result = result_of(invoke, "--run", layout.root, "--target", 100, "--most", 1)
    assert [short["capability"] for short in result["shortfalls"]] == ["animal"]


def test_a_run_that_was_not_evaluated_is_told_how_to(invoke: Invoke, layout: RunLayout) -> None:
    layout.eval_log_path("generated", "instruct").unlink()
    done = invoke("retarget", "--run", layout.root)
    assert done.exit_code == 2
    assert "Evaluate first: stablellava evaluate --model mine/model/instruct" in done.stderr
