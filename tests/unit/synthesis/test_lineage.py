import shutil
from pathlib import Path

import pytest

from scripted import RoundRunner, write_by_grammar
from stablellava.capabilities import load_capability
from stablellava.config.synthesis import PoolSettings
from stablellava.core.errors import RecordError
from stablellava.core.sample import Sample
from stablellava.store.shards import commit_shard, read_samples
from stablellava.synthesis.evolution import Evolution
from stablellava.synthesis.lineage import Ancestry, ShownExemplar

ANIMAL = load_capability("animal")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rounds of a healthy writer that is shown a pool."""
    folder, settings = tmp_path_factory.mktemp("data"), PoolSettings(round_size=30)
    runner = RoundRunner(Evolution(folder, [ANIMAL], settings), ANIMAL, settings)
    for index in range(4):
        runner.run(write_by_grammar)
        commit_shard(folder, f"animal/r{index:02d}-00000", runner.committed[index])
    return folder


def samples(data_dir: Path) -> list[Sample]:
    return list(read_samples(data_dir))


def deepest(data_dir: Path) -> Sample:
    return max(samples(data_dir), key=lambda sample: (sample.draft.depth, sample.sample_id))


def test_a_trace_leads_from_a_sample_back_to_seeds_one_generation_a_step(data_dir: Path) -> None:
    sample = deepest(data_dir)
    lineage = Ancestry(data_dir).trace(sample.sample_id)
    assert lineage.depth == sample.draft.depth >= 3
    assert tuple(entry.exemplar_id for entry in lineage.shown) == sample.draft.exemplar_ids

    def check(entry: ShownExemplar, depth: int) -> None:
        assert entry.depth < depth
        if not entry.draft_id:
            assert (entry.depth, entry.shown) == (0, ())
        elif not entry.is_repeated:
            assert entry.shown
            assert entry.depth == 1 + max(shown.depth for shown in entry.shown)
        for shown in entry.shown:
            check(shown, entry.depth)

    for entry in lineage.shown:
        check(entry, lineage.depth)


def test_the_start_of_an_id_is_enough_as_long_as_one_sample_has_it(data_dir: Path) -> None:
    sample, ancestry = deepest(data_dir), Ancestry(data_dir)
    assert ancestry.trace(sample.sample_id[:12]).sample_id == sample.sample_id
    with pytest.raises(RecordError, match="120 samples have ids that begin with ''"):
        ancestry.trace("")
    with pytest.raises(RecordError, match="no accepted sample has the id 'xyz'"):
        ancestry.trace("xyz")


def test_the_summary_counts_depths_and_descendants(data_dir: Path) -> None:
    summary = Ancestry(data_dir).summarize(1000, ["animal"])
    assert summary.num_samples == sum(summary.depths.values()) == 120
    assert summary.depths[1] == 30  # the first round was shown seeds only
    assert max(summary.depths) == deepest(data_dir).draft.depth
    shown_to = [sample for sample in samples(data_dir) if sample.draft.exemplar_ids]
    for influence in summary.most_influential:
        direct = [sample for sample in shown_to if influence.exemplar_id in sample.draft.exemplar_ids]
        assert influence.num_shown == len(direct) <= influence.num_descendants
    first = summary.most_influential[0]
    assert first.num_descendants == max(entry.num_descendants for entry in summary.most_influential)
    assert any(entry.num_descendants > entry.num_shown for entry in summary.most_influential)


def test_other_capabilities_do_not_count(data_dir: Path) -> None:
    assert Ancestry(data_dir).summarize(5, ["food"]).num_samples == 0


def test_a_missing_pool_file_is_named(data_dir: Path, tmp_path: Path) -> None:
    torn = tmp_path / "data"
    shutil.copytree(data_dir, torn)
    for path in (torn / "pools" / "animal").glob("*.json"):
        path.unlink()
    with pytest.raises(RecordError, match="is a file of pools/ missing"):
        Ancestry(torn).trace(deepest(data_dir).sample_id)
