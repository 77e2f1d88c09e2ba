import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from stablellava.config.loading import list_presets

Invoke = Callable[..., Result]


@pytest.mark.parametrize("preset", list_presets())
def test_every_preset_can_be_planned(invoke: Invoke, preset: str) -> None:
    result = invoke("plan", "--preset", preset, "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["plan"]["num_samples"] > 0


def test_a_plan_counts_samples_steps_and_questions(invoke: Invoke) -> None:
    changes = ("synthesis.samples_per_capability=100", "training.instruct.num_samples=720")
    result = invoke("plan", "--preset", "demo", "--json", *changes)

    plan = json.loads(result.stdout)["plan"]
    assert (plan["num_samples"], plan["num_paintings"], plan["num_items"]) == (1300, 1300, 650)
    # The demo's align is solved, not stepped; its instruct takes batches of 8.
    assert [stage["num_steps"] for stage in plan["stages"]] == [0, 90]


def test_a_stage_that_is_solved_has_no_plan_of_steps(invoke: Invoke) -> None:
    asked = ("train", "plan", "--preset", "demo", "--stage", "align", "--samples", 1000, "--tokens", 30)
    shown, machine = invoke(*asked), json.loads(invoke(*asked, "--json").stdout)
    stepped = json.loads(invoke(*asked, "--json", "training.align.method=gradient").stdout)

    assert shown.exit_code == 0, shown.stderr
    assert "solves for the projector by one ridge regression" in shown.stdout
    assert "steps of" not in shown.stdout
    assert (machine["method"], machine["num_steps"]) == ("closed_form", 0)
    assert stepped["num_steps"] > 0


def test_a_plan_for_people_shows_the_resolved_settings(invoke: Invoke) -> None:
    result = invoke("plan", "--preset", "quick")

    assert "samples_per_capability: 8" in result.stdout
    assert "keywords to draw from" in result.stdout


def test_a_plan_writes_nothing(invoke: Invoke, tmp_path: Path) -> None:
    invoke("plan")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("synthesis.capabilities=animl,color", "Did you mean 'animal'?"),
        ("synthesis.capabilities=color,color", "color more than once"),
        ("synthesis.capabilities=[]", "is empty"),
        ("synthesis.painter.backend=openemoji", "Did you mean 'openmoji'?"),
        ("synthesis.writer.backend=grammer", "Did you mean 'grammar'?"),
        ("synthesis.samples=3", "Known: "),
    ],
)
def test_a_wrong_name_ends_with_exit_code_2_and_a_suggestion(invoke: Invoke, override: str, said: str) -> None:
    result = invoke("plan", override)

    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_broken_yaml_ends_with_exit_code_2_and_its_line(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("synthesis:\n  size_px: [224\n")

    result = invoke("plan", "--config", path)

    assert result.exit_code == 2
    assert f"{path}:3:1" in result.stderr


def test_an_unknown_option_ends_with_exit_code_2(invoke: Invoke) -> None:
    assert invoke("plan", "--sede", "1").exit_code == 2


def test_a_training_plan_without_data_names_the_options_that_stand_in(invoke: Invoke) -> None:
    result = invoke("train", "plan", "--preset", "llava-1.5-7b")

    assert result.exit_code == 2
    assert "give --samples and --tokens of the data that will be" in result.stderr
