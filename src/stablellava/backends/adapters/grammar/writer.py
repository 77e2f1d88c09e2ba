"""The writer that works without a model, a network or a key."""

from collections.abc import Sequence

from stablellava.backends.adapters.grammar.dialogue import write_dialogue
from stablellava.backends.adapters.grammar.evaluation import write_question
from stablellava.backends.adapters.grammar.planning import Plan, draw_plan
from stablellava.backends.adapters.grammar.script import Script
from stablellava.backends.adapters.grammar.tables import shared_tables
from stablellava.backends.revision import hash_package
from stablellava.core.capability import Capability
from stablellava.core.draft import CallStamp, Draft, DraftRefusal, DraftRequest, PaintPrompt

EMPHASIS = 1.3
"""Weight of the decisive phrase; the strength diffusion dialects commonly give to double brackets or less."""


class GrammarWriter:
    """Writes drafts from a capability's own tables by a small context-free grammar.

    Prompt and dialogue are filled from the same slots, so they agree by construction.
    """

    name = "grammar"

    @property
    def revision(self) -> str:
        """Changes with the writer's code and its shared rules; a capability's own tables count apart."""
        return hash_package("stablellava.backends.adapters.grammar")

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}

    def write(self, requests: Sequence[DraftRequest]) -> list[Draft | DraftRefusal]:
        """Return one draft per request; the text depends on the request alone."""
        return [self._write_one(request) for request in requests]

    def _write_one(self, request: DraftRequest) -> Draft | DraftRefusal:
        script = self._script_of(request.capability)
        plan = draw_plan(request, script)
        attributes = [*_shown_setting(plan), *plan.facts]
        accepted: tuple[str, ...] = ()
        if request.form is None:
            turns = write_dialogue(plan)
        else:
            question = write_question(plan, request.form)
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
            prompts=tuple(
                PaintPrompt(text=text, emphasis=((text.partition(",")[0], EMPHASIS),)) for text in plan.prompts
            ),
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


def _shown_setting(plan: Plan) -> list[tuple[str, str]]:
    """Return the setting as an attribute, unless the keyword's own parts say where they are."""
    kind = plan.request.capability.setting_kind
    said = plan.script.tables.say_place(plan.request.setting) if kind == "place" else plan.request.setting
    return [(kind, plan.request.setting)] if said in plan.phrases else []
