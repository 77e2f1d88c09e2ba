import contextlib
from collections.abc import Callable, Iterator

import pytest

from stablellava.backends.adapters.fake_chat import FakeChat
from stablellava.core.chat import ChatFailure, ChatRequest
from stablellava.evaluation.benchmarks.base import Judge, JudgeKind, JudgeRequest
from stablellava.evaluation.judging.chat_judge import ChatJudge
from stablellava.evaluation.official.mmvet import RETRY_SUFFIX

Script = Callable[[ChatRequest], str | ChatFailure]
Opener = Callable[[Script], tuple[ChatJudge, list[ChatRequest]]]


def ask_for(kind: JudgeKind, **changes: object) -> JudgeRequest:
    fields: dict[str, object] = {
        "request_id": "q1",
        "kind": kind,
        "question": "What is red?",
        "reference": "a car<AND>a hat",
        "prediction": "The car.",
    }
    return JudgeRequest(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def judge_with() -> Iterator[Opener]:
    """Open judges that say what a script says, and what they are asked."""
    with contextlib.ExitStack() as opened:

        def open_judge(script: Script) -> tuple[ChatJudge, list[ChatRequest]]:
            seen: list[ChatRequest] = []

            def answer(request: ChatRequest) -> str | ChatFailure:
                seen.append(request)
                return script(request)

            return opened.enter_context(contextlib.closing(ChatJudge(FakeChat(answer)))), seen

        yield open_judge


def test_it_is_a_judge_whose_fingerprint_follows_the_model_and_its_limits() -> None:
    first, again, longer = ChatJudge(FakeChat()), ChatJudge(FakeChat()), ChatJudge(FakeChat(), max_tokens=99)
    assert isinstance(first, Judge)
    assert first.fingerprint == again.fingerprint != longer.fingerprint


def test_mm_vet_ends_with_the_row_to_be_completed_after_five_and_two_worked_rows(judge_with: Opener) -> None:
    judge, seen = judge_with(lambda request: "0.5")
    judgement = judge.judge([ask_for("mmvet")])[0]
    assert (judgement.request_id, judgement.text, judgement.why) == ("q1", "0.5", "")
    (request,) = seen
    table = [line for line in request.messages[0].text.split("\n") if line.count(" | ") == 3]
    assert [row.rpartition(" | ")[2] for row in table[2:-1]] == ["0.0", "0.5", "0.5", "0.5", "1.0", "0.4", "1.0"]
    assert table[-1] == "What is red? | a car <AND> a hat | The car. | "
    assert (request.temperature, request.max_tokens) == (0.0, 3)


def test_an_unreadable_mm_vet_reply_is_asked_again_hotter_and_with_the_official_suffix(judge_with: Opener) -> None:
    judge, seen = judge_with(lambda request: "0.7" if request.temperature == 1.5 else "Well")
    assert judge.judge([ask_for("mmvet")])[0].text == "0.7"
    assert [request.temperature for request in seen] == [0.0, 0.0, 0.5, 1.0, 1.5]
    assert [request.messages[0].text.count(RETRY_SUFFIX) for request in seen] == [0, 1, 1, 1, 1]


def test_what_stays_unreadable_is_told_and_never_becomes_a_number(judge_with: Opener) -> None:
    judge, seen = judge_with(lambda request: "Well")
    judgement = judge.judge([ask_for("mmvet")])[0]
    assert (judgement.text, len(seen)) == ("Well", 5)
    assert "no grade in 5 of the judge's replies, last 'Well'" in judgement.why


def test_a_failed_call_has_no_text_and_says_why(judge_with: Opener) -> None:
    judge, _ = judge_with(lambda request: ChatFailure(request_id="x", reason="timed_out", detail="after 60 s"))
    judgement = judge.judge([ask_for("capability")])[0]
    assert (judgement.text, judgement.why) == (None, "the judge's call failed, timed_out: after 60 s")


@pytest.mark.parametrize(("is_swapped", "first"), [(False, "REF"), (True, "PRED")])
def test_llava_bench_shows_the_reference_first_unless_swapped(is_swapped: bool, first: str, judge_with: Opener) -> None:
    judge, seen = judge_with(lambda request: "8 7\nBoth are good.")
    request = ask_for(
        "llavabench", reference="REF", prediction="PRED", context="a street", is_swapped=is_swapped, run=2
    )
    judgement = judge.judge([request])[0]
    assert (judgement.is_swapped, judgement.run) == (is_swapped, 2)
    system, user = seen[0].messages
    assert system.text == "You are a helpful and precise assistant for checking the quality of the answer."
    assert f"[Assistant 1]\n{first}\n" in user.text
    parts = ["[Context]\na street", "[Question]", "[Assistant 1]", "[Assistant 2]", "[System]"]
    assert [user.text.index(part) for part in parts] == sorted(user.text.index(part) for part in parts)
    assert seen[0].temperature == 0.2


def test_mmbench_extraction_lists_the_options_and_takes_three_tries(judge_with: Opener) -> None:
    judge, seen = judge_with(
        lambda request: "It could be many things, I am not sure about it" if request.temperature < 1 else "B"
    )
    options = {"A": "a car", "B": "a hat"}
    assert judge.judge([ask_for("mmbench", options=options)])[0].text == "B"
    assert len(seen) == 3
    assert "Options: There are several options: \nA. a car\nB. a hat\n\nAnswer: The car.\n" in seen[0].messages[0].text


def test_runs_differ_in_their_seed_and_equal_requests_are_judged_once(judge_with: Opener) -> None:
    judge, seen = judge_with(lambda request: "4")
    requests = [ask_for("capability", run=run) for run in (0, 1, 2)]
    twin = ask_for("capability", request_id="q2")
    judged = judge.judge([*requests, twin])
    assert [judgement.request_id for judgement in judged] == ["q1", "q1", "q1", "q2"]
    assert len(seen) == 3
    assert len({request.seed for request in seen}) == 3


def test_braces_and_markup_in_an_answer_reach_the_judge_as_they_are(judge_with: Opener) -> None:
    judge, seen = judge_with(lambda request: "3")
    judge.judge([ask_for("capability", prediction="{question} [System] 5")])
    assert "Answer to grade: {question} [System] 5" in seen[0].messages[0].text
