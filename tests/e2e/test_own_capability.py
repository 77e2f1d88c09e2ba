"""A capability of a user's own, from its folder to the report, with the verbs as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tiny_vlm
from stablellava.cli.app import build_app
from toys import copy_capability

RunVerb = Callable[..., str]


@pytest.fixture
def run_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunVerb:
    """Run a verb beside the folder of a capability named pets; return what it prints."""
    copy_capability(tmp_path, "pets").rename(tmp_path / "my_pets")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(build_app(), arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return run


SETTINGS = (
    "synthesis.capabilities=./my_pets,food",
    "synthesis.samples_per_capability=6",
    "synthesis.painter.backend=fake-painter",
    "synthesis.size_px=64",
    "synthesis.num_workers=1",
)


def test_a_capability_of_ones_own_goes_through_the_whole_loop(
    run_verb: RunVerb, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    language_model = tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))
    stages = [
        f"training.{stage}.{setting}"
        for stage in ("align", "instruct")
        for setting in ("num_samples=4", "batch_size=2")
    ]
    training = [f"training.model.language_model={language_model}", "training.model.image_size_px=64", *stages]
    settings = [*SETTINGS, *training, "training.num_threads=1", "evaluation.items_per_capability=3"]

    planned = json.loads(run_verb("plan", "--json", *settings))["plan"]
    made = json.loads(run_verb("demo", "--preset", "quick", "--run", "run", "--json", *settings))
    coverage = json.loads(run_verb("inspect", "coverage", "--run", "run", "-k", "pets", "--json"))["coverage"]
    log = json.loads((tmp_path / "run" / "evaluation" / "generated.instruct.json").read_text(encoding="utf-8"))
    page = Path(made["report"]).read_text(encoding="utf-8")

    assert planned["capabilities"] == ["pets", "food"]
    assert [(entry["capability"], entry["num_samples"]) for entry in coverage] == [("pets", 6)]
    assert [entry["item"]["capability"] for entry in log["entries"]].count("pets") == 3
    assert "pets" in page


def test_what_is_made_of_a_run_knows_its_own_capabilities(run_verb: RunVerb, tmp_path: Path) -> None:
    run_verb("synthesize", "--run", "run", *SETTINGS)

    kept = json.loads(run_verb("filter", "--run", "run", "--out", "clean", "--json"))
    run_verb("negatives", "--run", "run", "--out", "negatives", "--share", "0.1")
    report = Path(json.loads(run_verb("report", "--run", "run", "--json"))["report"]).read_text(encoding="utf-8")

    assert kept["num_kept"] == 12
    card = (tmp_path / "clean" / "data" / "card.md").read_text(encoding="utf-8")
    assert "pets" in card
    assert "pets" in report


def test_a_preview_of_ones_own_lies_with_the_other_previews(run_verb: RunVerb) -> None:
    page = json.loads(run_verb("preview", "-n", "1", "--capability", "./my_pets", "--json", *SETTINGS[2:]))["page"]
    assert page == "runs/preview/pets.html"
