"""What to draft next: slots that even out the keywords, all known before any model is asked."""

import heapq
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, overload

from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability, FormKind, Keyword
from stablellava.core.draft import DraftRequest
from stablellava.core.errors import ConfigError
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.sample import Rejected, Sample
from stablellava.synthesis.splitting import held_out_settings, training_settings

_FORM_CYCLE: tuple[FormKind, ...] = ("wh", "yes_no", "wh", "either_or")
_HOPELESS_AFTER = 3
"""A keyword none of whose first so many drafts stood is left out as long as others stand."""


@dataclass
class Tally:
    """What became of a capability's keywords so far."""

    accepted: Counter[str] = field(default_factory=Counter)
    attempted: Counter[str] = field(default_factory=Counter)

    def add(self, outcomes: Iterable[Sample | Rejected]) -> None:
        """Count the outcomes of a shard."""
        for outcome in outcomes:
            is_sample = isinstance(outcome, Sample)
            keyword = outcome.draft.keyword if isinstance(outcome, Sample) else outcome.keyword
            self.attempted[keyword] += 1
            self.accepted[keyword] += is_sample

    @property
    def num_accepted(self) -> int:
        return self.accepted.total()


@dataclass(frozen=True)
class Planner:
    """Plans the rounds of one capability.

    Attributes:
        settings_by_keyword: keyword -> settings this side of the held-out split allows, in drawing order.
        forms: evaluation question forms to go through; empty for training drafts.
    """

    seed: int
    capability: Capability
    settings_by_keyword: Mapping[str, tuple[str, ...]]
    forms: tuple[FormKind, ...] = ()

    def plan_round(self, round_index: int, num_slots: int, tally: Tally) -> "PlannedRequests":
        """Return one request per slot, each for the keyword that has the fewest samples by then."""
        names = self._standing_keywords(tally)
        queue = [
            (tally.accepted[name], tally.attempted[name], self.rank(name), index) for index, name in enumerate(names)
        ]
        heapq.heapify(queue)
        keywords, draws = array("H"), array("L")
        for _ in range(num_slots):
            accepted, attempted, rank, index = queue[0]
            keywords.append(index)
            draws.append(attempted)
            heapq.heapreplace(queue, (accepted + 1, attempted + 1, rank, index))
        return PlannedRequests(self, round_index, tally.num_accepted, names, keywords, draws)

    def _standing_keywords(self, tally: Tally) -> list[str]:
        names = list(self.settings_by_keyword)
        hopeful = [name for name in names if tally.accepted[name] or tally.attempted[name] < _HOPELESS_AFTER]
        return hopeful or names

    def rank(self, keyword: str) -> int:
        """Return the keyword's place among equals."""
        return seed_from(self.seed, self.capability.name, keyword, "rank")

    def request(self, round_index: int, slot: int, keyword: str, setting: str, position: int) -> DraftRequest:
        """Return the request of a slot; ``position`` counts accepted samples and earlier slots, for question forms."""
        form = self.forms[position % len(self.forms)] if self.forms else None
        purpose: Literal["train", "evaluate"] = "evaluate" if form else "train"
        found = self.capability.find_keyword(keyword)
        assert found is not None
        draft_id = hash_id(self.seed, purpose, self.capability.name, round_index, slot, keyword, setting, form)
        # Its parts are checked already, the capability's whole table among them; a run builds very many.
        return DraftRequest.model_construct(
            draft_id=draft_id,
            seed=seed_from(draft_id, "draft"),
            capability=self.capability,
            keyword=found,
            setting=setting,
            purpose=purpose,
            form=form,
            prompt_exemplars=self.capability.prompt_exemplars,
            dialogue_exemplars=self.capability.dialogue_exemplars,
        )


@dataclass(frozen=True)
class PlannedRequests(Sequence[DraftRequest]):
    """The requests of a round, each built when it is looked at: a slot takes some ten bytes until then."""

    planner: Planner
    round_index: int
    num_accepted: int
    """Samples that stood when the round was planned."""
    names: Sequence[str]
    keywords: "array[int]"
    """Per slot, the index of its keyword's name."""
    draws: "array[int]"
    """Per slot, how often its keyword was drawn before."""

    def __len__(self) -> int:
        return len(self.keywords)

    @overload
    def __getitem__(self, index: int) -> DraftRequest: ...

    @overload
    def __getitem__(self, index: slice) -> list[DraftRequest]: ...

    def __getitem__(self, index: int | slice) -> DraftRequest | list[DraftRequest]:
        places = range(len(self))
        if isinstance(index, slice):
            return [self._build(slot) for slot in places[index]]
        return self._build(places[index])

    def _build(self, slot: int) -> DraftRequest:
        keyword = self.names[self.keywords[slot]]
        settings = self.planner.settings_by_keyword[keyword]
        setting = settings[self.draws[slot] % len(settings)]
        return self.planner.request(self.round_index, slot, keyword, setting, self.num_accepted + slot)


def training_planner(config: RunConfig, capability: Capability) -> Planner:
    """Return the planner of training drafts."""
    return Planner(config.seed, capability, _spread(config, capability, training_settings))


def evaluation_planner(config: RunConfig, capability: Capability) -> Planner:
    """Return the planner of evaluation drafts: held-out combinations, half wh, a quarter each yes/no and either-or.

    Raises: ConfigError if the capability has no question forms or nothing to hold out.
    """
    known = {form.kind for form in capability.evaluation_forms}
    forms = tuple(kind for kind in _FORM_CYCLE if kind in known)
    settings = _spread(config, capability, held_out_settings)
    if not forms or not settings:
        missing = "evaluation forms" if not forms else "keywords with at least two settings"
        raise ConfigError(f"capability {capability.name!r} has no {missing}; leave it out of the suite")
    return Planner(config.seed, capability, settings, forms)


def plan_evaluation(config: RunConfig, capability: Capability, num_items: int) -> list[DraftRequest]:
    """Return the first round of evaluation drafts. Raises: as ``evaluation_planner``."""
    return list(evaluation_planner(config, capability).plan_round(0, num_items, Tally()))


def _spread(
    config: RunConfig, capability: Capability, side: Callable[[Capability, Keyword, float], tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return keyword -> its settings on one side of the split, in drawing order; keywords without any are left out."""
    spread: dict[str, tuple[str, ...]] = {}
    for keyword in capability.keywords:
        settings = side(capability, keyword, config.synthesis.held_out_share)
        if settings:
            ranks = {name: seed_from(config.seed, capability.name, keyword.name, name) for name in settings}
            spread[keyword.name] = tuple(sorted(settings, key=ranks.__getitem__))
    return spread
