import numpy as np
import pytest

from stablellava.training.packing import fill_rows, spread

LENGTHS = np.random.default_rng(0).integers(20, 1000, 200).tolist()


def test_rows_hold_every_sample_once_and_never_more_than_their_capacity() -> None:
    rows = fill_rows(LENGTHS, 1024)
    assert sorted(place for row in rows for place in row) == list(range(200))
    assert max(sum(LENGTHS[place] for place in row) for row in rows) <= 1024


def test_rows_are_nearly_full() -> None:
    assert sum(LENGTHS) / (4096 * len(fill_rows(LENGTHS, 4096))) > 0.95


def test_a_sample_longer_than_a_row_stands_alone() -> None:
    assert [1] in fill_rows([10, 2000, 10], 1024)


def test_spreading_balances_the_bins_and_keeps_their_order() -> None:
    bins = spread(LENGTHS, 8)
    tokens = [sum(LENGTHS[place] for place in places) for places in bins]
    assert max(tokens) - min(tokens) < 0.02 * max(tokens)
    assert all(places == sorted(places) for places in bins)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_no_bin_gets_two_while_another_is_empty(count: int) -> None:
    sizes = sorted(len(places) for places in spread([5] * count, 3))
    assert sizes == [0] * (3 - count) + [1] * count
