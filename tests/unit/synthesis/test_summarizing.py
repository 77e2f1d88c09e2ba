from pathlib import Path

import pytest
import zstandard

from stablellava.core.sample import Rejected
from stablellava.store.layout import RunLayout
from stablellava.store.shards import find_shard, list_shards, read_shard
from stablellava.synthesis.standing import CapabilityStanding
from stablellava.synthesis.summarizing import load_summary
from stablellava.synthesis.synthesizing import synthesize
from toys import toy_config, toy_material, tree_digest

FAULTY_WRITER = {"repeat_share": 0.3, "empty_share": 0.1}


def make_run(folder: Path) -> Path:
    synthesize(toy_config(FAULTY_WRITER), RunLayout(folder), material=toy_material())
    return RunLayout(folder).data_dir


def break_summaries(data_dir: Path, how: str) -> None:
    paths = sorted((data_dir / "summaries").rglob("*.zst"))
    other = paths[-1].read_bytes()
    for path in paths:
        if how == "missing":
            path.unlink()
        elif how == "torn":
            path.write_bytes(path.read_bytes()[:-3])
        elif how == "of another shard":
            path.write_bytes(other)
        else:
            path.write_bytes(zstandard.compress(b'{"version": 9}'))


@pytest.mark.parametrize("how", ["missing", "torn", "of another shard", "of another version"])
def test_a_run_goes_on_without_its_summaries_and_writes_them_again(tmp_path: Path, how: str) -> None:
    data_dir = make_run(tmp_path)
    whole = tree_digest(tmp_path)
    break_summaries(data_dir, how)
    (data_dir / "shards" / "animal" / "r00-00001.json").unlink()
    make_run(tmp_path)
    assert tree_digest(tmp_path) == whole


def test_what_is_taken_up_from_a_summary_counts_and_compares_like_the_samples_themselves(tmp_path: Path) -> None:
    data_dir = make_run(tmp_path)
    animal = toy_material().capabilities[0]
    met, taken_up = CapabilityStanding(animal, data_dir), CapabilityStanding(animal, data_dir)
    for shard_id in (shard_id for shard_id in list_shards(data_dir) if shard_id.startswith("animal/")):
        manifest = find_shard(data_dir, shard_id)
        assert manifest is not None
        summary = load_summary(data_dir, manifest)
        assert summary is not None
        samples, _ = read_shard(data_dir, shard_id)
        for sample in samples:
            met.admit(sample)
        met.count(summary)
        taken_up.readmit(manifest)
        taken_up.count(summary)
        assert len(summary.keywords) == len(summary.pairs) == manifest.num_samples
    assert met.counts == taken_up.counts
    assert met.coverage == taken_up.coverage
    again = [(met.judge(sample), taken_up.judge(sample)) for sample in samples]
    assert all(isinstance(first, Rejected) and first == second for first, second in again)
