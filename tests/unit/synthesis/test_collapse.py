from collections.abc import Sequence
from pathlib import Path

import pytest

from scripted import RoundRunner, Write, fill_five_forms, plain_draft, repeat_five, write_by_grammar
from stablellava.backends.adapters.fake import FakeWriter
from stablellava.capabilities import load_capability
from stablellava.config.synthesis import CollapseSettings, PoolSettings
from stablellava.config.tree import RunConfig
from stablellava.core.draft import Draft, DraftRefusal, DraftRequest
from stablellava.core.ids import seed_from
from stablellava.synthesis.collapse import blank_plan, judge_round
from stablellava.synthesis.diversity import DraftText, text_of
from stablellava.synthesis.evolution import Evolution
from stablellava.synthesis.planning import Planner, Tally, training_planner

OPENINGS = ("I see", "Look at", "The eye falls on", "One notices", "Somebody painted", "There stands", "Nothing but")
ENDINGS = ("in good light", "with fine lines", "as in a dream", "up close", "from afar", "at rest", "and little else")


def write_by_fake(round_index: int, requests: Sequence[DraftRequest]) -> list[Draft]:
    return [draft for draft in FakeWriter().write(requests) if not isinstance(draft, DraftRefusal)]


def write_wordily(round_index: int, requests: Sequence[DraftRequest]) -> list[Draft]:
    """A plain writer with 49 forms: dull, and as dull in every round."""
    drafts = []
    for request in requests:
        opening = OPENINGS[seed_from(request.seed, "a") % 7]
        ending = ENDINGS[seed_from(request.seed, "b") % 7]
        drafts.append(plain_draft(request, ending, f"{opening} the {{}} {ending}."))
    return drafts


def write_ever_shorter(round_index: int, requests: Sequence[DraftRequest]) -> list[Draft]:
    """Loses a follow-up question a round, as language models do when they copy short examples."""
    kept = 2 * max(1, 4 - round_index)
    return [draft.model_copy(update={"turns": draft.turns[:kept]}) for draft in write_by_grammar(round_index, requests)]


@pytest.mark.parametrize("capability", ["animal", "color", "abnormal", "style", "story", "difference", "hair"])
@pytest.mark.parametrize("write", [write_by_grammar, write_by_fake, write_wordily, write_ever_shorter])
def test_five_rounds_of_a_healthy_writer_raise_no_alarm(tmp_path: Path, write: Write, capability: str) -> None:
    settings, loaded = PoolSettings(round_size=30), load_capability(capability)
    runner = RoundRunner(Evolution(tmp_path, [loaded], settings), loaded, settings)
    for _ in range(5):
        record = runner.run(write)
        assert not record.verdict.collapsed, record.verdict
        assert record.verdict.was_judged
    assert runner.evolution.notes == []


@pytest.mark.parametrize("capability", ["animal", "abnormal", "scene"])
def test_a_round_that_asks_for_three_keywords_only_is_no_collapse(capability: str) -> None:
    loaded = load_capability(capability)
    planner = training_planner(RunConfig(), loaded)
    few = {name: planner.settings_by_keyword[name] for name in sorted(planner.settings_by_keyword)[:3]}
    first = texts(planner.plan_round(0, 60, Tally()))
    now = texts(Planner(0, loaded, few).plan_round(1, 60, Tally()))
    verdict = judge_round(loaded, now, first, first, CollapseSettings())
    assert not verdict.collapsed, verdict


@pytest.mark.parametrize("capability", ["animal", "color", "abnormal", "style", "story", "difference", "hair"])
@pytest.mark.parametrize("num_drafts", [25, 60, 240])
@pytest.mark.parametrize("write", [repeat_five, fill_five_forms])
def test_five_texts_left_are_a_collapse_whatever_the_capability_and_the_size(
    write: Write, num_drafts: int, capability: str
) -> None:
    loaded = load_capability(capability)
    requests = training_planner(RunConfig(), loaded).plan_round(0, num_drafts, Tally())
    now = [text_of(draft) for draft in write(1, requests)]
    verdict = judge_round(loaded, now, texts(requests), texts(requests), CollapseSettings())
    assert verdict.collapsed, verdict


def test_a_sudden_fall_is_measured_against_the_last_good_round_too() -> None:
    loaded = load_capability("animal")
    requests = training_planner(RunConfig(), loaded).plan_round(0, 60, Tally())
    varied, dull = texts(requests), [text_of(draft) for draft in repeat_five(1, requests)]
    settings = CollapseSettings(min_different=0.0)
    assert not judge_round(loaded, dull, dull, dull, settings).collapsed
    verdict = judge_round(loaded, dull, dull, varied, settings)
    assert verdict.collapsed
    assert "last good round" in verdict.reason


def test_a_threshold_of_zero_turns_its_rule_off() -> None:
    loaded = load_capability("animal")
    requests = training_planner(RunConfig(), loaded).plan_round(0, 60, Tally())
    dull = [text_of(draft) for draft in repeat_five(1, requests)]
    off = CollapseSettings(min_kept=0, min_kept_of_previous=0, min_different=0)
    assert not judge_round(loaded, dull, texts(requests), texts(requests), off).collapsed


def test_keyword_setting_and_other_names_of_them_are_blanked_out() -> None:
    text = DraftText("1", "red car", "street", "red car, on the street, soft light", "Two cars are red.", "")
    blanked = blank_plan(text, load_capability("color"))
    assert (blanked.prompt, blanked.answer) == ("_ on the _ soft light", "two _ are _")


def texts(requests: Sequence[DraftRequest]) -> list[DraftText]:
    return [text_of(draft) for draft in write_by_grammar(0, requests)]
