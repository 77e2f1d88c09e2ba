"""The pools of a run, round after round: what is shown, whether a round stands, and what joins.

The contract with a round loop, for each capability and round::

    evolution = Evolution(data_dir, capabilities, settings.pool)
    requests = evolution.show(planner.plan_round(...))             # then the writer is asked
    outcomes = evolution.judge(capability, index, outcomes)        # of the whole round, before anything is committed
    ... drop duplicates, commit ...
    evolution.advance(capability, index, committed)                # the pool evolves, the state is saved
    if evolution.why_stopped(capability): plan no further round for it

``evolution.notes`` says in words what the guard did. Everything depends on the outcomes alone, so a resumed run that
judges and advances the same rounds in the same order has the same pools; what was saved of a round is not measured
again. Samples of a collapsed round come back as rejects with their drafts; given those rejects again (read from a
committed shard), the verdict is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stablellava.config.synthesis import PoolSettings
from stablellava.core.capability import Capability
from stablellava.core.draft import DraftRequest
from stablellava.core.errors import RecordError
from stablellava.core.record import Record
from stablellava.core.sample import Rejected, Sample, Verdict, turn_down
from stablellava.store.files import write_atomic
from stablellava.synthesis.collapse import CollapseVerdict, judge_round
from stablellava.synthesis.diversity import Diversity, DraftText, Embed, measure_round, take_sample, text_of
from stablellava.synthesis.pool import ExemplarPool, show_exemplars, start_pool

Outcome = Sample | Rejected
COLLAPSED = "collapsed_round"
"""Reason of the rejects of a round that does not stand."""
Action = Literal["evolved", "kept", "rolled_back", "stopped"]
_MAX_REMEMBERED = 200
"""Texts kept of the first, the previous and all earlier rounds, to compare with."""


class RoundRecord(Record):
    """How a round of one capability went; saved as data/pools/<capability>/r<round>.json."""

    capability: str
    round_index: int
    num_drafts: int
    """Slots of the round, unreadable answers included."""
    num_accepted: int
    diversity: Diversity | None
    """Of its readable drafts; None if there are none."""
    verdict: CollapseVerdict
    action: Action
    """Outputs joined the pool; it stayed; it went back to the last good one, for good; nothing more is drafted."""
    is_frozen: bool
    pool: ExemplarPool
    """What the next round is shown."""


@dataclass
class _State:
    capability: Capability
    pool: ExemplarPool
    good_pool: ExemplarPool
    """The pool that the last round that stood was drafted with."""
    is_frozen: bool = False
    stopped: str = ""
    first: list[DraftText] = field(default_factory=list)
    previous: list[DraftText] = field(default_factory=list)
    earlier: list[DraftText] = field(default_factory=list)
    """Of all samples accepted so far."""
    verdict: CollapseVerdict | None = None
    """Of the round that is being committed."""
    saved: RoundRecord | None = None
    """What an earlier start saved of that round."""


class Evolution:
    """Holds the pool of every capability.

    Args:
        data_dir: where the rounds' records are saved.
        capabilities: those with a pool.
        settings: of pools and guard.
        embed: measures novelty and variety by meaning; by words without.
        drafts_per_call: consecutive requests that a writer answers at once, and so shows the same exemplars.
    """

    def __init__(
        self,
        data_dir: Path,
        capabilities: Sequence[Capability],
        settings: PoolSettings,
        embed: Embed | None = None,
        drafts_per_call: int = 1,
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._embed = embed
        self._drafts_per_call = drafts_per_call
        pools = {capability.name: start_pool(capability) for capability in capabilities}
        self._states = {one.name: _State(one, pools[one.name], pools[one.name]) for one in capabilities}
        self.notes: list[str] = []

    def show(self, requests: Sequence[DraftRequest]) -> list[DraftRequest]:
        """Return requests of one capability with what its pool shows them."""
        pool = self._states[requests[0].capability.name].pool
        return show_exemplars(pool, requests, self._settings, self._drafts_per_call)

    def why_stopped(self, capability: str) -> str:
        """Return why no more is drafted for the capability, or nothing."""
        return self._states[capability].stopped

    def judge(self, capability: str, round_index: int, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return the round's outcomes, all samples among them turned into rejects if the round has collapsed."""
        state = self._states[capability]
        state.saved = _find_record(self._data_dir, capability, round_index, len(outcomes))
        verdict = state.saved.verdict if state.saved else self._compare(state, outcomes)
        state.verdict = verdict
        if not verdict.collapsed:
            return list(outcomes)
        detail = f"round {round_index + 1} {verdict.reason}"
        refusal = Verdict(filter_name="collapse_guard", kept=False, reason=COLLAPSED, detail=detail)
        return [turn_down(outcome, refusal) if isinstance(outcome, Sample) else outcome for outcome in outcomes]

    def advance(self, capability: str, round_index: int, outcomes: Sequence[Outcome]) -> RoundRecord:
        """Let the pool evolve on a committed round, or go back to what it was; save and return how the round went.

        Raises: RecordError (full disk).
        """
        state = self._states[capability]
        verdict, saved = state.verdict, state.saved
        state.verdict = state.saved = None
        if verdict is None:
            raise ValueError(f"round {round_index} of {capability!r} was not judged")
        samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
        texts = _texts_of(outcomes)
        if verdict.collapsed:
            action = self._go_back(state, round_index, verdict, len(outcomes))
        else:
            action = self._go_on(state, verdict, samples, saved)
            self._remember(state, verdict, texts, samples)
        record = saved or RoundRecord(
            capability=capability,
            round_index=round_index,
            num_drafts=len(outcomes),
            num_accepted=len(samples),
            diversity=measure_round(texts, embed=self._embed) if texts else None,
            verdict=verdict,
            action=action,
            is_frozen=state.is_frozen,
            pool=state.pool,
        )
        if saved is None:
            write_atomic(_record_path(self._data_dir, capability, round_index), record.to_json() + b"\n")
        return record

    def _compare(self, state: _State, outcomes: Sequence[Outcome]) -> CollapseVerdict:
        settings, texts = self._settings.collapse, _texts_of(outcomes)
        return judge_round(state.capability, texts, state.first, state.previous, settings, self._embed)

    def _go_on(
        self, state: _State, verdict: CollapseVerdict, samples: Sequence[Sample], saved: RoundRecord | None
    ) -> Action:
        state.good_pool = state.pool
        if state.is_frozen or not verdict.was_judged:
            return "kept"
        num_keywords = len(state.capability.keywords)
        state.pool = (
            saved.pool
            if saved
            else state.pool.evolve(samples, self._settings, num_keywords, state.earlier, self._embed)
        )
        return "kept" if state.pool == state.good_pool else "evolved"

    def _go_back(self, state: _State, round_index: int, verdict: CollapseVerdict, num_drafts: int) -> Action:
        place = f"{state.capability.name}, round {round_index + 1}"
        if state.is_frozen:
            state.stopped = f"the writer collapsed again in round {round_index + 1}, on a pool that was good before"
            self.notes.append(
                f"{place} {verdict.reason}. All {num_drafts} drafts are rejected; {state.stopped}: stopped"
            )
            return "stopped"
        state.pool, state.is_frozen = state.good_pool, True
        prompts, dialogues = state.pool.num_grown
        self.notes.append(
            f"{place} {verdict.reason}. All {num_drafts} drafts are rejected; the pool is back to the last good one "
            f"(seeds, {prompts} grown prompts, {dialogues} grown dialogues) and does not evolve any further"
        )
        return "rolled_back"

    def _remember(
        self, state: _State, verdict: CollapseVerdict, texts: Sequence[DraftText], samples: Sequence[Sample]
    ) -> None:
        if verdict.was_judged:
            state.previous = take_sample(texts, _MAX_REMEMBERED)
            state.first = state.first or state.previous
        accepted = [text_of(sample.draft) for sample in samples]
        state.earlier = take_sample([*state.earlier, *accepted], _MAX_REMEMBERED)


def read_rounds(data_dir: Path) -> dict[str, list[RoundRecord]]:
    """Return capability -> its rounds in order; empty for a run without a pool.

    Raises: RecordError if one is damaged.
    """
    found: dict[str, list[RoundRecord]] = {}
    for path in sorted((data_dir / "pools").glob("*/r*.json")):
        try:
            data = path.read_bytes()
        except OSError as exc:
            raise RecordError(f"{path}: cannot be read: {exc.strerror}") from exc
        found.setdefault(path.parent.name, []).append(RoundRecord.from_json(data, str(path)))
    return {name: sorted(records, key=lambda record: record.round_index) for name, records in found.items()}


def _find_record(data_dir: Path, capability: str, round_index: int, num_drafts: int) -> RoundRecord | None:
    """Return what was saved of a round; None if that is not there, damaged, or of a round of another size."""
    path = _record_path(data_dir, capability, round_index)
    if not path.is_file():
        return None
    try:
        record = RoundRecord.from_json(path.read_bytes(), str(path))
    except RecordError:
        return None  # it is measured and written again, as a damaged shard is
    return record if record.num_drafts == num_drafts else None


def _record_path(data_dir: Path, capability: str, round_index: int) -> Path:
    return data_dir / "pools" / capability / f"r{round_index:02d}.json"


def _texts_of(outcomes: Sequence[Outcome]) -> list[DraftText]:
    """Return the texts of all readable drafts: how a writer writes shows in its rejects too."""
    return [text_of(outcome.draft) for outcome in outcomes if outcome.draft is not None]
