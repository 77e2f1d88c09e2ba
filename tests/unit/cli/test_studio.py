import json
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from stablellava.store.ratings import read_key

Invoke = Callable[..., Result]


def _make_run(invoke: Invoke, *more: str) -> None:
    chosen = ("synthesis.capabilities=animal", "synthesis.samples_per_capability=2", "synthesis.size_px=48", *more)
    result = invoke("synthesize", "--run", "mine", *chosen)
    assert result.exit_code == 0, result.stderr


def test_the_address_is_told_and_an_interruption_is_the_normal_end(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(address: str) -> bool:
        raise KeyboardInterrupt(address)

    _make_run(invoke)
    monkeypatch.setattr(webbrowser, "open", interrupt)
    result = invoke("studio", "--run", "mine", "--port", 0, "--planted", 0)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("http://127.0.0.1:")
    assert "ratings are kept" in result.stderr
    (key,) = (tmp_path / "mine" / "ratings").glob("*.key.json")
    assert len(read_key(key).pairs) == 2


def test_a_port_that_is_taken_is_told(invoke: Invoke, tmp_path: Path) -> None:
    _make_run(invoke, "synthesis.painter=null")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = invoke("studio", "--run", "mine", "--port", port, "--json")
    assert result.exit_code == 2
    assert f"--port {port}" in json.loads(result.stdout)["error"]["message"]
    assert not (tmp_path / "mine" / "ratings").exists()


def test_a_directory_without_a_run_is_refused(invoke: Invoke) -> None:
    result = invoke("studio", "--run", "nothing")
    assert result.exit_code == 2
    assert "no run in 'nothing'" in result.stderr
