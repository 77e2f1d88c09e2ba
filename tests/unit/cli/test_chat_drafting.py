import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stablellava.cli.app import build_app
from stablellava.core.errors import UserError

FAKE = ["synthesis.writer.backend=fake-chat", "synthesis.painter=null", "synthesis.capabilities=animal,food"]
SMALL = [*FAKE, "synthesis.samples_per_capability=6", "synthesis.held_out_share=0.1"]


@pytest.fixture(autouse=True)
def _work_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(build_app(), list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_preview_shows_the_very_messages_and_asks_nobody() -> None:
    shown = [*FAKE[:2], "-k", "story", "-n", "1", "--show-request"]
    code, printed, _ = run("preview", *shown)
    assert code == 0
    assert "[system]" in printed
    assert "Keywords: " in printed
    assert '"prompts"' in printed
    code, printed, _ = run("preview", *shown, "--json")
    assert [request["schema_name"] for request in json.loads(printed)["requests"]] == ["prompt", "dialogue"]


def test_a_writer_without_messages_says_so() -> None:
    code, _, told = run("preview", "--show-request", "--preset", "quick")
    assert code == UserError.exit_code
    assert "no chat model" in told


def test_a_run_stopped_by_max_calls_says_how_to_go_on_and_ends_well() -> None:
    code, printed, told = run("synthesize", *SMALL, "--max-calls", "10", "--json")
    assert code == 0
    assert json.loads(printed)["spending"]["num_calls"] == 10
    assert "stopped, not complete: synthesis.spending.max_calls=10 is reached" in told
    code, printed, told = run("synthesize", *SMALL, "--json")
    assert code == 0
    assert json.loads(printed)["num_accepted"] == 12
    assert "stopped" not in told


def test_a_cost_is_stated_where_prices_are_known() -> None:
    prices = ["synthesis.spending.price_in=1", "synthesis.spending.price_out=2"]
    code, printed, _ = run("synthesize", *SMALL, *prices)
    assert code == 0
    assert "unknown" not in printed
    code, _, told = run("synthesize", *SMALL, "--max-cost", "1", "--run", "other")
    assert code == UserError.exit_code
    assert "price_in" in told


def test_plan_predicts_calls_from_averages_and_from_a_probe() -> None:
    code, printed, _ = run("plan", *SMALL, "--json")
    assert code == 0
    stated = json.loads(printed)["drafting"]
    assert stated["num_calls"] == 2 * 12 / 0.8
    assert stated["cost"] is None
    code, printed, _ = run("plan", *SMALL, "--probe", "6", "--json", "synthesis.spending.price_in=1",
                           "synthesis.spending.price_out=1")  # fmt: skip
    assert code == 0
    probed = json.loads(printed)["drafting"]
    assert "a sample of" in probed["basis"]
    assert probed["cost"] == pytest.approx((probed["tokens_in"] + probed["tokens_out"]) / 1e6)
    assert 24 <= probed["num_calls"] <= 48


def test_an_unknown_instruction_set_is_named_with_what_would_work() -> None:
    code, _, told = run("synthesize", *SMALL, "synthesis.drafting.instructions=shrt")
    assert code == UserError.exit_code
    assert "short" in told
