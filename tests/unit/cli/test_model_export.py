from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import tiny_vlm
from stablellava.model.assembling import assemble

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    settings = tiny_vlm.tiny_settings(tiny_vlm.write_language_model(folder / "lm"))
    assemble(settings, seed=0).save(folder / "saved")
    return folder / "saved"


def test_a_model_is_written_with_its_card_and_says_what_loading_takes(
    invoke: Invoke, saved: Path, tmp_path: Path
) -> None:
    result = invoke("export-model", "--model", str(saved), "--out", str(tmp_path / "out"), "--form", "hf")
    assert result.exit_code == 0
    assert "read back the same" in result.stdout
    assert "import stablellava.model" in result.stdout
    assert (tmp_path / "out" / "README.md").is_file()


@pytest.mark.parametrize(
    ("form", "message"),
    [("gguf", "llama.cpp"), ("llava", "no tower 'stablellava_efficientnet_lite'"), ("adapter", "a whole model")],
)
def test_what_cannot_be_written_ends_with_the_reason(
    invoke: Invoke, saved: Path, tmp_path: Path, form: str, message: str
) -> None:
    result = invoke("export-model", "--model", str(saved), "--out", str(tmp_path / "out"), "--form", form)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
