import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Invoke = Callable[..., Result]
SETTINGS = ("synthesis.painter.backend=fake-painter", "synthesis.size_px=64", "synthesis.num_workers=1")
NOBODY = "synthesis.writer.options={model: m, base_url: http://127.0.0.1:9/v1, max_tries: 1, unreachable_seconds: 0.1}"
TWO = ("synthesis.capabilities=animal,food", "synthesis.samples_per_capability=6", "synthesis.shard_size=3")


def test_a_run_is_made_inspected_and_gone_on_with(invoke: Invoke) -> None:
    first = invoke("synthesize", "--run", "run", "--json", *SETTINGS, *TWO)
    again = invoke("synthesize", "--run", "run", "--json")

    assert first.exit_code == 0, first.stderr
    assert {name: counts["accepted"] for name, counts in json.loads(first.stdout)["counts"].items()} == {
        "animal": 6,
        "food": 6,
    }
    assert json.loads(again.stdout)["num_painted"] == 0
    assert json.loads(again.stdout)["fingerprint"] == json.loads(first.stdout)["fingerprint"]


def test_other_settings_for_the_same_run_are_refused_and_named(invoke: Invoke) -> None:
    invoke("synthesize", "--run", "run", *SETTINGS, *TWO)

    result = invoke("synthesize", "--run", "run", "seed=7")

    assert result.exit_code == 2
    assert "seed: 0 -> 7" in result.stderr
    assert invoke("synthesize", "--run", "run", "--json").exit_code == 0  # the run still has its own settings


def test_a_start_that_failed_before_it_made_anything_can_be_corrected(invoke: Invoke, tmp_path: Path) -> None:
    failed = invoke("synthesize", "--run", "run", "--preset", "chat", *SETTINGS, *TWO, NOBODY, "--max-calls", 5)
    corrected = invoke("synthesize", "--run", "run", "--preset", "demo", *SETTINGS, *TWO)

    assert "nothing answers at http://127.0.0.1:9/v1" in failed.stderr
    assert (tmp_path / "run" / "data" / "manifest.json").is_file()
    assert corrected.exit_code == 0, corrected.stderr


def test_a_limit_on_calls_that_nobody_makes_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("synthesize", "--run", "run", "--max-calls", 5, *SETTINGS, *TWO)

    assert result.exit_code == 2
    assert "writer 'grammar' is none; leave them out" in result.stderr
    assert not (tmp_path / "run").exists()


def test_samples_rejects_and_coverage_can_be_looked_at(invoke: Invoke) -> None:
    invoke("synthesize", "--run", "run", *SETTINGS, *TWO)

    samples = json.loads(invoke("inspect", "samples", "--run", "run", "-n", 2, "--json").stdout)["samples"]
    rejects = json.loads(invoke("inspect", "rejects", "--run", "run", "--json").stdout)
    coverage = json.loads(invoke("inspect", "coverage", "--run", "run", "-k", "food", "--json").stdout)["coverage"]

    assert len(samples) == 2
    assert rejects["num_rejects"] == sum(row["count"] for row in rejects["by_reason"])
    assert [(entry["capability"], entry["num_samples"]) for entry in coverage] == [("food", 6)]


def test_samples_are_shown_of_every_capability_in_turn(invoke: Invoke) -> None:
    invoke("synthesize", "--run", "run", *SETTINGS, *TWO)

    samples = json.loads(invoke("inspect", "samples", "--run", "run", "-n", 20, "--json").stdout)["samples"]

    assert [sample["draft"]["capability"] for sample in samples] == ["animal", "food"] * 6
    assert len({sample["sample_id"] for sample in samples}) == 12


def test_a_capability_the_run_does_not_have_is_answered_with_the_nearest(invoke: Invoke) -> None:
    invoke("synthesize", "--run", "run", *SETTINGS, *TWO)

    result = invoke("inspect", "samples", "--run", "run", "--capability", "foods")

    assert result.exit_code == 2
    assert "Did you mean 'food'?" in result.stderr


def test_a_preview_is_one_page_with_its_pictures(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("preview", "-n", 2, "--capability", "animal", "--json", *SETTINGS)

    page = tmp_path / json.loads(result.stdout)["page"]
    assert page.read_text(encoding="utf-8").count("data:image/") >= 2
    assert not (tmp_path / "runs" / "demo").exists()


def test_a_preview_of_an_unknown_capability_is_answered_with_the_nearest(invoke: Invoke) -> None:
    result = invoke("preview", "--capability", "abnornal", "--no-open")

    assert result.exit_code == 2
    assert "Did you mean 'abnormal'?" in result.stderr


def test_a_report_can_be_written_at_any_time(invoke: Invoke, tmp_path: Path) -> None:
    invoke("synthesize", "--run", "run", *SETTINGS, *TWO)

    result = invoke("report", "--run", "run", "--json")

    assert result.exit_code == 0, result.stderr
    assert (tmp_path / json.loads(result.stdout)["report"]).is_file()


def test_a_full_disk_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    code = "from stablellava.cli import main; main()"
    command = [sys.executable, "-c", code, "synthesize", "--preset", "quick", "--run", "run", *SETTINGS, *TWO]

    finished = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # A file may not grow past this many bytes: pictures fit, shards do not.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
    )

    assert finished.returncode == 2, finished.stderr
    assert "no space left" in finished.stderr
    assert "Traceback" not in finished.stderr
