"""Dialogues: a description, then short questions about what the prompt holds."""

import random
import re

from stablellava.backends.adapters.grammar.planning import Plan, draw_other, draw_other_place, name_other
from stablellava.backends.adapters.grammar.rules import Alternative, Slots, tidy
from stablellava.backends.adapters.grammar.script import Script
from stablellava.core.draft import DraftRequest, Turn

_ARROW = " => "
_MAX_EXCHANGES = 4
_EXCHANGE_COUNTS = (1, 2, 2, 3, 3, 3, 4, 4)
_FIRST_ANSWER_WORDS = range(8, 26)
_MAX_TRIES = 16
_WORD = re.compile(r"[a-z]{3,}")
_MAY_REPEAT = frozenset({"the", "and", "are", "its", "with", "this", "that", "his", "her"})


def write_dialogue(
    request: DraftRequest, script: Script, plan: Plan, prompt: str, rng: random.Random
) -> tuple[Turn, ...]:
    """Return one to four exchanges; every picture is shown in the first turn, or one per exchange for steps."""
    grammar = script.grammar
    num_images = max(1, len(request.keyword.parts))
    if num_images > 1 and "step" in grammar:
        return _write_steps(request, script, plan, prompt, rng)
    turns = [
        Turn(speaker="user", text=grammar.expand("describe", plan.slots, rng), images=tuple(range(num_images))),
        Turn(speaker="assistant", text=_write_description(script, plan.slots, rng)),
    ]
    _follow_up(turns, rng.choice(_EXCHANGE_COUNTS) - 1, request, script, plan, prompt, rng)
    return tuple(turns)


def _follow_up(
    turns: list[Turn], count: int, request: DraftRequest, script: Script, plan: Plan, prompt: str, rng: random.Random
) -> None:
    """Append as many exchanges of different kinds as asked for, or as the rules can fill."""
    if count < 1:
        return
    slots = with_alternatives(request, script, plan, prompt, rng)
    options = list(script.grammar.usable("follow_ups", slots))
    for number in range(min(count, len(options))):
        drawn = options.pop(_draw_index(options, rng))
        if number:
            slots = with_alternatives(request, script, plan, prompt, rng)
        _append_exchange(turns, script.grammar.expand_raw(drawn.symbols[0], slots, rng))


def with_alternatives(request: DraftRequest, script: Script, plan: Plan, prompt: str, rng: random.Random) -> Slots:
    """Return the plan's slots with wrong alternatives: for the keyword, the place and every drawn fact."""
    slots = dict(plan.slots)
    other = draw_other(plan, script, request.keyword, prompt, rng)
    if other is not None:
        slots["other_keyword"] = name_other(request.keyword, other)
        _add_pair(slots, "", request.keyword.short_answer, other.short_answer, rng)
    if request.capability.setting_kind == "place":
        place = draw_other_place(request, script.tables, prompt, rng)
        if place is not None:
            _add_pair(slots, "_place", slots["place"], script.tables.say_place(place), rng)
    for fact, value in plan.facts:
        wrong = script.other_value(fact, value, rng)
        if wrong is not None:
            _add_pair(slots, f"_{fact}", value, wrong, rng)
    if "other_style" in slots:
        looks = [script.tables.say_look(slots[name]) for name in ("first_style", "second_style")]
        slots["first_look"], slots["second_look"] = looks
    return slots


def _add_pair(slots: Slots, suffix: str, right: str, wrong: str, rng: random.Random) -> None:
    slots[f"other{suffix}"] = wrong
    pair = (right, wrong) if rng.random() < 0.5 else (wrong, right)
    slots[f"first{suffix}"], slots[f"second{suffix}"] = pair


def _write_description(script: Script, slots: Slots, rng: random.Random) -> str:
    """Return the least faulty of a few tries: no word twice, neither curt nor long-winded."""
    given = _MAY_REPEAT.union(_WORD.findall(f"{slots['keyword']} {slots.get('note', '')}".lower()))
    best, fewest = "", -1
    for _ in range(_MAX_TRIES):
        text = script.grammar.expand("description", slots, rng)
        faults = _count_faults(text, given)
        if fewest < 0 or faults < fewest:
            best, fewest = text, faults
        if faults == 0:
            break
    return best


def _count_faults(text: str, may_repeat: frozenset[str]) -> int:
    words = [word for word in _WORD.findall(text.lower()) if word not in may_repeat]
    repeats = len(words) - len(set(words))
    return repeats + (len(text.split()) not in _FIRST_ANSWER_WORDS)


def _draw_index(options: list[Alternative], rng: random.Random) -> int:
    position = rng.random() * sum(option.weight for option in options)
    for index, option in enumerate(options):
        position -= option.weight
        if position < 0:
            return index
    return len(options) - 1


def _append_exchange(turns: list[Turn], exchange: str, images: tuple[int, ...] = ()) -> None:
    question, _, answer = exchange.partition(_ARROW)
    turns.append(Turn(speaker="user", text=tidy(question), images=images))
    turns.append(Turn(speaker="assistant", text=tidy(answer)))


def _write_steps(
    request: DraftRequest, script: Script, plan: Plan, prompt: str, rng: random.Random
) -> tuple[Turn, ...]:
    """Return one exchange per picture, and a question about them all where there is room."""
    turns: list[Turn] = []
    num_steps = len(request.keyword.parts)
    for index in range(num_steps):
        slots = {**plan.slots, "step": plan.slots[f"part{index + 1}"], f"step{index + 1}": ""}
        if index == num_steps - 1:
            slots["last_step"] = ""
        _append_exchange(turns, script.grammar.expand_raw("step", slots, rng), (index,))
    _follow_up(turns, rng.randint(0, max(0, _MAX_EXCHANGES - num_steps)), request, script, plan, prompt, rng)
    return tuple(turns)
