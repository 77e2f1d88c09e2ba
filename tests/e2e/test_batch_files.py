"""A run whose chat model is asked by batch files."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fault_server import FaultServer, completion, serve
from stablellava.backends import batched_chat
from stablellava.config.base import BackendSettings
from stablellava.config.tree import RunConfig
from stablellava.core.chat import ChatMessage, ChatRequest
from stablellava.core.errors import ConfigError
from stablellava.store.layout import RunLayout
from stablellava.synthesis.synthesizing import synthesize
from talking import write_well
from toys import toy_config, toy_material, tree_digest


def say(body: dict[str, Any]) -> str:
    messages = tuple(ChatMessage(role=one["role"], text=one["content"]) for one in body["messages"])
    kind = body["response_format"]["json_schema"]["name"]
    return write_well(ChatRequest(request_id="", messages=messages, schema_name=kind, seed=body["seed"]))


def answer(lines: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    bodies = ((line, completion(say(line["body"]), line["body"])) for line in lines)
    return "completed", [
        {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}} for line, body in bodies
    ]


def answer_in_part(lines: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Answer two of three."""
    return "expired", answer([line for number, line in enumerate(lines) if number % 3 or len(lines) == 1])[1]


def config_for(base_url: str, **options: Any) -> RunConfig:
    config = toy_config(samples_per_capability=12, max_rounds=3)
    writer = BackendSettings(backend="openai", options={"model": "small", "base_url": base_url, **options})
    changes = {"writer": writer, "painter": None}
    return config.model_copy(update={"synthesis": config.synthesis.model_copy(update=changes)})


def test_a_run_by_batch_files_gives_the_same_data_as_one_call_by_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched_chat, "_QUIET_SECONDS", 0.05)
    with serve(FaultServer(lambda number, body: say(body))) as server:
        server.end_batch = answer_in_part
        for name, options in (("calls", {}), ("batches", {"batch_poll_seconds": 0.01})):
            monkeypatch.setenv("STABLELLAVA_CACHE", str(tmp_path / "cache" / name))
            num_calls = len(server.bodies)
            report = synthesize(
                config_for(server.base_url, **options), RunLayout(tmp_path / name), material=toy_material()
            )
            assert report.num_accepted == 24
            assert report.spending is not None
            assert report.spending.num_calls >= 48
    assert len(server.bodies) - num_calls == 1, "the first call goes out at once"
    assert 2 < len(server.batches) < 30
    assert tree_digest(tmp_path / "batches" / "data") == tree_digest(tmp_path / "calls" / "data")


_RUN = """
import sys
sys.path[:0] = [sys.argv[3]]
from pathlib import Path
from stablellava.backends import batched_chat
from stablellava.store.layout import RunLayout
from stablellava.synthesis.synthesizing import synthesize
from test_batch_files import config_for
from toys import toy_material

batched_chat._QUIET_SECONDS = 0.05
synthesize(config_for(sys.argv[1], batch_poll_seconds=0.01), RunLayout(Path(sys.argv[2])), material=toy_material())
"""


def test_a_killed_run_goes_on_with_the_batch_that_was_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched_chat, "_QUIET_SECONDS", 0.05)
    here = Path(__file__).parent
    with serve(FaultServer(lambda number, body: say(body))) as server:
        server.end_batch = lambda lines: ("in_progress", [])
        command = [sys.executable, "-c", _RUN, server.base_url, str(tmp_path / "run"), str(here)]
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(here.parent)}) as first:
            while not server.batches:
                assert first.poll() is None
                time.sleep(0.02)
            first.kill()
        server.batches[0].update(num_polls=0, output_file_id=None)
        server.end_batch = answer
        config = config_for(server.base_url, batch_poll_seconds=0.01)
        report = synthesize(config, RunLayout(tmp_path / "run"), material=toy_material())
    sent = [line for name, data in server.files.items() if name.startswith("file-") for line in data.splitlines()]
    assert report.num_accepted == 24
    assert len(server.bodies) == 2, "what the open batch has no answer for is tried at once"
    assert len(sent) == len(set(sent))


def test_a_chat_model_without_batch_files_says_so(tmp_path: Path) -> None:
    config = toy_config()
    writer = BackendSettings(backend="fake-chat", options={"batch_poll_seconds": 60})
    changed = config.model_copy(update={"synthesis": config.synthesis.model_copy(update={"writer": writer})})
    with pytest.raises(ConfigError, match="takes no batch files"):
        synthesize(changed, RunLayout(tmp_path), material=toy_material())
