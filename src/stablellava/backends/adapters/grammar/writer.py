"""The writer that works without a model, a network or a key."""

import random
from collections.abc import Sequence

from stablellava.backends.adapters.grammar.dialogue import write_dialogue
from stablellava.backends.adapters.grammar.evaluation import write_question
from stablellava.backends.adapters.grammar.planning import Plan, draw_plan
from stablellava.backends.adapters.grammar.script import Script
from stablellava.backends.adapters.grammar.tables import shared_tables
from stablellava.core.capability import Capability
from stablellava.core.draft import CallStamp, Draft, DraftRefusal, DraftRequest, PaintPrompt

EMPHASIS = 1.3
"""Weight of the decisive phrase; the strength diffusion dialects commonly give to double brackets or less."""


class GrammarWriter:
    """Writes drafts from a capability's own tables by a small context-free grammar.

    Prompt and dialogue are filled from the same slots, so they agree by construction.
    """

    name = "grammar"

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}

    def write(self, requests: Sequence[DraftRequest]) -> list[Draft | DraftRefusal]:
        """Return one draft per request; the text depends on the request alone."""
        return [self._write_one(request) for request in requests]

    def _write_one(self, request: DraftRequest) -> Draft | DraftRefusal:
        script = self._script_of(request.capability)
        rng = random.Random(request.seed)  # noqa: S311 - variety, not secrecy
        plan = draw_plan(request, script, rng)
        texts = _write_prompts(request, script, plan, rng)
        shown = plan.slots["place" if request.capability.setting_kind == "place" else "setting"]
        attributes: list[tuple[str, str]] = (
            [(request.capability.setting_kind, request.setting)] if shown in texts[0] else []
        )
        attributes.extend(plan.facts)
        accepted: tuple[str, ...] = ()
        if request.form is None:
            turns = write_dialogue(request, script, plan, "; ".join(texts), rng)
        else:
            question = write_question(request, request.form, script, plan, "; ".join(texts), rng)
            if isinstance(question, DraftRefusal):
                return question
            turns, accepted = question.turns, question.accepted
            if question.other:
                attributes.append(("other", question.other))
        return Draft(
            draft_id=request.draft_id,
            capability=request.capability.name,
            keyword=request.keyword.name,
            setting=request.setting,
            attributes=tuple(attributes),
            prompts=tuple(PaintPrompt(text=text, emphasis=((text.partition(",")[0], EMPHASIS),)) for text in texts),
            turns=turns,
            accepted_answers=accepted,
            form=request.form,
            stamp=CallStamp(backend=self.name, model=self.name, revision=script.revision, seed=request.seed),
        )

    def _script_of(self, capability: Capability) -> Script:
        known = self._scripts.get(capability.name)
        if known is None or (known.capability is not capability and known.capability != capability):
            known = self._scripts[capability.name] = Script(capability, shared_tables())
        return known


def _write_prompts(request: DraftRequest, script: Script, plan: Plan, rng: random.Random) -> tuple[str, ...]:
    """Return one prompt per picture; all share place, style and visual features."""
    parts = request.keyword.parts
    return tuple(
        " ".join(script.grammar.expand_raw("prompt", {**plan.slots, "part": part} if part else plan.slots, rng).split())
        for part in (parts or ("",))
    )
