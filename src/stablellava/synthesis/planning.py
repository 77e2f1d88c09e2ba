"""What to draft next: slots that even out the keywords, all known before any model is asked."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
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

    def add_counts(self, accepted: Sequence[str], rejected: Mapping[str, int]) -> None:
        """Count the outcomes of a shard by keyword, one entry per sample in ``accepted``."""
        self.accepted.update(accepted)
        self.attempted.update(accepted)
        self.attempted.update(rejected)

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
        accepted = [tally.accepted[name] for name in names]
        ahead = [tally.attempted[name] - tally.accepted[name] for name in names]
        # Among equals the one drafted least goes first, and equals in both are so at every level.
        order = sorted(range(len(names)), key=lambda index: (ahead[index], self.rank(names[index]), index))
        top = max(accepted, default=0)
        catching_up = tuple(
            islice(
                (
                    (index, ahead[index] + level)
                    for level in range(min(accepted, default=0), top)
                    for index in order
                    if accepted[index] <= level
                ),
                num_slots,
            )
        )
        cycle = tuple((index, ahead[index] + top) for index in order)
        return PlannedRequests(self, round_index, num_slots, tally.num_accepted, names, catching_up, cycle)

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
    """The requests of a round, each built when it is looked at; what it is for is reckoned, not kept.

    Attributes:
        num_accepted: samples that stood when the round was planned.
        catching_up: (index of a keyword's name, how often it was drawn before) of the first slots, until all keywords
            have equally many.
        cycle: the same of the slots after them, which go round and round.
    """

    planner: Planner
    round_index: int
    num_slots: int
    num_accepted: int
    names: Sequence[str]
    catching_up: Sequence[tuple[int, int]]
    cycle: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        return self.num_slots

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
        if slot < len(self.catching_up):
            name_index, num_drawn = self.catching_up[slot]
        else:
            num_rounds, place = divmod(slot - len(self.catching_up), len(self.cycle))
            name_index, num_drawn = self.cycle[place]
            num_drawn += num_rounds
        keyword = self.names[name_index]
        settings = self.planner.settings_by_keyword[keyword]
        setting = settings[num_drawn % len(settings)]
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
