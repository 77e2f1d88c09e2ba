from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from stablellava.config.training import SourceSettings
from stablellava.core.errors import ConfigError
from stablellava.training.mixing import MixedSource, Mixture, count_draws, name_sources

SHARES = (0.7, 0.2, 0.1)


def mix(counts: list[int], sizes: list[int], seed: int = 0) -> Mixture:
    """Sources of the rows 0.., 1000000.., 2000000.."""
    return Mixture(
        [
            MixedSource(str(number), number * 1_000_000 + np.arange(size), count)
            for number, (count, size) in enumerate(zip(counts, sizes, strict=True))
        ],
        seed,
    )


def sources_of(drawn: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(drawn // 1_000_000, minlength=3)


def shared(*shares: float, **options: float) -> list[SourceSettings]:
    return [SourceSettings(name=str(number), share=share, **options) for number, share in enumerate(shares)]


@pytest.mark.parametrize("seed", range(5))
def test_asked_70_20_10_every_stretch_of_ten_thousand_draws_holds_that(seed: int) -> None:
    mixture = mix([70_000, 20_000, 10_000], [70_000, 20_000, 10_000], seed)
    for start in range(0, 100_000, 10_000):
        got = sources_of(mixture.draw(start, start + 10_000)) / 10_000
        assert np.abs(got - SHARES).max() < 0.0006
    at_every_position = np.cumsum(mixture.source_order == 2) - 0.1 * np.arange(1, 100_001)
    assert np.abs(at_every_position).max() < 4


def test_going_on_from_any_position_draws_what_one_go_draws_and_nothing_twice() -> None:
    mixture = mix([700, 200, 100], [700, 200, 100])
    whole = mixture.draw()
    assert len(set(whole.tolist())) == 1000
    cuts = [0, 1, 137, 500, 999, 1000]
    parts = [mix([700, 200, 100], [700, 200, 100]).draw(start, stop) for start, stop in pairwise(cuts)]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_the_order_is_the_same_for_any_number_of_workers() -> None:
    mixture = mix([700, 200, 100], [700, 200, 100])
    for num_workers in (1, 2, 3, 7):
        shares = [
            [mixture.draw(at, at + 1)[0] for at in range(worker, 60, num_workers)] for worker in range(num_workers)
        ]
        together = [shares[at % num_workers][at // num_workers] for at in range(60)]
        assert together == mixture.draw(0, 60).tolist()


def test_a_small_source_is_repeated_only_after_all_of_it_came() -> None:
    drawn = mix([900, 100, 25], [900, 100, 10]).draw()
    small = drawn[drawn >= 2_000_000]
    for start in (0, 10):
        assert sorted(small[start : start + 10].tolist()) == [2_000_000 + row for row in range(10)]
    assert small[:10].tolist() != small[10:20].tolist()
    assert len(set(drawn[drawn < 2_000_000].tolist())) == 1000


def test_another_seed_gives_another_order_and_a_further_source_leaves_the_others_order() -> None:
    two, other = mix([70, 20], [70, 20], 0).draw(), mix([70, 20], [70, 20], 1).draw()
    assert sorted(two.tolist()) == sorted(other.tolist())
    assert two.tolist() != other.tolist()
    three = mix([70, 20, 10], [70, 20, 10], 0).draw()
    for first in (0, 1_000_000):
        assert [row for row in three if first <= row < first + 70] == [row for row in two if first <= row < first + 70]


def test_epochs_and_counts_say_how_much_is_drawn() -> None:
    asked = [SourceSettings(path="a"), SourceSettings(path="b", epochs=2.5), SourceSettings(path="c", samples=7)]
    assert count_draws(asked, [100, 10, 1000], num_samples=None, num_epochs=1.0) == [100, 25, 7]


def test_shares_of_a_number_add_up_to_it() -> None:
    assert count_draws(shared(*SHARES), [99999] * 3, num_samples=10_000, num_epochs=1.0) == [7000, 2000, 1000]
    assert count_draws(shared(1, 1, 1), [99999] * 3, num_samples=100, num_epochs=1.0) == [34, 33, 33]


def test_shares_without_a_number_draw_as_much_as_the_scarcest_source_allows() -> None:
    assert count_draws(shared(*SHARES), [7000, 2000, 500], num_samples=None, num_epochs=1.0) == [3500, 1000, 500]
    assert count_draws(shared(*SHARES), [7000, 2000, 500], num_samples=None, num_epochs=2.0) == [7000, 2000, 1000]


def test_more_repeats_than_allowed_are_refused_with_what_would_work() -> None:
    with pytest.raises(ConfigError, match=r"is 1,000, 2\.00 times its 500 rows, but 1 are allowed\. Set max_epochs=2"):
        count_draws(shared(*SHARES), [7000, 2000, 500], num_samples=10_000, num_epochs=1.0)
    allowed = [*shared(0.7, 0.2), SourceSettings(name="2", share=0.1, max_epochs=2)]
    assert count_draws(allowed, [7000, 2000, 500], num_samples=10_000, num_epochs=1.0) == [7000, 2000, 1000]


def test_a_source_without_rows_is_named() -> None:
    with pytest.raises(ConfigError, match=r"source 'coco\.json' has no row"):
        count_draws([SourceSettings(path="data/coco.json")], [0], None, 1.0)


def test_sources_are_called_by_their_files_and_numbered_where_alike() -> None:
    asked = [
        SourceSettings(),
        SourceSettings(path="x/a.json"),
        SourceSettings(path="y/a.json"),
        SourceSettings(name="b"),
    ]
    assert name_sources(asked) == ["own", "a.json", "a.json#2", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"share": 1, "epochs": 1}, "has share and epochs"), ({"max_epochs": 2}, "max_epochs without a share")],
)
def test_amounts_that_contradict_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SourceSettings(path="a", **options)
