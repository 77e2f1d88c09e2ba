from stablellava.synthesis.making import ShardTask
from stablellava.synthesis.round_plan import PlannedShard, Schedule


def shard(name: str, round_index: int, number: int = 0, is_last: bool = True) -> PlannedShard:
    shard_id = f"{name}/r{round_index:02d}-{number:05d}"
    return PlannedShard(shard_id, lambda: ShardTask(shard_id), round_index, is_last)


def next_round(settled: PlannedShard) -> list[PlannedShard]:
    name = settled.shard_id.partition("/")[0]
    return [shard(name, settled.round_index + 1)] if settled.round_index < {"a": 2, "b": 1}[name] else []


def test_shards_are_settled_round_by_round_and_a_round_is_made_while_others_are_at_their_last() -> None:
    schedule = Schedule([shard("a", 0, 0, is_last=False), shard("a", 0, 1), shard("b", 0)], (), next_round)
    tasks = schedule.tasks()
    settled = []
    for planned in schedule:
        if planned.shard_id == "b/r00-00000":  # on its way, not settled
            begun = [next(tasks).shard_id for _ in range(4)]
            assert begun == ["a/r00-00000", "a/r00-00001", "b/r00-00000", "a/r01-00000"]
        settled.append(planned.shard_id)
    assert settled == ["a/r00-00000", "a/r00-00001", "b/r00-00000", "a/r01-00000", "b/r01-00000", "a/r02-00000"]
    assert schedule.num_rounds == 3
    schedule.close()
    assert [task.shard_id for task in tasks] == ["b/r01-00000", "a/r02-00000"]


def test_what_is_made_already_is_settled_but_not_made_again() -> None:
    schedule = Schedule([shard("a", 0), shard("b", 0)], {"a/r00-00000", "b/r01-00000"}, next_round)
    assert [planned.shard_id for planned in schedule][:2] == ["a/r00-00000", "b/r00-00000"]
    schedule.close()
    assert [task.shard_id for task in schedule.tasks()] == ["b/r00-00000", "a/r01-00000", "a/r02-00000"]
