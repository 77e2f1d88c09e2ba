"""Evaluation drafts: one question in one of the capability's forms, with its accepted answers."""

from dataclasses import dataclass

from stablellava.backends.adapters.grammar.alternatives import with_alternatives
from stablellava.backends.adapters.grammar.planning import Plan
from stablellava.backends.adapters.grammar.script import form_symbol
from stablellava.core.capability import FormKind
from stablellava.core.draft import DraftRefusal, Turn


@dataclass(frozen=True, slots=True)
class Question:
    """An exchange and how to score another answer to it."""

    turns: tuple[Turn, ...]
    accepted: tuple[str, ...]
    other: str
    """The wrong alternative that the question names; empty if it names none."""


def write_question(plan: Plan, form: FormKind) -> Question | DraftRefusal:
    """Return a filled form, or a refusal where the capability has no such form or no wrong alternative."""
    keyword, grammar = plan.request.keyword, plan.script.grammar
    is_yes = plan.rng.random() < 0.5
    symbol = form_symbol(form, is_yes=is_yes)
    slots = with_alternatives(plan)
    names_other = form == "either_or" or (form == "yes_no" and not is_yes)
    if names_other and "other" not in slots:
        detail = f"no keyword of another group than that of {keyword.name!r}"
        return DraftRefusal(draft_id=plan.request.draft_id, reason="no_wrong_alternative", detail=detail)
    if not grammar.usable(symbol, slots):
        detail = f"capability {plan.request.capability.name!r} has no {form} form that {keyword.name!r} can fill"
        return DraftRefusal(draft_id=plan.request.draft_id, reason="no_evaluation_form", detail=detail)
    accepted = keyword.accepted_answers
    if form == "yes_no":
        accepted = ("yes",) if is_yes else ("no",)
        answer = "Yes." if is_yes else "No."
    else:
        answer = grammar.expand("short_answer", slots, plan.rng)
    question = grammar.expand(symbol, slots, plan.rng)
    turns = (
        Turn(speaker="user", text=question, images=tuple(range(plan.num_images))),
        Turn(speaker="assistant", text=answer),
    )
    return Question(turns, accepted, slots["other"] if names_other else "")
