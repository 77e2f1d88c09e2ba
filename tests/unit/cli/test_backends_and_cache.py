import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from fault_server import Fault, FaultServer, serve
from stablellava.backends.response_cache import CACHE_FILE, CachedAnswer, ResponseCache
from stablellava.core.ids import hash_id

Invoke = Callable[..., Result]


def fill(path: Path) -> None:
    cache = ResponseCache(path)
    cache.store_now([CachedAnswer(hash_id(i), "openai", ("small", "large")[i % 2], b"x" * 50) for i in range(10)])
    cache.close()


def test_the_configured_backends_are_called(invoke: Invoke) -> None:
    result = invoke("backends", "check", "--preset", "quick")

    assert result.exit_code == 0, result.output
    assert "fine    writer.grammar" in result.stdout
    assert "fine    painter.openmoji" in result.stdout


def test_the_judge_of_a_check_is_called_as_well(invoke: Invoke) -> None:
    checks = "synthesis: {verify: {checks: [{check: judge, backend: {backend: fake-chat}}]}}\n"
    Path("mine.yaml").write_text(checks)
    result = invoke("backends", "check", "--config", "mine.yaml")

    assert result.exit_code == 0, result.output
    assert "fine    chat.fake-chat" in result.stdout


def test_named_backends_are_called_with_their_options(invoke: Invoke) -> None:
    with serve(FaultServer(lambda number, body: "Red.")) as server:
        result = invoke(
            "backends", "check", "fake-chat", "chat.openai", "model=small", f"base_url={server.base_url}", "--json"
        )

    checks = json.loads(result.stdout)["checks"]
    assert [(check["name"], check["is_fine"]) for check in checks] == [("fake-chat", True), ("openai", True)]
    assert "small answers: Red." in checks[1]["words"]
    assert len(server.bodies) == 1


def test_one_backend_that_fails_ends_with_exit_code_3_and_the_others_are_still_called(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-4711")
    with serve(FaultServer(lambda number, body: Fault(401, {"error": {"message": "bad secret-4711"}}))) as server:
        started = time.monotonic()
        result = invoke("backends", "check", "openai", "model=m", f"base_url={server.base_url}", "fake-chat")

    assert result.exit_code == 3
    assert time.monotonic() - started < 10
    assert "refuses the key in $OPENAI_API_KEY" in result.stdout
    assert "fine    chat.fake-chat" in result.stdout
    assert "secret-4711" not in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("opnai",), "Did you mean 'openai'?"),
        (("model=x",), "belongs to no backend"),
        (("openai", "model={x"), "option model: '{x' cannot be read as YAML"),
        (("painter.openai",), "no backend named 'painter.openai'"),
    ],
)
def test_a_wrong_name_is_the_users_mistake(invoke: Invoke, words: tuple[str, ...], said: str) -> None:
    result = invoke("backends", "check", *words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_the_cache_is_shown_per_model(invoke: Invoke, cache_dir: Path) -> None:
    fill(cache_dir / CACHE_FILE)
    shown = json.loads(invoke("cache", "stats", "--json").stdout)

    assert [(share["model"], share["num_answers"]) for share in shown["models"]] == [("large", 5), ("small", 5)]
    assert "small" in invoke("cache", "stats").stdout


def test_the_cache_is_pruned_by_model(invoke: Invoke, cache_dir: Path) -> None:
    fill(cache_dir / CACHE_FILE)

    assert json.loads(invoke("cache", "prune", "--model", "small", "--json").stdout)["num_deleted"] == 5
    assert "0 answers deleted" in invoke("cache", "prune", "--older-than", "30d", "--max-size", "2GB").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing says what to delete"),
        (("--older-than", "30"), "30d"),
        (("--max-size", "big"), "2GB"),
        (("--model", "m", "--file", "nowhere.sqlite"), "no response cache"),
    ],
)
def test_a_wrong_pruning_is_the_users_mistake(invoke: Invoke, options: tuple[str, ...], said: str) -> None:
    result = invoke("cache", "prune", *options)

    assert result.exit_code == 2
    assert said in result.stderr


KEYED = "{backend: openai, options: {model: m, api_key: sk-1234567890abcdef}}"


@pytest.mark.parametrize("verb", [("plan",), ("synthesize",), ("import", "rows.json"), ("train", "--stage", "align")])
@pytest.mark.parametrize(
    "settings",
    [f"{{writer: {KEYED}}}", f"{{painter: {KEYED}}}", f"{{verify: {{checks: [{{check: judge, backend: {KEYED}}}]}}}}"],
    ids=["writer", "painter", "judge"],
)
def test_a_key_in_the_settings_is_refused_before_it_is_written_anywhere(
    invoke: Invoke, tmp_path: Path, verb: tuple[str, ...], settings: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"synthesis: {settings}\n")

    result = invoke(*verb, "--config", path)

    assert result.exit_code == 2
    assert "holds a key" in result.stderr
    assert "1234567890abcdef" not in result.output
    path.unlink()
    assert not any(b"1234567890abcdef" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
