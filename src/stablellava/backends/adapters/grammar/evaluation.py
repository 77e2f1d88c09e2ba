"""Evaluation drafts: one question in one of the capability's forms, with its accepted answers."""

import random
from dataclasses import dataclass

from stablellava.backends.adapters.grammar.dialogue import with_alternatives
from stablellava.backends.adapters.grammar.planning import Plan
from stablellava.backends.adapters.grammar.script import Script, form_symbol
from stablellava.core.capability import FormKind
from stablellava.core.draft import DraftRefusal, DraftRequest, Turn


@dataclass(frozen=True, slots=True)
class Question:
    """An exchange and how to score another answer to it."""

    turns: tuple[Turn, ...]
    accepted: tuple[str, ...]
    other: str
    """The wrong alternative that the question names; empty if it names none."""


def write_question(
    request: DraftRequest, form: FormKind, script: Script, plan: Plan, prompt: str, rng: random.Random
) -> Question | DraftRefusal:
    """Return a filled form, or a refusal where the capability has no such form or no wrong alternative."""
    is_yes = rng.random() < 0.5
    symbol = form_symbol(form, is_yes=is_yes)
    slots = with_alternatives(request, script, plan, prompt, rng)
    names_other = form == "either_or" or (form == "yes_no" and not is_yes)
    if names_other and "other" not in slots:
        detail = f"no keyword of another group than that of {request.keyword.name!r}"
        return DraftRefusal(draft_id=request.draft_id, reason="no_wrong_alternative", detail=detail)
    if not script.grammar.usable(symbol, slots):
        detail = f"capability {request.capability.name!r} has no {form} form that {request.keyword.name!r} can fill"
        return DraftRefusal(draft_id=request.draft_id, reason="no_evaluation_form", detail=detail)
    if form == "yes_no":
        word = "yes" if is_yes else "no"
        answer = f"{word.capitalize()}."
    else:
        word = ""
        answer = script.grammar.expand("short_answer", slots, rng)
    images = tuple(range(max(1, len(request.keyword.parts))))
    turns = (
        Turn(speaker="user", text=script.grammar.expand(symbol, slots, rng), images=images),
        Turn(speaker="assistant", text=answer),
    )
    accepted = (word,) if word else request.keyword.accepted_answers
    return Question(turns, accepted, slots["other"] if names_other else "")
