"""A real language model in this process writes drafts that are painted and checked; the short form of
`make smollm2`. Needs the weights, which `make test` pulls before it starts; fetches nothing.
"""

from pathlib import Path

import pytest

from stablellava.config.loading import load_config
from stablellava.core.errors import BackendMissing
from stablellava.store.assets import asset_path
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_rejected, read_samples
from stablellava.synthesis.synthesizing import synthesize


def find_weights() -> Path | None:
    try:  # while this file is imported: later the cache is a test's own
        return asset_path("smollm2-135m-instruct.gguf")
    except BackendMissing:
        return None


WEIGHTS = find_weights()
pytestmark = pytest.mark.skipif(WEIGHTS is None, reason="stablellava assets pull smollm2-135m-instruct.gguf")


@pytest.mark.timeout(300)  # some ten seconds; another processor may draw other words, and need more drafts
def test_smollm2_drafts_are_painted_and_verified_or_dropped_with_a_reason(tmp_path: Path) -> None:
    config = load_config(
        preset="smollm2",
        overrides=[
            "synthesis.capabilities=animal,food",
            "synthesis.samples_per_capability=1",
            "synthesis.num_workers=1",
            "synthesis.size_px=64",
            f"synthesis.writer.options.model={WEIGHTS}",
        ],
    )
    report = synthesize(config, RunLayout(tmp_path))
    assert report.num_accepted == 2, report.rejected_by_reason
    assert report.spending is not None
    assert report.spending.tokens_out > 0
    data_dir = RunLayout(tmp_path).data_dir
    for sample in read_samples(data_dir):
        assert {verdict.filter_name for verdict in sample.verdicts} >= {"keyword_in_answer", "keyword_drawn"}
        assert sample.paintings
    assert all(rejected.reason for rejected in read_rejected(data_dir)) or not report.num_rejected
