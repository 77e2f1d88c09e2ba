from collections import Counter

import pytest

from scripted import accept, plain_draft, write_by_grammar
from stablellava.capabilities import list_capabilities, load_capability
from stablellava.config.synthesis import PoolSettings
from stablellava.config.tree import RunConfig
from stablellava.core.draft import DraftRequest
from stablellava.core.sample import Sample, Verdict
from stablellava.synthesis.diversity import text_of
from stablellava.synthesis.planning import Tally, training_planner
from stablellava.synthesis.pool import ExemplarPool, PoolExemplar, show_exemplars, start_pool
from stablellava.synthesis.pool_choosing import measure_distances

ANIMAL = load_capability("animal")
SETTINGS = PoolSettings(max_joining=20)


def requests(count: int, round_index: int = 0) -> list[DraftRequest]:
    return training_planner(RunConfig(), ANIMAL).plan_round(round_index, count, Tally())


def samples(count: int, depth: int = 1, verdicts: tuple[Verdict, ...] = ()) -> list[Sample]:
    drafts = write_by_grammar(0, requests(count))
    return [accept(draft.model_copy(update={"depth": depth}), verdicts) for draft in drafts]


def grown_pool(settings: PoolSettings = SETTINGS) -> ExemplarPool:
    return start_pool(ANIMAL).evolve(samples(80), settings, len(ANIMAL.keywords))


def nearest_distances(entries: tuple[PoolExemplar, ...]) -> list[float]:
    distances = measure_distances([entry.text for entry in entries], [entry.text for entry in entries])
    return [min(distances[row, col] for col in range(len(entries)) if col != row) for row in range(len(entries))]


@pytest.mark.parametrize("name", list_capabilities())
def test_a_pool_starts_with_the_five_seeds_of_prompts_and_of_dialogues(name: str) -> None:
    pool = start_pool(load_capability(name))
    assert (len(pool.prompts), len(pool.dialogues), pool.num_grown) == (5, 5, (0, 0))
    assert [entry.keyword for entry in pool.dialogues] == [entry.keyword for entry in pool.prompts]
    assert len({entry.exemplar_id for entry in (*pool.prompts, *pool.dialogues)}) == 10


def test_twenty_outputs_join_prompts_and_dialogues_each_one_per_keyword_and_the_seeds_stay() -> None:
    start, pool = start_pool(ANIMAL), grown_pool()
    assert pool.num_grown == (20, 20)
    assert pool.prompts[:5] == start.prompts
    assert pool.dialogues[:5] == start.dialogues
    for entries in (pool.prompts, pool.dialogues):
        assert max(Counter(entry.keyword for entry in entries[5:]).values()) == 1
        assert {entry.depth for entry in entries[5:]} == {1}
    assert {entry.draft_id for entry in pool.prompts[5:]} != {entry.draft_id for entry in pool.dialogues[5:]}


def test_what_joins_is_as_novel_as_asked_for() -> None:
    assert min(nearest_distances(grown_pool(PoolSettings(max_joining=20, min_novelty=0.7)).prompts)[5:]) >= 0.7
    assert grown_pool(PoolSettings(max_joining=20, min_novelty=1.0)).num_grown[1] < 20


def test_choosing_does_not_depend_on_the_order_of_the_candidates() -> None:
    candidates = samples(60)
    pools = [start_pool(ANIMAL).evolve(some, SETTINGS, 60) for some in (candidates, candidates[::-1])]
    assert pools[0] == pools[1]


def test_a_full_pool_exchanges_exemplars_only_for_more_novel_ones() -> None:
    pool = grown_pool()
    later = [accept(draft.model_copy(update={"depth": 2})) for draft in write_by_grammar(1, requests(80, 1))]
    after = pool.evolve(later, SETTINGS, len(ANIMAL.keywords))
    assert after.num_grown == (20, 20)
    assert after != pool
    assert min(nearest_distances(after.prompts)[5:]) >= min(nearest_distances(pool.prompts)[5:])
    assert max(entry.depth for entry in after.prompts) == 2


def test_no_more_than_the_given_number_joins_after_a_round() -> None:
    assert grown_pool(PoolSettings(max_joining=3)).num_grown == (3, 3)
    assert grown_pool(PoolSettings(max_grown=0)).num_grown == (0, 0)


def test_outputs_too_far_from_the_seeds_do_not_join() -> None:
    pool = start_pool(ANIMAL)
    assert pool.evolve(samples(40, depth=5), PoolSettings(max_depth=4), 60) == pool
    assert pool.evolve(samples(40, depth=5), PoolSettings(max_depth=5), 60) != pool


def test_outputs_that_a_judge_scored_low_do_not_join() -> None:
    low, high = (Verdict(filter_name="picture_judge", kept=True, score=score) for score in (0.3, 0.8))
    pool = start_pool(ANIMAL)
    assert pool.evolve(samples(40, verdicts=(low,)), SETTINGS, 60) == pool
    assert pool.evolve(samples(40, verdicts=(high,)), SETTINGS, 60) != pool


def test_outputs_that_repeat_earlier_data_do_not_join() -> None:
    pool, candidates = start_pool(ANIMAL), samples(40)
    earlier = [text_of(sample.draft) for sample in candidates]
    assert pool.evolve(candidates, SETTINGS, 60, earlier=earlier) == pool


def test_equal_outputs_join_once() -> None:
    copies = [accept(plain_draft(request, "soft light", "A thing.")) for request in requests(60)]
    same = [
        sample.model_copy(update={"draft": sample.draft.model_copy(update={"prompts": copies[0].draft.prompts})})
        for sample in copies
    ]
    pool = start_pool(ANIMAL).evolve(same, SETTINGS, 60)
    assert pool.num_grown == (1, 1)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.5, 1.0])
@pytest.mark.parametrize("num_shown", [1, 3, 5, 12, 25])
def test_what_is_shown_holds_the_share_of_seeds_and_never_the_keyword_that_is_asked_for(
    share: float, num_shown: int
) -> None:
    pool = grown_pool()
    for keyword in ("peacock", pool.prompts[6].keyword, "elsewhere"):
        for number in range(20):
            shown = pool.draw(f"draft {number}", {keyword}, num_shown, share)
            for entries in (shown.prompts, shown.dialogues):
                num_seeds = sum(entry.is_seed for entry in entries)
                assert 0 < len(entries) <= num_shown
                assert num_seeds >= share * len(entries)
                assert keyword not in {entry.keyword for entry in entries}


def test_a_draw_is_fixed_by_the_drafts_id_and_draws_of_many_ids_show_the_whole_pool() -> None:
    pool = grown_pool()
    assert pool.draw("a", (), 5, 0.4) == pool.draw("a", (), 5, 0.4)
    shown = {entry for number in range(300) for entry in pool.draw(str(number), (), 5, 0.4).prompts}
    assert shown == set(pool.prompts)


def test_a_request_is_shown_exemplars_with_their_ids_and_learns_how_deep_its_draft_is() -> None:
    pool, settings = grown_pool(), PoolSettings(num_shown=5, seed_share=0.2)
    depth_of = {entry.exemplar_id: entry.depth for entry in (*pool.prompts, *pool.dialogues)}
    shown = show_exemplars(pool, requests(30), settings)
    for request in shown:
        assert len(request.exemplar_ids) == len(request.prompt_exemplars) + len(request.dialogue_exemplars) == 10
        assert request.depth == 1 + max(depth_of[exemplar_id] for exemplar_id in request.exemplar_ids)
    (seeds_only,) = show_exemplars(start_pool(ANIMAL), requests(1), settings)
    assert seeds_only.depth == 1


def test_requests_answered_in_one_call_are_shown_the_same_and_none_of_their_keywords() -> None:
    pool = grown_pool()
    shown = show_exemplars(pool, requests(10), PoolSettings(), drafts_per_call=4)
    for call in (shown[:4], shown[4:8], shown[8:]):
        assert len({request.exemplar_ids for request in call}) == 1
        asked = {request.keyword.name for request in call}
        assert asked.isdisjoint(exemplar.keyword for exemplar in call[0].prompt_exemplars)
    assert len({request.exemplar_ids for request in shown}) == 3


def test_embeddings_can_say_what_is_novel() -> None:
    def embed(texts):  # type: ignore[no-untyped-def]
        import numpy as np

        return np.array([[1.0, float("peacock" in text)] for text in texts])

    pool = start_pool(ANIMAL)
    assert pool.evolve(samples(40), PoolSettings(min_novelty=0.1), 60, embed=embed).num_grown == (0, 0)
