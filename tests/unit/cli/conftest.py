from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stablellava.cli.app import build_app

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a verb in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    runner, app = CliRunner(), build_app()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])
