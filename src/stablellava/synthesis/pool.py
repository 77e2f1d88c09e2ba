"""The evolving pool of in-context examples of one capability. A pool is a value: evolving returns the next one.

How a round loop uses it (``Evolution`` in evolution.py does all of this for the capabilities of a run)::

    pool = start_pool(capability)
    requests = show_exemplars(pool, planned, settings)                               # before the writer is asked
    pool = pool.evolve(accepted_samples, settings, num_keywords, earlier_texts)      # after the round was verified

Paper: 2308.10253v1, section 3 (5 seeds, 20 chosen outputs, for prompts and for dialogues separately).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from stablellava.config.synthesis import PoolSettings
from stablellava.core.capability import Capability, DialogueExemplar, PromptExemplar
from stablellava.core.draft import Draft, DraftRequest
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.record import Record
from stablellava.core.sample import Sample
from stablellava.filters.picture_judge import PictureJudge
from stablellava.synthesis.diversity import DraftText, Embed
from stablellava.synthesis.pool_choosing import Entry, Limits, choose_grown, measure_distances

_MAX_CANDIDATES = 200
"""Choosing costs the square of their number."""


class PoolExemplar(Record):
    """An exemplar, and where it comes from."""

    exemplar_id: str
    keyword: str
    exemplar: PromptExemplar | DialogueExemplar
    draft_id: str = ""
    """The draft it is taken from; empty for a seed."""
    depth: int = 0
    """The draft's depth; 0 for a seed."""

    @property
    def is_seed(self) -> bool:
        return not self.draft_id

    @property
    def text(self) -> str:
        """All its words, as novelty is measured on them."""
        pieces = self.exemplar.texts if isinstance(self.exemplar, PromptExemplar) else self.exemplar.turns
        return " ".join(pieces)


@dataclass(frozen=True)
class Shown:
    """What one request is shown."""

    prompts: tuple[PoolExemplar, ...]
    dialogues: tuple[PoolExemplar, ...]

    @property
    def exemplar_ids(self) -> tuple[str, ...]:
        return tuple(entry.exemplar_id for entry in (*self.prompts, *self.dialogues))

    @property
    def depth(self) -> int:
        """Depth of a draft written after these; 0 when there are none."""
        return 1 + max((entry.depth for entry in (*self.prompts, *self.dialogues)), default=-1)


class ExemplarPool(Record):
    """Exemplars of prompts and of dialogues, seeds first."""

    capability: str
    prompts: tuple[PoolExemplar, ...]
    dialogues: tuple[PoolExemplar, ...]

    @property
    def num_grown(self) -> tuple[int, int]:
        """Prompts and dialogues beside the seeds."""
        return len(_grown(self.prompts)), len(_grown(self.dialogues))

    def draw(self, draft_id: str, keywords: Collection[str], num_shown: int, seed_share: float) -> Shown:
        """Return at most ``num_shown`` prompts and dialogues each, fixed by the draft's id.

        At least ``seed_share`` of each are seeds. Exemplars of the keywords that are asked for are left out: copying
        one would be a right answer.
        """
        return Shown(
            _draw(self.prompts, draft_id, keywords, num_shown, seed_share),
            _draw(self.dialogues, draft_id, keywords, num_shown, seed_share),
        )

    def evolve(
        self,
        candidates: Sequence[Sample],
        settings: PoolSettings,
        num_keywords: int,
        earlier: Sequence[DraftText] = (),
        embed: Embed | None = None,
    ) -> "ExemplarPool":
        """Return the pool after a round.

        Args:
            candidates: verified samples of the round; of many, a part chosen by id is looked at.
            settings: how many may join, how novel, how good, how deep.
            num_keywords: keywords of the capability; each may have an equal part of what is grown, rounded up.
            earlier: drafts of samples accepted in earlier rounds, to be novel against (all, or a sample of them).
            embed: measures novelty by meaning; words and word pairs without.
        """
        fit = [sample for sample in candidates if _is_fit(sample, settings)]
        chosen = sorted(fit, key=lambda sample: seed_from("candidate", sample.sample_id))[:_MAX_CANDIDATES]
        limits = Limits(
            max_grown=settings.max_grown,
            max_joining=settings.max_joining,
            max_per_keyword=math.ceil(settings.max_grown / max(1, num_keywords)),
            min_novelty=settings.min_novelty,
        )
        sides = (
            (self.prompts, [_prompt_of(sample.draft) for sample in chosen], [text.prompt for text in earlier]),
            (self.dialogues, [_dialogue_of(sample.draft) for sample in chosen], [text.dialogue for text in earlier]),
        )
        prompts, dialogues = (
            _evolve(held, _new_to_data(found, known, settings.min_data_novelty, embed), limits, embed)
            for held, found, known in sides
        )
        return self.model_copy(update={"prompts": prompts, "dialogues": dialogues})


def start_pool(capability: Capability) -> ExemplarPool:
    """Return the pool of the capability's seed exemplars."""
    keyword_of = {exemplar.texts: exemplar.keyword for exemplar in capability.prompt_exemplars}
    return ExemplarPool(
        capability=capability.name,
        prompts=tuple(_seed(capability, one.keyword, one) for one in capability.prompt_exemplars),
        dialogues=tuple(
            _seed(capability, keyword_of.get(one.prompts, one.prompts[0].partition(",")[0]), one)
            for one in capability.dialogue_exemplars
        ),
    )


def show_exemplars(
    pool: ExemplarPool, requests: Sequence[DraftRequest], settings: PoolSettings, drafts_per_call: int = 1
) -> list[DraftRequest]:
    """Return the requests with the exemplars they are shown, their ids and the depth that their drafts will have.

    Requests that are answered in one call, so many in a row, are shown the same ones.
    """
    equipped: list[DraftRequest] = []
    for start in range(0, len(requests), drafts_per_call):
        call = requests[start : start + drafts_per_call]
        keywords = {request.keyword.name for request in call}
        shown = pool.draw(call[0].draft_id, keywords, settings.num_shown, settings.seed_share)
        update = {
            "prompt_exemplars": tuple(entry.exemplar for entry in shown.prompts),
            "dialogue_exemplars": tuple(entry.exemplar for entry in shown.dialogues),
            "exemplar_ids": shown.exemplar_ids,
            "depth": shown.depth,
        }
        equipped += [request.model_copy(update=update) for request in call]
    return equipped


def _is_fit(sample: Sample, settings: PoolSettings) -> bool:
    scores = [verdict.score for verdict in sample.verdicts if verdict.filter_name == PictureJudge.name]
    is_good = all(score is None or score >= settings.min_judge_score for score in scores)
    return is_good and sample.draft.depth <= settings.max_depth


def _evolve(
    held: tuple[PoolExemplar, ...], candidates: Sequence[PoolExemplar], limits: Limits, embed: Embed | None
) -> tuple[PoolExemplar, ...]:
    seeds, grown = [entry for entry in held if entry.is_seed], _grown(held)
    known = {entry.exemplar_id: entry for entry in (*candidates, *grown)}
    ids = choose_grown(
        [entry.text for entry in seeds],
        [_entry(entry) for entry in grown],
        [_entry(entry) for entry in {one.exemplar_id: one for one in candidates}.values()],
        limits,
        embed,
    )
    return (*seeds, *(known[exemplar_id] for exemplar_id in ids))


def _new_to_data(
    candidates: list[PoolExemplar], earlier: Sequence[str], min_novelty: float, embed: Embed | None
) -> list[PoolExemplar]:
    if not earlier or not candidates:
        return candidates
    nearest = measure_distances([entry.text for entry in candidates], earlier, embed).min(axis=1)
    return [entry for entry, distance in zip(candidates, nearest, strict=True) if distance >= min_novelty]


def _draw(
    entries: Sequence[PoolExemplar], draft_id: str, keywords: Collection[str], num_shown: int, seed_share: float
) -> tuple[PoolExemplar, ...]:
    allowed = [entry for entry in entries if entry.keyword not in keywords]
    ranked = sorted(allowed, key=lambda entry: seed_from(draft_id, entry.exemplar_id, "shown"))
    num_seeds = math.ceil(seed_share * num_shown)
    first = [entry for entry in ranked if entry.is_seed][:num_seeds]
    others = [entry for entry in ranked if entry not in first][: num_shown - len(first)]
    shown = [entry for entry in ranked if entry in first or entry in others]
    while _grown(shown) and len(shown) - len(_grown(shown)) < seed_share * len(shown):
        shown.remove(_grown(shown)[-1])
    return tuple(shown)


def _seed(capability: Capability, keyword: str, exemplar: PromptExemplar | DialogueExemplar) -> PoolExemplar:
    exemplar_id = hash_id(capability.name, "seed", exemplar.model_dump(mode="json"))
    return PoolExemplar(exemplar_id=exemplar_id, keyword=keyword, exemplar=exemplar)


def _prompt_of(draft: Draft) -> PoolExemplar:
    texts = tuple(prompt.text for prompt in draft.prompts)
    return _grown_from(draft, "prompt", PromptExemplar(keyword=draft.keyword, texts=texts))


def _dialogue_of(draft: Draft) -> PoolExemplar:
    prompts, turns = tuple(prompt.text for prompt in draft.prompts), tuple(turn.text for turn in draft.turns)
    return _grown_from(draft, "dialogue", DialogueExemplar(prompts=prompts, turns=turns))


def _grown_from(draft: Draft, kind: str, exemplar: PromptExemplar | DialogueExemplar) -> PoolExemplar:
    return PoolExemplar(
        exemplar_id=hash_id(draft.draft_id, kind),
        keyword=draft.keyword,
        exemplar=exemplar,
        draft_id=draft.draft_id,
        depth=draft.depth,
    )


def _grown(entries: Sequence[PoolExemplar]) -> list[PoolExemplar]:
    return [entry for entry in entries if not entry.is_seed]


def _entry(entry: PoolExemplar) -> Entry:
    return Entry(entry.exemplar_id, entry.keyword, entry.text)
