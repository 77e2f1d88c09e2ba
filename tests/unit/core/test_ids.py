import subprocess
import sys

from stablellava.core.ids import hash_id, seed_from, share_of


def test_an_id_depends_on_every_part_and_on_their_order() -> None:
    ids = {hash_id("a", "b"), hash_id("b", "a"), hash_id("ab"), hash_id("a", "b", 0), hash_id("a", "b", None)}

    assert len(ids) == 5


def test_an_id_does_not_depend_on_the_order_in_which_a_mapping_was_filled() -> None:
    assert hash_id({"a": 1, "b": 2}) == hash_id({"b": 2, "a": 1})


def test_ids_and_seeds_are_the_same_in_every_process() -> None:
    code = "from stablellava.core.ids import *; print(hash_id('x', 1), seed_from('x', 1))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }

    assert runs == {f"{hash_id('x', 1)} {seed_from('x', 1)}\n"}


def test_seeds_fit_what_random_generators_take() -> None:
    assert all(0 <= seed_from("seed", index) < 2**63 for index in range(200))


def test_shares_split_evenly() -> None:
    shares = [share_of("split", index) for index in range(4000)]

    assert all(0 <= share < 1 for share in shares)
    assert abs(sum(share < 0.2 for share in shares) / 4000 - 0.2) < 0.03
