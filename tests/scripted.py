"""Writers whose variety is known, and the outcomes of a round without pictures."""

from collections.abc import Callable, Sequence

from stablellava.backends.adapters.grammar import GrammarWriter
from stablellava.config.synthesis import PoolSettings
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability
from stablellava.core.draft import CallStamp, Draft, DraftRefusal, DraftRequest, PaintPrompt, Turn
from stablellava.core.sample import Rejected, Sample, Verdict
from stablellava.synthesis.evolution import Evolution, RoundRecord
from stablellava.synthesis.planning import Planner, Tally, training_planner

Outcome = Sample | Rejected
Write = Callable[[int, Sequence[DraftRequest]], list[Draft]]
"""Round and requests -> drafts."""


def write_by_grammar(round_index: int, requests: Sequence[DraftRequest]) -> list[Draft]:
    """A healthy writer; shows what it was shown."""
    drafts = [draft for draft in GrammarWriter().write(requests) if not isinstance(draft, DraftRefusal)]
    asked = {request.draft_id: request for request in requests}
    return [
        draft.model_copy(
            update={"exemplar_ids": asked[draft.draft_id].exemplar_ids, "depth": asked[draft.draft_id].depth}
        )
        for draft in drafts
    ]


def repeat_five(round_index: int, requests: Sequence[DraftRequest]) -> list[Draft]:
    """The same five prompts and answers, whatever is asked for."""
    five = write_by_grammar(round_index, requests[:5])
    return [
        five[index % 5].model_copy(
            update={
                "draft_id": request.draft_id,
                "keyword": request.keyword.name,
                "setting": request.setting,
                "exemplar_ids": request.exemplar_ids,
                "depth": request.depth,
            }
        )
        for index, request in enumerate(requests)
    ]


def fill_five_forms(round_index: int, requests: Sequence[DraftRequest]) -> list[Draft]:
    """Five forms with keyword and setting filled in: every text differs, yet nothing new is said."""
    forms = (("soft light", "There is a {}."), ("warm light, vivid colors", "One can see a {} here, in warm light."))
    forms += (("clean lines", "The picture shows a {}, with clean lines."), ("rich contrast", "A {} is what you see."))
    forms += (("fine texture", "It is a {}, and nothing else is there."),)
    return [plain_draft(request, *forms[index % 5]) for index, request in enumerate(requests)]


def plain_draft(request: DraftRequest, features: str, answer: str) -> Draft:
    keyword, setting = request.keyword.name, request.setting
    return Draft(
        draft_id=request.draft_id,
        capability=request.capability.name,
        keyword=keyword,
        setting=setting,
        prompts=(PaintPrompt(text=f"{keyword}, {setting}, {features}", emphasis=((keyword, 1.2),)),),
        turns=(Turn(speaker="user", text="What do you see?"), Turn(speaker="assistant", text=answer.format(keyword))),
        exemplar_ids=request.exemplar_ids,
        depth=request.depth,
        stamp=CallStamp(backend="scripted"),
    )


def accept(draft: Draft, verdicts: tuple[Verdict, ...] = ()) -> Sample:
    return Sample(sample_id=draft.draft_id, draft=draft, paintings=(), verdicts=verdicts)


class RoundRunner:
    """Goes through rounds of one capability as a round loop does, without pictures and files of samples."""

    def __init__(
        self, evolution: Evolution, capability: Capability, settings: PoolSettings, planner: Planner | None = None
    ) -> None:
        self.evolution = evolution
        self.capability = capability
        self.size = settings.round_size
        self.planner = planner or training_planner(RunConfig(), capability)
        self.tally = Tally()
        self.committed: list[list[Outcome]] = []

    def run(self, write: Write) -> RoundRecord:
        index, name = len(self.committed), self.capability.name
        requests = self.evolution.show(self.planner.plan_round(index, self.size, self.tally))
        outcomes = self.evolution.judge(name, index, [accept(draft) for draft in write(index, requests)])
        self.tally.add(outcomes)
        self.committed.append(outcomes)
        return self.evolution.advance(name, index, outcomes)
