import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from stablellava.capabilities import load_capability, load_places
from stablellava.config.synthesis import DraftingSettings, SpendingSettings
from stablellava.config.tree import RunConfig
from stablellava.core.chat import ChatFailure, ChatRequest
from stablellava.core.draft import Draft, DraftRequest
from stablellava.core.sample import Rejected
from stablellava.synthesis.chat_drafting.drafter import ChatDrafter
from stablellava.synthesis.chat_drafting.spending import SpendingMeter
from stablellava.synthesis.planning import Tally, evaluation_planner, training_planner
from stablellava.synthesis.splitting import held_out_settings
from talking import Answer, TalkingChat, fields_of, write_well

CONFIG = RunConfig()


def requests(capability: str = "animal", num: int = 4, is_training: bool = True) -> list[DraftRequest]:
    planner = (training_planner if is_training else evaluation_planner)(CONFIG, load_capability(capability))
    return list(planner.plan_round(0, num, Tally()))


def draft_all(chat: TalkingChat, asked: Sequence[DraftRequest], **settings: Any) -> list[Draft | Rejected]:
    drafter = ChatDrafter(
        chat, DraftingSettings(**settings), load_places(), CONFIG.synthesis.held_out_share,
        SpendingMeter(SpendingSettings()),
    )  # fmt: skip
    return asyncio.run(drafter.draft_all(asked))


def draft_one(chat: TalkingChat, capability: str = "animal", **settings: Any) -> Draft | Rejected:
    return draft_all(chat, requests(capability, 1), **settings)[0]


def answers(*said: str | Callable[[ChatRequest], Answer]) -> Callable[[ChatRequest], Answer]:
    """Answer the calls one after the other; the last entry goes on for ever."""
    left = list(said)

    def answer(request: ChatRequest) -> Answer:
        entry = left.pop(0) if len(left) > 1 else left[0]
        return entry(request) if callable(entry) else entry

    return answer


def test_a_draft_takes_two_calls_and_turns_brackets_into_emphasis() -> None:
    chat = TalkingChat()
    (request,) = requests(num=1)
    draft = draft_one(chat)
    assert isinstance(draft, Draft)
    assert [asked.schema_name for asked in chat.asked] == ["prompt", "dialogue"]
    assert "(" not in draft.prompts[0].text
    assert draft.prompts[0].emphasis[0][0] == request.keyword.name
    assert draft.setting == request.setting
    assert draft.turns[0].text in request.capability.description_questions
    assert draft.turns[0].images == (0,)
    assert draft.stamp.tokens_in is None


@pytest.mark.parametrize("capability", ["difference", "story", "similarity", "logical_relation"])
def test_capabilities_of_several_pictures_have_a_prompt_for_each(capability: str) -> None:
    for request, draft in zip(requests(capability), draft_all(TalkingChat(), requests(capability)), strict=True):
        assert isinstance(draft, Draft), draft
        assert len(draft.prompts) == len(request.keyword.parts)
        assert draft.turns[0].images == tuple(range(len(draft.prompts)))


def test_an_answer_to_another_prompt_is_noticed_and_refused() -> None:
    def mix_up(request: ChatRequest) -> Answer:
        return write_well(
            request, **({"prompt_echo": "((cat)), on the moon"} if request.schema_name == "dialogue" else {})
        )

    chat = TalkingChat(mix_up)
    rejected = draft_one(chat)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "echo_mismatch"
    assert [asked.schema_name for asked in chat.asked] == ["prompt", "dialogue", "dialogue"]
    assert "on the moon" in chat.asked[-1].messages[-1].text


def test_an_echo_may_differ_in_white_space_and_brackets() -> None:
    def loosely(request: ChatRequest) -> Answer:
        echo = fields_of(request).get("Prompt", "").replace("((", "").replace("))", "").replace(" ", "  ")
        return write_well(request, **({"prompt_echo": echo} if request.schema_name == "dialogue" else {}))

    assert isinstance(draft_one(TalkingChat(loosely)), Draft)


def test_a_server_that_breaks_its_schema_is_asked_the_same_again() -> None:
    chat = TalkingChat(answers("Sure! {not json", '{"prompt": "((ca', write_well))
    drafts = (draft_one(chat), draft_one(TalkingChat()))
    assert drafts[0] == drafts[1], "what comes of it does not depend on where faults fell"
    first, second, third = chat.asked[:3]
    assert [asked.attempt for asked in (first, second, third)] == [0, 1, 2]
    assert first.content_hash() == second.content_hash() == third.content_hash()


def test_free_text_gets_one_corrective_retry_at_once() -> None:
    chat = TalkingChat(answers("A snail by the river.", "Still prose."), holds_schema=False)
    rejected = draft_one(chat)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "unparsable_answer"
    assert len(chat.asked) == 2
    assert [message.role for message in chat.asked[1].messages[-2:]] == ["assistant", "user"]
    assert "no JSON object" in chat.asked[1].messages[-1].text


def test_a_cut_off_answer_is_never_completed() -> None:
    chat = TalkingChat(lambda request: write_well(request)[:-8], holds_schema=False)
    rejected = draft_one(chat)
    assert isinstance(rejected, Rejected)
    assert "cut off" in rejected.detail


def test_a_prompt_without_its_keyword_is_asked_for_once_more() -> None:
    chat = TalkingChat(answers(orjson.dumps({"prompt": "((spoon)), in the park"}).decode(), write_well))
    assert isinstance(draft_one(chat), Draft)
    assert len(chat.asked) == 3


def test_a_keyword_inside_another_word_is_not_the_keyword() -> None:
    (request,) = requests(num=1)
    hidden = f"x{request.keyword.name}x"
    chat = TalkingChat(lambda asked: orjson.dumps({"prompt": f"(({hidden})), in the park"}).decode())
    rejected = draft_one(chat)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "keyword_not_in_prompt"


def test_an_answer_with_half_a_character_is_asked_for_again() -> None:
    (request,) = requests(num=1)
    halved = f'{{"prompt": "(({request.keyword.name})), in the park \\ud83d"}}'
    chat = TalkingChat(answers(halved, write_well))
    assert isinstance(draft_one(chat), Draft)
    assert len(chat.asked) == 3


def test_a_call_without_an_answer_is_a_reject_with_its_reason() -> None:
    rejected = draft_one(TalkingChat(lambda request: ChatFailure(request_id="x", reason="timed_out", detail="60 s")))
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.detail) == ("timed_out", "60 s")


def test_what_counts_is_the_place_that_was_written() -> None:
    (request,) = requests(num=1)
    held_out = held_out_settings(request.capability, request.keyword, CONFIG.synthesis.held_out_share)
    allowed = next(name for name in request.capability.settings if name not in (*held_out, request.setting))

    def elsewhere(place: str) -> Draft | Rejected:
        prompt = f"(({request.keyword.name})), {place}, soft light"
        return draft_one(
            TalkingChat(
                lambda asked: write_well(asked, **({"prompt": prompt} if asked.schema_name == "prompt" else {}))
            )
        )

    moved, leaking = elsewhere(f"in the {allowed}"), elsewhere(f"in the {held_out[0]}")
    assert isinstance(moved, Draft)
    assert moved.setting == allowed
    assert isinstance(leaking, Rejected)
    assert leaking.reason == "held_out_combination"


@pytest.mark.parametrize("capability", ["animal", "color", "scene", "action"])
def test_evaluation_questions_have_the_form_and_the_answer_asked_for(capability: str) -> None:
    asked = requests(capability, 12, is_training=False)
    drafts = draft_all(TalkingChat(), asked)
    assert {request.form for request in asked} == {"wh", "yes_no", "either_or"}
    for request, draft in zip(asked, drafts, strict=True):
        assert isinstance(draft, Draft), draft
        assert draft.form == request.form
        wanted = {"yes", "no"} if request.form == "yes_no" else set(request.keyword.accepted_answers)
        assert set(draft.accepted_answers) <= wanted
        if request.form == "either_or":
            assert dict(draft.attributes)["other"] in draft.turns[0].text


def test_a_question_that_gives_its_answer_away_is_refused() -> None:
    request = next(one for one in requests(num=12, is_training=False) if one.form == "wh")
    given_away = f"Is this a {request.keyword.name}?"
    chat = TalkingChat(
        lambda asked: write_well(asked, **({"question": given_away} if asked.schema_name == "question" else {}))
    )
    (rejected,) = draft_all(chat, [request])
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "question_off_form"


def test_several_drafts_share_a_call_and_what_it_leaves_out_is_asked_for_alone() -> None:
    asked = requests(num=3)

    def in_numbers(request: ChatRequest) -> Answer:
        blocks = request.messages[-1].text.split("Number: ")[1:]
        if not blocks:
            return write_well(request)
        entries = []
        for block in blocks:
            number, _, text = block.partition("\n")
            alone = request.model_copy(update={"messages": (request.messages[-1].model_copy(update={"text": text}),)})
            entries.append({"number": int(number), **orjson.loads(write_well(alone))})
        entries[1]["number"] = 1  # the second answer claims to be the first
        return orjson.dumps({"drafts": entries}).decode()

    chat = TalkingChat(in_numbers)
    drafts = draft_all(chat, asked, drafts_per_call=3)
    assert [draft.draft_id for draft in drafts if isinstance(draft, Draft)] == [request.draft_id for request in asked]
    assert [len(request.messages[-1].text.split("Number: ")) > 1 for request in chat.asked[:3]] == [True, False, False]


def test_worked_examples_stand_before_the_request_in_the_form_asked_for() -> None:
    chat = TalkingChat()
    draft_one(chat, max_exemplars=2)
    for call in chat.asked:
        roles = [message.role for message in call.messages]
        assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
        assert call.json_schema is not None
        for message in call.messages[2:-1:2]:
            assert orjson.loads(message.text).keys() == call.json_schema["properties"].keys()
