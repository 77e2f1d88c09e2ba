from collections.abc import Callable

from stablellava.core.rank import num_workers, worker_rank
from stablellava.executors.local import LocalExecutor


def rank_task() -> Callable[[int], tuple[int, int, int]]:
    return lambda item: (item, worker_rank(), num_workers())


def test_workers_of_the_executor_know_their_rank_and_number() -> None:
    with LocalExecutor(rank_task, (), num_workers=2) as executor:
        answers = list(executor.map_ordered(range(6)))
    assert [item for item, _, _ in answers] == list(range(6))
    assert {rank for _, rank, _ in answers} <= {0, 1}
    assert {rank for _, rank, _ in answers[:2]} == {0, 1}
    assert {num for _, _, num in answers} == {2}
    assert (worker_rank(), num_workers()) == (0, 1)
