import random
from collections import Counter

import pytest

from stablellava.core.capability import Keyword
from stablellava.core.errors import ConfigError
from stablellava.core.sample import Rejected
from stablellava.synthesis.planning import Tally, evaluation_planner, plan_evaluation, training_planner
from stablellava.synthesis.splitting import held_out_settings, settings_of, training_settings
from toys import toy_capability, toy_config, toy_material

ANIMALS = toy_material().capabilities[0]


def rejects_of(keyword: str, count: int) -> list[Rejected]:
    return [
        Rejected(draft_id=str(index), capability="animal", keyword=keyword, stage="paint", reason="no")
        for index in range(count)
    ]


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_every_keyword_keeps_a_combination_on_both_sides_and_none_on_two(share: float) -> None:
    for keyword in ANIMALS.keywords:
        training = training_settings(ANIMALS, keyword, share)
        held_out = held_out_settings(ANIMALS, keyword, share)
        assert training and held_out
        assert sorted((*training, *held_out)) == sorted(settings_of(ANIMALS, keyword))


def test_a_keyword_with_one_setting_belongs_to_training() -> None:
    keyword = Keyword(name="whale", settings=("sea",))
    assert training_settings(ANIMALS, keyword, 0.9) == ("sea",)
    assert held_out_settings(ANIMALS, keyword, 0.9) == ()


def test_a_plan_spreads_keywords_evenly_and_is_the_same_each_time() -> None:
    planner = training_planner(toy_config(), ANIMALS)
    requests = planner.plan_round(0, 28, Tally())
    counts = Counter(request.keyword.name for request in requests)
    assert set(counts.values()) == {3, 4}
    assert requests == planner.plan_round(0, 28, Tally())
    assert len({request.draft_id for request in requests}) == len({request.seed for request in requests}) == 28


def test_every_slot_goes_to_the_keyword_with_the_fewest_samples_and_drafts_by_then() -> None:
    planner, draw = training_planner(toy_config(), ANIMALS), random.Random(7)
    for round_index in range(30):
        accepted = Counter({keyword.name: draw.choice([1, 1, 2, 5]) for keyword in ANIMALS.keywords})
        attempted = Counter({name: count + draw.randrange(4) for name, count in accepted.items()})
        requests = planner.plan_round(round_index, 40, Tally(Counter(accepted), Counter(attempted)))
        for request in requests:
            fewest = min(accepted, key=lambda name: (accepted[name], attempted[name], planner.rank(name)))
            settings = planner.settings_by_keyword[fewest]
            assert (request.keyword.name, request.setting) == (fewest, settings[attempted[fewest] % len(settings)])
            accepted[fewest] += 1
            attempted[fewest] += 1
        assert len(requests) == 40


def test_a_later_round_has_new_ids_and_fills_the_rarest_keywords_first() -> None:
    planner = training_planner(toy_config(), ANIMALS)
    tally = Tally(
        accepted=Counter({keyword.name: 2 for keyword in ANIMALS.keywords if keyword.name != "owl"}),
        attempted=Counter({keyword.name: 2 for keyword in ANIMALS.keywords}),
    )
    requests = planner.plan_round(1, 2, tally)
    assert [request.keyword.name for request in requests] == ["owl", "owl"]
    first_round = {request.draft_id for request in planner.plan_round(0, 28, Tally())}
    assert not first_round & {request.draft_id for request in requests}


def test_a_keyword_that_never_stands_is_given_up_while_others_stand() -> None:
    planner = training_planner(toy_config(), ANIMALS)
    tally = Tally()
    tally.add(rejects_of("owl", 3))
    assert "owl" not in {request.keyword.name for request in planner.plan_round(1, 20, tally)}


def test_evaluation_asks_half_wh_a_quarter_each_yes_no_and_either_or_on_held_out_combinations() -> None:
    config = toy_config()
    requests = plan_evaluation(config, ANIMALS, 40)
    assert Counter(request.form for request in requests) == {"wh": 20, "yes_no": 10, "either_or": 10}
    assert {request.purpose for request in requests} == {"evaluate"}
    for request in requests:
        assert request.setting in held_out_settings(ANIMALS, request.keyword, config.synthesis.held_out_share)


def test_a_capability_without_questions_cannot_be_evaluated() -> None:
    capability = toy_capability("animal", (Keyword(name="dog"),), evaluation_forms=())
    with pytest.raises(ConfigError, match="no evaluation forms"):
        evaluation_planner(toy_config(), capability)
