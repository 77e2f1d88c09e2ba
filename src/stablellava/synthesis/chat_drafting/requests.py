"""From draft requests to the messages of a call. Everything in them is fixed by the requests and the instructions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from stablellava.config.synthesis import DraftingSettings
from stablellava.core.capability import Capability, DialogueExemplar, Keyword, Place, PromptExemplar
from stablellava.core.chat import ChatMessage, ChatRequest
from stablellava.core.draft import DraftRequest, PaintPrompt
from stablellava.core.ids import seed_from
from stablellava.synthesis.chat_drafting.answers import EMPHASIS, join_prompts
from stablellava.synthesis.chat_drafting.instructions import CallKind, Instructions
from stablellava.synthesis.chat_drafting.questions import (
    asks_for_no,
    choose_pattern,
    draw_others,
    right_answer,
)
from stablellava.synthesis.chat_drafting.schemas import answer_schema
from stablellava.synthesis.chat_drafting.settings_written import SettingFinders

_SEED_MASK = 2**31 - 1
"""Servers differ in how large a seed they take; all take 31 bits."""
_NUMBER_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


class RequestBuilder:
    """Writes the calls of a run. Keeps what calls of a capability have in common.

    Args:
        instructions: the files to fill.
        settings: sampling, and how long dialogues may be.
        places: how a place is said in a sentence.
        finder_of: says where the prompts of a capability's examples are set.
    """

    def __init__(
        self,
        instructions: Instructions,
        settings: DraftingSettings,
        places: Iterable[Place],
        finder_of: SettingFinders,
    ) -> None:
        self._instructions = instructions
        self._settings = settings
        self._finder_of = finder_of
        self._phrases = {place.name: place.phrase for place in places}
        self._systems: dict[tuple[str, CallKind, int], ChatMessage] = {}
        self._shown: dict[tuple[str, PromptExemplar | DialogueExemplar], tuple[ChatMessage, ChatMessage]] = {}

    def prompt_call(self, requests: Sequence[DraftRequest]) -> ChatRequest:
        """Return the call that asks for one prompt per request; all are of one capability and number of pictures."""
        slots = [self._slot(request) for request in requests]
        examples = self._show("prompt", requests[0].capability, requests[0].prompt_exemplars)
        return self._call("prompt", requests, slots, examples)

    def dialogue_call(
        self, requests: Sequence[DraftRequest], prompts: Sequence[tuple[PaintPrompt, ...]]
    ) -> ChatRequest:
        """Return the call that asks for the dialogues of those prompts."""
        slots = [
            {
                **self._slot(request),
                "prompt": join_prompts(written),
                "question": choose_question(request),
            }
            for request, written in zip(requests, prompts, strict=True)
        ]
        examples = self._show("dialogue", requests[0].capability, requests[0].dialogue_exemplars)
        return self._call("dialogue", requests, slots, examples)

    def question_call(
        self, requests: Sequence[DraftRequest], prompts: Sequence[tuple[PaintPrompt, ...]]
    ) -> ChatRequest:
        """Return the call that asks for evaluation questions about those prompts."""
        slots = [
            {
                **self._slot(request),
                "prompt": join_prompts(written),
                "form": request.form,
                "asks_for_no": asks_for_no(request),
                "answer": right_answer(request),
                "others": draw_others(request),
                "question": choose_pattern(request),
            }
            for request, written in zip(requests, prompts, strict=True)
        ]
        return self._call("question", requests, slots, ())

    def _call(
        self,
        kind: CallKind,
        requests: Sequence[DraftRequest],
        slots: Sequence[Mapping[str, Any]],
        examples: tuple[ChatMessage, ...],
    ) -> ChatRequest:
        first, settings = requests[0], self._settings
        num_images = count_images(first)
        user = ChatMessage(role="user", text=self._instructions.render(kind, "user", slots=slots))
        return ChatRequest(
            request_id=f"{first.capability.name}/{first.draft_id}/{kind}",
            messages=(self._system(first.capability, kind, num_images), *examples, user),
            json_schema=answer_schema(kind, num_images, len(requests), settings.max_follow_ups),
            schema_name=kind,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens * len(requests),
            seed=seed_from(kind, *(request.seed for request in requests)) & _SEED_MASK,
        )

    def _system(self, capability: Capability, kind: CallKind, num_images: int) -> ChatMessage:
        key = (capability.name, kind, num_images)
        if key not in self._systems:
            text = self._instructions.render(
                kind, "system",
                title=capability.title, brief=capability.brief, cautions=capability.cautions,
                answer_form=capability.answer_form, visual_features=", ".join(capability.visual_features),
                example_keyword=capability.prompt_exemplars[0].keyword if capability.prompt_exemplars else "keyword",
                num_images=num_images, num_images_in_words=_NUMBER_WORDS.get(num_images, str(num_images)),
                max_follow_ups=self._settings.max_follow_ups,
            )  # fmt: skip
            self._systems[key] = ChatMessage(role="system", text=text)
        return self._systems[key]

    def _slot(self, request: DraftRequest) -> dict[str, Any]:
        return self._describe(request.capability, request.keyword, request.setting, request.wishes)

    def _describe(
        self, capability: Capability, keyword: Keyword, setting: str, wishes: Sequence[tuple[str, str]]
    ) -> dict[str, Any]:
        is_place = capability.setting_kind == "place"
        return {
            "keyword": keyword.name,
            "parts": keyword.parts,
            "subject": keyword.subject,
            "setting": self._phrases.get(setting, setting) if is_place else setting,
            "is_place": is_place,
            "note": keyword.note,
            "wishes": wishes,
        }

    def _show(
        self, kind: CallKind, capability: Capability, exemplars: Sequence[PromptExemplar | DialogueExemplar]
    ) -> tuple[ChatMessage, ...]:
        """Return worked examples as turns of the conversation; each is written out once."""
        messages: list[ChatMessage] = []
        for exemplar in exemplars[: self._settings.max_exemplars]:
            key = (capability.name, exemplar)
            if key not in self._shown:
                slot, answer = self._example(capability, exemplar)
                text = self._instructions.render(kind, "user", slots=[slot])
                said = orjson.dumps(answer).decode()
                self._shown[key] = (
                    ChatMessage(role="user", text=text), ChatMessage(role="assistant", text=said),
                )  # fmt: skip
            messages.extend(self._shown[key])
        return tuple(messages)

    def _example(
        self, capability: Capability, exemplar: PromptExemplar | DialogueExemplar
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return an exemplar as the slot that might have asked for it, and the answer in the form asked for."""
        if isinstance(exemplar, PromptExemplar):
            written = [prompt.bracketed for prompt in _emphasised(exemplar.texts)]
            answer: dict[str, Any] = {"prompt": written[0]} if len(written) == 1 else {"prompts": written}
            return self._slot_of_example(capability, exemplar.keyword, exemplar.texts), answer
        line, turns = join_prompts(_emphasised(exemplar.prompts)), exemplar.turns
        answer = {"prompt_echo": line, "answer": turns[1]}
        if self._settings.max_follow_ups:
            pairs = list(zip(turns[2::2], turns[3::2], strict=True))[: self._settings.max_follow_ups]
            answer["follow_ups"] = [{"question": question, "answer": said} for question, said in pairs]
        slot = self._slot_of_example(capability, keyword_of_prompts(capability, exemplar.prompts), exemplar.prompts)
        return {**slot, "prompt": line, "question": turns[0]}, answer

    def _slot_of_example(self, capability: Capability, named: str, texts: tuple[str, ...]) -> dict[str, Any]:
        keyword = capability.find_keyword(named) or Keyword(name=named)
        settings = self._finder_of(capability).find(texts, keyword)
        return self._describe(capability, keyword, settings[0] if settings else "", ())


def _emphasised(texts: Sequence[str]) -> list[PaintPrompt]:
    """Return worked prompts with their decisive phrase, the first one, emphasised."""
    return [PaintPrompt(text=text, emphasis=((text.partition(",")[0], EMPHASIS),)) for text in texts]


def count_images(request: DraftRequest) -> int:
    """Return how many pictures a draft of the request has."""
    return len(request.keyword.parts) or request.capability.min_images


def choose_question(request: DraftRequest) -> str:
    """Return the description question that opens the request's dialogue."""
    questions = request.capability.description_questions
    return questions[seed_from(request.draft_id, "question") % len(questions)]


def keyword_of_prompts(capability: Capability, prompts: tuple[str, ...]) -> str:
    """Return the keyword of the worked prompts, else their first phrase."""
    known = {exemplar.texts: exemplar.keyword for exemplar in capability.prompt_exemplars}
    return known.get(prompts) or prompts[0].partition(",")[0]
