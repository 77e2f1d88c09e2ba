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


def test_the_next_training_goes_on_from_the_measured_model_beside_the_old_samples(
    invoke: Invoke, layout: RunLayout
) -> None:
    recipe = ("training.align.method=gradient", "training.instruct.num_samples=null")
    result = result_of(invoke, "--run", layout.root, *recipe)
    config = load_config(Path(result["settings"]))
    assert config.seed == 1
    assert config.training.model.start == "mine/model/instruct"
    assert [(source.path, source.share) for source in config.training.instruct.sources] == [("", None), ("mine", None)]
    assert config.training.align.sources == ()
    assert [command for command in result["commands"] if " train " in command] == [
        "stablellava train --stage instruct --run mine-next"
    ]


def test_a_projector_that_is_solved_for_is_solved_again_from_old_and_new_pictures(
    invoke: Invoke, layout: RunLayout
) -> None:
    result = result_of(invoke, "--run", layout.root, "training.align.method=closed_form")
    config = load_config(Path(result["settings"]))
    assert [(source.path, source.epochs) for source in config.training.align.sources] == [("", None), ("mine", 4.0)]
    assert [command.split()[3] for command in result["commands"] if " train " in command] == ["align", "instruct"]


def test_a_fixed_number_of_draws_stays_mostly_with_what_was_drawn_before(invoke: Invoke, layout: RunLayout) -> None:
    others = "training.instruct.sources=[{path: '', share: 0.4}, {path: others.json, share: 0.6}]"
    result = result_of(invoke, "--run", layout.root, "training.instruct.num_samples=100", others)
    sources = load_config(Path(result["settings"])).training.instruct.sources
    assert [source.path for source in sources] == ["", "mine", "others.json"]
    assert [source.share for source in sources] == pytest.approx([1 / 3, 0.4, 0.6])


def test_a_next_run_can_be_followed_by_another(invoke: Invoke, layout: RunLayout) -> None:
    """It makes animals alone, and is asked about colors, too, from the first run's suite."""
    first = result_of(invoke, "--run", layout.root)
    done = invoke("synthesize", "--config", first["settings"], "--run", "mine-next", "synthesis.painter=null")
    assert done.exit_code == 0, done.output
    entries = [entry("color", "red", number, float(number > 30)) for number in range(50)]
    log = EvalLog(
        suite="generated", suite_dir="mine/suites/generated", model="m", model_fingerprint="", data_fingerprint="",
        created="", package_version="", reports=build_reports(entries), entries=tuple(entries),
    )  # fmt: skip
    write_log(log, RunLayout(Path("mine-next")).eval_log_path("generated", "instruct"))
    second = result_of(invoke, "--run", "mine-next")
    config = load_config(Path(second["settings"]))
    assert config.synthesis.capabilities == ("color",)
    assert [source.path for source in config.training.instruct.sources] == ["", "mine-next", "mine"]
    assert [source.epochs for source in config.training.align.sources] == [None, 4.0, 4.0]
    assert (
        "stablellava evaluate --model mine-next-next/model/instruct --data mine/suites/generated" in second["commands"]
    )


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
