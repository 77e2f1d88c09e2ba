"""Dialogues: a description, then short questions about what the prompt holds."""

import random
import re

from stablellava.backends.adapters.grammar.alternatives import with_alternatives
from stablellava.backends.adapters.grammar.planning import Plan
from stablellava.backends.adapters.grammar.rules import Alternative, Slots, tidy
from stablellava.core.draft import Turn

_ARROW = " => "
_MAX_EXCHANGES = 4
_EXCHANGE_COUNTS = (1, 2, 2, 3, 3, 3, 4, 4)
_FIRST_ANSWER_WORDS = range(8, 26)
_MAX_TRIES = 16
_WORD = re.compile(r"[a-z]{3,}")
_DOUBLED = re.compile(r"\b(\w+) \1\b")
_MAY_REPEAT = frozenset({"the", "and", "are", "its", "with", "this", "that", "his", "her"})


def write_dialogue(plan: Plan) -> tuple[Turn, ...]:
    """Return one to four exchanges; every picture is shown in the first turn, or one per exchange for steps."""
    if plan.num_images > 1 and "step" in plan.script.grammar:
        return _write_steps(plan)
    question = plan.script.grammar.expand("describe", plan.slots, plan.rng)
    turns = [
        Turn(speaker="user", text=question, images=tuple(range(plan.num_images))),
        Turn(speaker="assistant", text=_write_description(plan)),
    ]
    _follow_up(turns, plan.rng.choice(_EXCHANGE_COUNTS) - 1, plan)
    return tuple(turns)


def _write_steps(plan: Plan) -> tuple[Turn, ...]:
    """Return one exchange per picture, and a question about them all where there is room."""
    turns: list[Turn] = []
    for index in range(plan.num_images):
        slots = {**plan.slots, "step": plan.slots[f"part{index + 1}"], f"step{index + 1}": ""}
        if index == plan.num_images - 1:
            slots["last_step"] = ""
        _append_exchange(turns, "step", slots, plan, (index,))
    _follow_up(turns, plan.rng.randint(0, max(0, _MAX_EXCHANGES - plan.num_images)), plan)
    return tuple(turns)


def _follow_up(turns: list[Turn], count: int, plan: Plan) -> None:
    """Append as many exchanges of different kinds as asked for, or as the rules can fill."""
    if count < 1:
        return
    slots = with_alternatives(plan)
    options = list(plan.script.grammar.usable("follow_ups", slots))
    for number in range(min(count, len(options))):
        if number:
            slots = with_alternatives(plan)
        drawn = options.pop(_draw_index(options, plan.rng))
        _append_exchange(turns, drawn.symbols[0], slots, plan)


def _write_description(plan: Plan) -> str:
    """Return the least faulty of a few tries: no word twice, neither curt nor long-winded."""
    slots = plan.slots
    given = _MAY_REPEAT.union(_WORD.findall(f"{slots['keyword']} {slots.get('note', '')}".lower()))
    best, fewest = "", -1
    for _ in range(_MAX_TRIES):
        text = plan.script.grammar.expand("description", slots, plan.rng)
        faults = _count_faults(text, given)
        if fewest < 0 or faults < fewest:
            best, fewest = text, faults
        if faults == 0:
            break
    return best


def _count_faults(text: str, may_repeat: frozenset[str]) -> int:
    words = [word for word in _WORD.findall(text.lower()) if word not in may_repeat]
    repeats = len(words) - len(set(words)) + len(_DOUBLED.findall(text.lower()))
    return repeats + (len(text.split()) not in _FIRST_ANSWER_WORDS)


def _draw_index(options: list[Alternative], rng: random.Random) -> int:
    position = rng.random() * sum(option.weight for option in options)
    for index, option in enumerate(options):
        position -= option.weight
        if position < 0:
            return index
    return len(options) - 1


def _append_exchange(turns: list[Turn], symbol: str, slots: Slots, plan: Plan, images: tuple[int, ...] = ()) -> None:
    """Expand a rule of the form question => answer, avoiding a question that was asked before."""
    asked = {turn.text for turn in turns}
    question = answer = ""
    for _ in range(_MAX_TRIES):
        question, _, answer = plan.script.grammar.expand_raw(symbol, slots, plan.rng).partition(_ARROW)
        question = tidy(question)
        if question not in asked:
            break
    turns.append(Turn(speaker="user", text=question, images=images))
    turns.append(Turn(speaker="assistant", text=tidy(answer)))
