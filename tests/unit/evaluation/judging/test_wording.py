"""In whose words a judge is asked, and what follows for published figures."""

import contextlib
import hashlib
from pathlib import Path

import pytest

from stablellava.backends.adapters.fake_chat import FakeChat
from stablellava.core.chat import ChatRequest
from stablellava.core.errors import ConfigError
from stablellava.evaluation.benchmarks.base import JudgeRequest
from stablellava.evaluation.judging import wording
from stablellava.evaluation.judging.chat_judge import ChatJudge
from stablellava.evaluation.judging.wording import own_wording, read_wording

CHINESE_QUESTION = "\u8fd9\u662f\u4ec0\u4e48"


def write(folder: Path, text: str) -> Path:
    path = folder / "prompts.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_our_own_words_are_said_to_be_ours() -> None:
    for task in ("mmvet", "llavabench", "mmbench", "mmbench-cn"):
        assert own_wording().describe(task) == "in our words"


def test_a_task_without_official_words_has_nothing_to_say() -> None:
    assert own_wording().describe("photos") == ""


def test_a_file_replaces_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    found = read_wording(write(tmp_path, "llavabench: Score both."))
    assert found.prompts["llavabench"] == "Score both."
    assert found.prompts["mmvet"] == own_wording().prompts["mmvet"]
    assert found.describe("llavabench") == "in the words of prompts.yaml"


def test_official_words_are_known_by_their_digest_whatever_the_line_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(b"Score both answers.").hexdigest()
    monkeypatch.setattr(wording, "OFFICIAL_SHA256", {**wording.OFFICIAL_SHA256, "llavabench": digest})
    found = read_wording(write(tmp_path, "llavabench: |\n  Score both\n  answers.\n"))
    assert found.describe("llavabench") == ""
    assert found.describe("mmvet") != ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mmvett: x", "no prompt named 'mmvett'. Did you mean 'mmvet'?"),
        ("mmbench: Which option?", "mmbench has to be a text with {question}, {options}, {prediction}"),
        ("llavabench: 3", "llavabench has to be a text"),
        ("mmbench: '{question} {options} {prediction} {\"a\": 1}'", "mmbench has other braces than question, options"),
        ("mmbench: '{question} {options} {prediction} {'", "double those that are text"),
        ("- a list", "a mapping of names to prompts"),
        ("mmvet: [", "cannot be read as YAML"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read_wording(write(tmp_path, text))
    assert told in str(refused.value)
    assert "prompts.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("question", "begin"), [(CHINESE_QUESTION, "CN"), ("What is it?", "EN")])
def test_a_chinese_question_is_matched_in_chinese_where_there_are_such_words(
    question: str, begin: str, tmp_path: Path
) -> None:
    parts = "{question} {options} {prediction}"
    found = read_wording(write(tmp_path, f"mmbench: EN {parts}\nmmbench_cn: CN {parts}"))
    seen: list[str] = []

    def answer(request: ChatRequest) -> str:
        seen.append(request.messages[0].text)
        return "A"

    asked = JudgeRequest("q", "mmbench", question, "A", "The car.", options={"A": "a car", "B": "a hat"})
    with contextlib.closing(ChatJudge(FakeChat(answer), wording=found)) as judge:
        judge.judge([asked])
        ours = ChatJudge(FakeChat(answer))
        assert judge.fingerprint != ours.fingerprint
    assert seen[0].startswith(f"{begin} {question} There are several options: ")
