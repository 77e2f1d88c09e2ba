"""What drafting will take, in calls, tokens and cost: from stated averages, or from a sample that is drafted."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from stablellava.capabilities import load_places
from stablellava.config.tree import RunConfig
from stablellava.core.chat import ChatRequest
from stablellava.core.draft import DraftRequest, PaintPrompt
from stablellava.core.errors import BackendFailed
from stablellava.core.record import Record
from stablellava.store.layout import RunLayout
from stablellava.synthesis.chat_drafting.answers import EMPHASIS
from stablellava.synthesis.chat_drafting.instructions import Instructions
from stablellava.synthesis.chat_drafting.requests import RequestBuilder
from stablellava.synthesis.chat_drafting.room import BATCH_OPTION
from stablellava.synthesis.chat_drafting.settings_written import SettingFinders
from stablellava.synthesis.chat_drafting.spending import Spending, look_up_prices
from stablellava.synthesis.planning import Tally, training_planner
from stablellava.synthesis.reporting import SynthesisReport
from stablellava.synthesis.synthesizing import Material, load_material, synthesize

CHARS_PER_TOKEN = 4
"""English text, common vocabularies; a probe measures instead."""
ASSUMED_ACCEPTANCE = 0.8
ASSUMED_TOKENS_OUT = {"prompt": 40, "dialogue": 110}
_NUM_SAMPLED = 3
_CALLS_PER_DRAFT = 2


class DraftingForecast(Record):
    """A prediction, with what it rests on."""

    basis: str
    """Stated averages, or how many drafts were made."""
    num_samples: int
    acceptance: float
    """Accepted samples per draft; pictures are not looked at."""
    num_calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    """In the currency of the prices; null where none is known."""
    price_note: str


def predict_from_averages(config: RunConfig, material: Material | None = None) -> DraftingForecast:
    """Return a forecast without asking anybody: requests are written out and measured, answers are assumed.

    Raises: ConfigError.
    """
    material = material or load_material(config.synthesis.capabilities)
    tokens_in, num_calls = 0.0, 0.0
    shared = config.synthesis.drafting.drafts_per_call
    builder = _open_builder(config)
    for capability in material.capabilities:
        requests = list(training_planner(config, capability).plan_round(0, _NUM_SAMPLED, Tally()))
        for request in requests:
            group = [request] * shared
            calls = (builder.prompt_call(group), builder.dialogue_call(group, [_stand_in(request)] * shared))
            tokens_in += sum(map(_count_tokens, calls)) / shared / len(requests)
            num_calls += _CALLS_PER_DRAFT / shared / len(requests)
    drafts = config.synthesis.samples_per_capability / ASSUMED_ACCEPTANCE
    spending = Spending(
        num_calls=round(num_calls * drafts),
        tokens_in=round(tokens_in * drafts),
        tokens_out=round(sum(ASSUMED_TOKENS_OUT.values()) * drafts * len(material.capabilities)),
    )
    basis = f"stated averages: {ASSUMED_ACCEPTANCE:.0%} accepted, {sum(ASSUMED_TOKENS_OUT.values())} tokens a draft"
    return _forecast(config, basis, ASSUMED_ACCEPTANCE, spending, len(material.capabilities))


def predict_from_probe(config: RunConfig, num_samples: int, material: Material | None = None) -> DraftingForecast:
    """Return a forecast from about ``num_samples`` drafts that are made now and paid for.

    They are the first drafts of the run itself: their answers are kept, and the run will not ask for them again.

    Raises: as ``synthesize``; BackendFailed if the sample has no accepted draft.
    """
    material = material or load_material(config.synthesis.capabilities)
    report = _draft_sample(config, max(1, num_samples // len(material.capabilities)), material)
    assert report.spending is not None
    spent, accepted = report.spending, report.num_accepted
    num_answers = spent.num_calls + spent.num_from_cache
    # Answers that were in the cache have no price today; in the run they will have, as those that were paid for had.
    scale = num_answers / spent.num_calls if spent.num_calls else 0.0
    times = config.synthesis.samples_per_capability * len(material.capabilities) / accepted
    spending = Spending(
        num_calls=round(num_answers * times),
        tokens_in=round(spent.tokens_in * scale * times),
        tokens_out=round(spent.tokens_out * scale * times),
    )
    acceptance = accepted / (accepted + report.num_rejected)
    basis = f"a sample of {report.num_accepted + report.num_rejected} drafts, {spent.num_calls} calls of it paid now"
    return _forecast(config, basis, acceptance, spending, len(material.capabilities))


def _draft_sample(config: RunConfig, each: int, material: Material) -> SynthesisReport:
    """Make so many samples of each capability, without pictures, and keep none of them."""
    writer = config.synthesis.writer
    at_once = {name: value for name, value in writer.options.items() if name != BATCH_OPTION}
    changes = {
        "writer": writer.model_copy(update={"options": at_once}), "painter": None, "pool": None, "coverage": None,
        "samples_per_capability": each,
    }  # fmt: skip
    probe = config.model_copy(update={"synthesis": config.synthesis.model_copy(update=changes)})
    with tempfile.TemporaryDirectory() as folder:
        report = synthesize(probe, RunLayout(Path(folder)), material=material)
    if not report.num_accepted:
        told = ", ".join(f"{reason} {count}" for reason, count in report.rejected_by_reason.items()) or report.stopped
        raise BackendFailed(
            f"none of {report.num_rejected} drafts by {writer.backend!r} was accepted ({told}), so nothing can be "
            "predicted from them; try a larger --probe, or another model"
        )
    return report


def _forecast(
    config: RunConfig, basis: str, acceptance: float, spending: Spending, num_capabilities: int
) -> DraftingForecast:
    synthesis = config.synthesis
    prices = look_up_prices(synthesis.spending, str(synthesis.writer.options.get("model", "")))
    cost = None
    if prices.price_in is not None and prices.price_out is not None:
        cost = (spending.tokens_in * prices.price_in + spending.tokens_out * prices.price_out) / 1e6
    return DraftingForecast(
        basis=basis,
        num_samples=config.synthesis.samples_per_capability * num_capabilities,
        acceptance=acceptance,
        num_calls=spending.num_calls,
        tokens_in=spending.tokens_in,
        tokens_out=spending.tokens_out,
        cost=cost,
        price_note=prices.price_note,
    )


def show_requests(config: RunConfig, capability: str, num_drafts: int) -> list[ChatRequest]:
    """Return the very calls that a run's first drafts of a capability are asked with, nobody being asked.

    Of a dialogue's call the prompt is a stand-in: only the answer to the first call will tell it.

    Raises: ConfigError.
    """
    material = load_material((capability,))
    builder = _open_builder(config)
    requests = list(training_planner(config, material.capabilities[0]).plan_round(0, num_drafts, Tally()))
    shared = config.synthesis.drafting.drafts_per_call
    groups: list[Sequence[DraftRequest]] = [requests[i : i + shared] for i in range(0, len(requests), shared)]
    return [
        call
        for group in groups
        for call in (builder.prompt_call(group), builder.dialogue_call(group, [*map(_stand_in, group)]))
    ]


def _open_builder(config: RunConfig) -> RequestBuilder:
    places, drafting = load_places(), config.synthesis.drafting
    return RequestBuilder(Instructions(drafting.instructions), drafting, places, SettingFinders(places))


def _stand_in(request: DraftRequest) -> tuple[PaintPrompt, ...]:
    """Return prompts as they might be written."""
    parts = request.keyword.parts or (request.keyword.name,)
    return tuple(
        PaintPrompt(text=f"{part}, {request.setting or 'a place'}, soft light", emphasis=((part, EMPHASIS),))
        for part in parts
    )


def _count_tokens(request: ChatRequest) -> float:
    return sum(len(message.text) for message in request.messages) / CHARS_PER_TOKEN
