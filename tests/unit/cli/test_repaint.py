"""The verb repaint, as a user types it, on pictures of tiny pipelines of the real classes."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from stablellava.backends.adapters.diffusers_painter import DiffusersPainter
from stablellava.backends.adapters.diffusers_painter.stamping import encode_picture
from stablellava.backends.picture_stamps import read_stamp
from stablellava.cli.app import build_app
from stablellava.core.sample import Painted, PaintJob
from tiny_diffusion import save_tiny, stable_diffusion

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(stable_diffusion(), tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture(scope="module")
def pictures(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two pictures as a run would write them: three painted at once, then one alone."""
    folder = tmp_path_factory.mktemp("pictures")
    jobs = [
        PaintJob(painting_id=f"p{seed}", text="[red] car, on the beach", seed=seed, width_px=32, height_px=32)
        for seed in range(4)
    ]
    results = DiffusersPainter(model=str(model), steps=2, batch_size=3).paint(jobs)
    paths = []
    for name, result in zip(("first", "second", "third", "last"), results, strict=True):
        assert isinstance(result, Painted)
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(result.image)
    return [paths[1], paths[3]]


def with_other_version(path: Path, target: Path, **changes: Any) -> Path:
    """Write a copy of a picture whose stamp says something else."""
    stamp = read_stamp(path.read_bytes()).model_copy(update=changes)
    with Image.open(path) as picture:
        target.write_bytes(encode_picture(picture, stamp, "png", 95))
    return target


def test_pictures_are_painted_again_to_the_byte(pictures: list[Path], model: Path, tmp_path: Path) -> None:
    result = run("repaint", *pictures, "--model", model, "--out", tmp_path / "again")
    assert result.exit_code == 0
    assert "2 of 2 the same to the byte" in result.stdout
    assert "[red] car, on the beach" in result.stdout
    assert [(tmp_path / "again" / path.name).read_bytes() for path in pictures] == [p.read_bytes() for p in pictures]


def test_what_is_not_as_it_was_is_named_and_a_likeness_painted(
    pictures: list[Path], model: Path, tmp_path: Path
) -> None:
    libraries = {**read_stamp(pictures[0].read_bytes()).libraries, "torch": "1.0"}
    aged = with_other_version(pictures[0], tmp_path / "aged.png", libraries=libraries)
    result = run("repaint", aged, "--model", model, "--json")
    [told] = json.loads(result.stdout)["pictures"]
    assert [line.startswith("torch was 1.0, here it is") for line in told["differences"]] == [True]
    assert (told["is_same"], told["largest_difference"], told["out"]) == (False, 0, "")
    assert (told["settings"]["steps"], told["settings"]["scheduler"]) == (2, "DDIMScheduler")
    refused = run("repaint", aged, "--model", model, "--exact")
    assert refused.exit_code == 2
    assert "aged.png cannot be painted again to the byte: torch was 1.0" in refused.stderr


def test_another_picture_is_said_to_be_another(pictures: list[Path], model: Path, tmp_path: Path) -> None:
    reseeded = with_other_version(pictures[0], tmp_path / "reseeded.png", seed=99)
    result = run("repaint", reseeded, "--model", model)
    assert result.exit_code == 0
    assert "% of color values differ, by" in result.stdout
    assert "0 of 1 the same to the byte" in result.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a picture", "holds no stamp"),
        (None, "no such file"),
        ("plain", "holds no stamp"),
        ("cut", "not a whole PNG"),
    ],
)
def test_a_picture_without_a_stamp_is_one_line_that_names_it(
    content: bytes | str | None, said: str, pictures: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "own.png"
    if content == "plain":
        Image.new("RGB", (8, 8)).save(path)
    elif content == "cut":
        path.write_bytes(pictures[0].read_bytes()[:-40])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    result = run("repaint", pictures[0], path)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert str(path) in result.stderr


def test_a_local_model_has_to_be_named(pictures: list[Path]) -> None:
    result = run("repaint", pictures[0])
    assert result.exit_code == 2
    assert "--model FOLDER" in result.stderr


def test_a_missing_library_is_named_with_what_to_install(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stablellava.backends.adapters.diffusers_painter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    result = run("repaint", pictures[0], "--model", "anywhere")
    assert result.exit_code == 3
    assert "pip install 'stablellava[diffusers]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name pictures to paint again"),
        (["--sample", "ab"], "repaint --run DIR --sample ID"),
        (["FIRST", "FIRST", "--out", "again"], "several pictures would be written to"),
        (["FIRST", "--out", "HERE"], "name another folder"),
        (["FIRST", "--option", "steps"], "--option 'steps': KEY=VALUE is needed"),
        (["FIRST", "--option", "stpes=2"], "steps"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], said: str, pictures: list[Path]) -> None:
    places = {"FIRST": str(pictures[0]), "HERE": str(pictures[0].parent)}
    result = run("repaint", *(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "drawn"
    settings = [
        "synthesis.capabilities=animal,difference",
        "synthesis.samples_per_capability=2",
        "synthesis.size_px=64",
    ]
    assert run("synthesize", "--run", folder, "synthesis.num_workers=1", *settings).exit_code == 0
    return folder


def test_a_sample_of_a_run_is_painted_again_by_the_runs_own_painter(drawn: Path) -> None:
    listed = run("inspect", "samples", "--run", drawn, "--capability", "difference", "--json")
    sample = json.loads(listed.stdout)["samples"][0]
    result = run("repaint", "--run", drawn, "--sample", sample["sample_id"][:12], "--json")
    told = json.loads(result.stdout)
    assert told["num_same"] == len(sample["paintings"]) > 1
    assert {picture["painted_from"] for picture in told["pictures"]} == {"draft"}
    missing = run("repaint", "--run", drawn, "--sample", "zz")
    assert missing.exit_code == 2
    assert "no sample 'zz'" in missing.stderr


def test_pictures_that_were_imported_without_prompts_cannot_be_painted_again(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 80).save(tmp_path / "cat.png")
    turns = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]
    rows = tmp_path / "animal.json"
    rows.write_text(json.dumps([{"id": "a", "image": "cat.png", "conversations": turns}]), encoding="utf-8")
    folder = tmp_path / "run"
    imported = run("import", rows, "--run", folder, "synthesis.painter=null", "synthesis.num_workers=1")
    assert imported.exit_code == 0, imported.stderr
    [sample] = json.loads(run("inspect", "samples", "--run", folder, "--json").stdout)["samples"]
    result = run("repaint", "--run", folder, "--sample", sample["sample_id"])
    assert result.exit_code == 2
    assert "holds no stamp" in result.stderr


def test_a_runs_settings_say_where_the_model_lies(model: Path, tmp_path: Path) -> None:
    painter = f"synthesis.painter={{backend: diffusers, options: {{model: {model}, steps: 2, batch_size: 2}}}}"
    small = ("synthesis.capabilities=animal", "synthesis.samples_per_capability=3", "synthesis.size_px=32")
    made = run("synthesize", "--run", tmp_path / "run", *small, "synthesis.num_workers=1", painter)
    assert made.exit_code == 0, made.stderr
    listed = run("inspect", "samples", "--run", tmp_path / "run", "--json")
    sample_id = json.loads(listed.stdout)["samples"][1]["sample_id"]
    told = json.loads(run("repaint", "--run", tmp_path / "run", "--sample", sample_id, "--json").stdout)
    assert (told["num_same"], told["pictures"][0]["painted_from"]) == (1, "stamp")
