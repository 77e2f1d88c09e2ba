"""One draft from two calls: the prompt, then the dialogue (or the evaluation question) that belongs to it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from stablellava.backends.protocols import ChatModel
from stablellava.config.synthesis import DraftingSettings
from stablellava.core.capability import Place
from stablellava.core.chat import ChatRequest
from stablellava.core.draft import CallStamp, Draft, DraftRequest, PaintPrompt, Turn
from stablellava.core.sample import Rejected
from stablellava.synthesis.chat_drafting.answers import (
    AnswerUnfit,
    join_prompts,
    read_dialogue,
    read_prompts,
    read_question,
)
from stablellava.synthesis.chat_drafting.asking import Asker, Call, Refusal
from stablellava.synthesis.chat_drafting.instructions import Instructions
from stablellava.synthesis.chat_drafting.questions import hold_to_form, write_turns
from stablellava.synthesis.chat_drafting.requests import RequestBuilder, choose_question, count_images
from stablellava.synthesis.chat_drafting.settings_written import SettingFinders, SettingJudge
from stablellava.synthesis.chat_drafting.spending import SpendingMeter
from stablellava.synthesis.drafting import reject_request

Read = TypeVar("Read")
Slot = TypeVar("Slot")


@dataclass(frozen=True, slots=True)
class _Prompted:
    """A request whose prompts stand, and the setting that is written in them."""

    request: DraftRequest
    prompts: tuple[PaintPrompt, ...]
    setting: str


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What stands beside the prompts of a draft."""

    turns: tuple[Turn, ...]
    accepted: tuple[str, ...] = ()
    other: str = ""


class ChatDrafter:
    """Writes drafts with one chat model; of any capability, for training and for evaluation.

    Args:
        chat: answers; should remember, so that nothing is asked twice.
        settings: how it is asked.
        places: every place there is.
        held_out_share: which combinations training may not show.
        meter: told of answers that cost nothing.

    Raises: ConfigError for instructions that do not exist.
    """

    def __init__(
        self,
        chat: ChatModel,
        settings: DraftingSettings,
        places: Iterable[Place],
        held_out_share: float,
        meter: SpendingMeter,
    ) -> None:
        places = tuple(places)
        finder_of = SettingFinders(places)
        self._max_follow_ups = settings.max_follow_ups
        instructions = Instructions(settings.instructions)
        self._builder = RequestBuilder(instructions, settings, places, finder_of)
        self.revision = f"{instructions.revision}-{chat.revision}"
        self._judge = SettingJudge(finder_of, held_out_share)
        self._asker = Asker(chat, instructions, meter, settings.max_attempts)
        self._name = chat.name

    async def draft_all(self, requests: Sequence[DraftRequest]) -> list[Draft | Rejected]:
        """Return a draft or a reject per request, asking for all in shared calls; they are of one capability.

        What a shared answer leaves out or gets wrong is asked for alone.

        Raises: BackendFailed, RecordError (the cache cannot be written), LimitReached.
        """
        if len({count_images(request) for request in requests}) > 1:
            return [result for request in requests for result in await self.draft_all([request])]
        results: dict[str, Draft | Rejected] = {}
        prompted: list[_Prompted] = []
        written = await self._ask_each(requests, self._builder.prompt_call, _read_prompts)
        for request, prompts in zip(requests, written, strict=True):
            outcome = self._place(request, prompts)
            if isinstance(outcome, Rejected):
                results[request.draft_id] = outcome
            else:
                prompted.append(outcome)
        for entry, spoken in zip(prompted, await self._speak(prompted), strict=True):
            request = entry.request
            results[request.draft_id] = (
                _refuse(request, spoken) if isinstance(spoken, Refusal) else self._build(entry, spoken)
            )
        return [results[request.draft_id] for request in requests]

    async def _speak(self, prompted: Sequence[_Prompted]) -> list[_Spoken | Refusal]:
        if not prompted:
            return []
        if prompted[0].request.form is None:
            read = partial(_read_dialogue, max_follow_ups=self._max_follow_ups)
            return await self._ask_each(prompted, self._dialogue_call, read)
        return await self._ask_each(prompted, self._question_call, _read_question)

    async def _ask_each(
        self,
        slots: Sequence[Slot],
        build: Callable[[Sequence[Slot]], ChatRequest],
        read: Callable[[Slot, Mapping[str, Any]], Read],
    ) -> list[Read | Refusal]:
        """Return what was written for every slot: of a shared answer if there are several, else of its own."""
        shared: dict[int, Read] = {}
        if len(slots) > 1:
            answer = await self._asker.ask(Call(build(slots), _by_number))
            for index, entry in {} if isinstance(answer, Refusal) else answer.items():
                try:
                    shared[index] = read(slots[index], entry)
                except (AnswerUnfit, IndexError):
                    continue
        alone = [index for index in range(len(slots)) if index not in shared]
        asked = [self._asker.ask(Call(build([slots[index]]), partial(read, slots[index]))) for index in alone]
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
        found: dict[int, Read | Refusal] = {**shared, **dict(zip(alone, answers, strict=True))}
        return [found[index] for index in range(len(slots))]

    def _dialogue_call(self, prompted: Sequence[_Prompted]) -> ChatRequest:
        return self._builder.dialogue_call([one.request for one in prompted], [one.prompts for one in prompted])

    def _question_call(self, prompted: Sequence[_Prompted]) -> ChatRequest:
        return self._builder.question_call([one.request for one in prompted], [one.prompts for one in prompted])

    def _place(self, request: DraftRequest, prompts: tuple[PaintPrompt, ...] | Refusal) -> _Prompted | Rejected:
        if isinstance(prompts, Refusal):
            return _refuse(request, prompts)
        setting, problem = self._judge.judge(request, [prompt.text for prompt in prompts])
        if problem:
            return reject_request(request, problem, f"written: {setting or 'no place'}, asked for: {request.setting}")
        return _Prompted(request, prompts, setting)

    def _build(self, entry: _Prompted, spoken: _Spoken) -> Draft:
        request = entry.request
        attributes: list[tuple[str, str]] = [(request.capability.setting_kind, entry.setting)] if entry.setting else []
        if spoken.other:
            attributes.append(("other", spoken.other))
        return Draft(
            draft_id=request.draft_id,
            capability=request.capability.name,
            keyword=request.keyword.name,
            setting=entry.setting,
            attributes=tuple(attributes),
            prompts=entry.prompts,
            turns=spoken.turns,
            accepted_answers=spoken.accepted,
            form=request.form,
            exemplar_ids=request.exemplar_ids,
            depth=request.depth,
            # Tokens, seconds and cost differ between an interrupted run and a whole one; the run's report has them.
            stamp=CallStamp(backend=self._name, model=self._asker.model, revision=self.revision, seed=request.seed),
        )


def _by_number(answer: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return the entries of a shared answer by index; a number given twice names neither."""
    entries = answer["drafts"]
    numbers = [entry["number"] for entry in entries]
    return {
        entry["number"] - 1: entry for entry in entries if entry["number"] > 0 and numbers.count(entry["number"]) == 1
    }


def _read_prompts(request: DraftRequest, answer: Mapping[str, Any]) -> tuple[PaintPrompt, ...]:
    return read_prompts(answer, request.keyword, count_images(request))


def _read_dialogue(entry: _Prompted, answer: Mapping[str, Any], max_follow_ups: int) -> _Spoken:
    dialogue = read_dialogue(answer, join_prompts(entry.prompts), max_follow_ups)
    question = choose_question(entry.request)
    turns = [
        Turn(speaker="user", text=question, images=tuple(range(len(entry.prompts)))),
        Turn(speaker="assistant", text=dialogue.answer),
    ]
    for asked, said in dialogue.follow_ups:
        turns += [Turn(speaker="user", text=asked), Turn(speaker="assistant", text=said)]
    return _Spoken(tuple(turns))


def _read_question(entry: _Prompted, answer: Mapping[str, Any]) -> _Spoken:
    written = read_question(answer, join_prompts(entry.prompts))
    accepted, other = hold_to_form(entry.request, written)
    return _Spoken(write_turns(written, len(entry.prompts)), accepted, other)


def _refuse(request: DraftRequest, refusal: Refusal) -> Rejected:
    return reject_request(request, refusal.reason, refusal.detail)
