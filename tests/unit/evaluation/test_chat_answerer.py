import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from stablellava.backends.adapters.fake_chat import FakeChat
from stablellava.backends.protocols import StreamingAnswerer
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.draft import CallStamp
from stablellava.core.errors import BackendFailed, ConfigError, RecordError
from stablellava.core.score import Answer, EvalItem, Unanswered
from stablellava.evaluation.chat_answerer import ChatAnswerer

Script = Callable[[ChatRequest], str | ChatFailure]
Opener = Callable[..., ChatAnswerer]


@pytest.fixture
def open_answerer() -> Iterator[Opener]:
    with contextlib.ExitStack() as opened:

        def open_one(script: Script, **options: object) -> ChatAnswerer:
            answerer = ChatAnswerer(FakeChat(script), **options)  # type: ignore[arg-type]
            return opened.enter_context(contextlib.closing(answerer))

        yield open_one


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, color in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (4, 4), color).save(tmp_path / name)
    return tmp_path


def ask_about(item_id: str, *names: str, question: str = "What is it?") -> EvalItem:
    return EvalItem(item_id=item_id, capability="c", images=names, question=question, accepted=("x",))


def test_questions_are_sent_greedily_with_their_pictures_in_order(open_answerer: Opener, images: Path) -> None:
    seen: list[ChatRequest] = []
    answerer = open_answerer(lambda request: seen.append(request) or " red ", system="Be brief.", max_tokens=7)
    (answer,) = answerer.answer([ask_about("1", "a.png", "b.png")], str(images))
    assert answer.model_copy(update={"num_tokens": 0}) == Answer(item_id="1", prompt="What is it?", text="red")
    (request,) = seen
    assert (request.temperature, request.max_tokens, request.seed) == (0.0, 7, None)
    assert [message.role for message in request.messages] == ["system", "user"]
    colors = [Image.open(io.BytesIO(data)).getpixel((0, 0)) for data in request.messages[1].images]
    assert colors == [(255, 0, 0), (0, 0, 255)]


def test_tags_become_numbers_that_the_model_can_follow(open_answerer: Opener, images: Path) -> None:
    answerer = open_answerer(lambda request: request.messages[0].text)
    pair = ask_about("1", "a.png", "b.png", question="Is <image> like <image>?")
    single = ask_about("2", "a.png", question="<image>\nWhat is it?")
    typed = ask_about("3", "a.png", question="What do <image> and <image> mean?")
    said = [answer.text for answer in answerer.answer([pair, single, typed], str(images))]
    assert said == ["Is [image 1] like [image 2]?", "What is it?", "What do <image> and <image> mean?"]


def test_a_call_that_fails_leaves_the_others_and_is_told(open_answerer: Opener, images: Path) -> None:
    def script(request: ChatRequest) -> str | ChatFailure:
        failure = ChatFailure(request_id=request.request_id, reason="timed_out", detail="60 s")
        return failure if request.request_id == "2" else "yes"

    answerer = open_answerer(script)
    assert isinstance(answerer, StreamingAnswerer)
    outcomes = {outcome.item_id: outcome for outcome in answerer.answer_each(list(map(ask_about, "123")), str(images))}
    assert outcomes["2"] == Unanswered(item_id="2", why="timed_out: 60 s")
    assert {"1", "3"} == {item_id for item_id, outcome in outcomes.items() if isinstance(outcome, Answer)}
    with pytest.raises(BackendFailed, match="did not answer item 2: timed_out"):
        answerer.answer(list(map(ask_about, "123")), str(images))


def test_nothing_answered_is_asked_again(open_answerer: Opener, images: Path) -> None:
    asked: list[str] = []

    def script(request: ChatRequest) -> str | ChatFailure:
        asked.append(request.request_id)
        is_second_try = asked.count("2") > 1
        return "yes" if request.request_id != "2" or is_second_try else ChatFailure(request_id="2", reason="late")

    answerer, items = open_answerer(script), list(map(ask_about, "123"))
    with pytest.raises(BackendFailed):
        answerer.answer(items, str(images))
    assert [answer.text for answer in answerer.answer(items, str(images))] == ["yes"] * 3
    assert sorted(asked) == ["1", "2", "2", "3"]


def test_a_model_that_cannot_answer_at_all_stops_everything(images: Path) -> None:
    class Gone(FakeChat):
        async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
            raise BackendFailed("the server is gone")

    with contextlib.closing(ChatAnswerer(Gone())) as answerer, pytest.raises(BackendFailed, match="server is gone"):
        list(answerer.answer_each(list(map(ask_about, "123")), str(images)))


def test_an_answer_that_a_filter_withheld_is_no_answer(images: Path) -> None:
    class Filtered(FakeChat):
        async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
            stamp = CallStamp(backend="test")
            return ChatReply(request_id=request.request_id, text="", finish_reason="content_filter", stamp=stamp)

    with contextlib.closing(ChatAnswerer(Filtered())) as answerer:
        assert list(answerer.answer_each([ask_about("1")], str(images))) == [
            Unanswered(item_id="1", why="content_filter")
        ]


def test_bad_pictures_and_numbers_are_refused(open_answerer: Opener, images: Path) -> None:
    with pytest.raises(RecordError, match="leaves"):
        open_answerer(lambda request: "x").answer([ask_about("1", "../a.png")], str(images))
    with pytest.raises(ConfigError, match="max_tokens=0"):
        ChatAnswerer(FakeChat(), max_tokens=0)


def test_the_fingerprint_follows_model_and_options() -> None:
    first, again = ChatAnswerer(FakeChat()), ChatAnswerer(FakeChat())
    others = [ChatAnswerer(FakeChat(broken_share=0.5)), ChatAnswerer(FakeChat(), temperature=0.5)]
    assert first.fingerprint == again.fingerprint
    assert len({answerer.fingerprint for answerer in (first, *others)}) == 3
