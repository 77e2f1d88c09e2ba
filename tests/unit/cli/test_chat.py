from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

Invoke = Callable[..., Result]


@pytest.mark.parametrize(
    ("name", "said"), [("gone.png", "is not in"), ("text.png", "not a whole PNG")], ids=["missing", "no-picture"]
)
def test_a_bad_picture_is_told_before_the_model_is_looked_for(
    invoke: Invoke, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "text.png").write_text("hello")

    result = invoke("chat", "--model", "no/model", "--image", name, "What is this?")

    assert result.exit_code == 2
    assert said in result.stderr


def test_an_empty_question_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")

    result = invoke("chat", "--model", "no/model", "--image", "cat.png", " ")

    assert result.exit_code == 2
    assert "question is empty" in result.stderr
