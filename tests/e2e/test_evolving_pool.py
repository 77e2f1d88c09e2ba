"""Pools and targets through the whole of synthesis, on backends that need nothing."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stablellava.config.base import BackendSettings
from stablellava.config.synthesis import (
    CollapseSettings,
    CoverageSettings,
    DraftingSettings,
    PoolSettings,
    SynthesisSettings,
    TargetSettings,
)
from stablellava.config.tree import RunConfig
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import read_manifest
from stablellava.store.shards import read_rejected, read_samples
from stablellava.studio.report import write_report
from stablellava.synthesis.evolution import COLLAPSED, read_rounds
from stablellava.synthesis.lineage import Ancestry
from stablellava.synthesis.reporting import SynthesisProgress, SynthesisReport
from stablellava.synthesis.synthesizing import synthesize
from toys import toy_config, toy_material, tree_digest

POOL = PoolSettings(round_size=40, num_shown=10, min_novelty=0.3, min_data_novelty=0.0)


class Killed(RuntimeError):
    """Stands for a kill between two shards."""


def config(writer: dict[str, Any] | None = None, **settings: Any) -> RunConfig:
    fields = {"samples_per_capability": 150, "size_px": 32, "pool": POOL, "shard_size": 16, **settings}
    return toy_config(writer=writer, **fields)


def run(folder: Path, settings: RunConfig) -> tuple[SynthesisReport, RunLayout]:
    layout = RunLayout(folder)
    return synthesize(settings, layout, material=toy_material()), layout


def test_a_healthy_writer_fills_every_capability_while_its_pools_grow(tmp_path: Path) -> None:
    report, layout = run(tmp_path, config())
    assert (report.num_accepted, report.unfilled, report.notes) == (300, {}, ())
    for records in read_rounds(layout.data_dir).values():
        assert len(records) >= 4
        assert not any(record.verdict.collapsed for record in records)
        assert records[-1].pool.num_grown == (20, 20)
        assert records[0].pool != records[1].pool
    assert max(Ancestry(layout.data_dir).summarize(3, ["animal"]).depths) > 2


def test_a_writer_that_its_own_outputs_drive_mad_is_noticed_taken_back_and_the_run_still_ends_complete(
    tmp_path: Path,
) -> None:
    report, layout = run(tmp_path, config({"collapse_depth": 3}))
    assert (report.num_accepted, report.unfilled) == (300, {})
    rejected = [reject for reject in read_rejected(layout.data_dir) if reject.reason == COLLAPSED]
    for name, records in read_rounds(layout.data_dir).items():
        actions = [record.action for record in records]
        assert actions[:3] == ["evolved", "evolved", "rolled_back"]
        assert set(actions[3:]) == {"kept"}
        assert records[2].pool == records[0].pool
        assert sum(reject.capability == name for reject in rejected) > 20
    assert len(report.notes) == 2
    assert all("round 3 collapsed" in note for note in report.notes)
    assert max(sample.draft.depth for sample in read_samples(layout.data_dir)) == 2
    assert "round 3" in report.notes[0]
    assert "collapsed: 3" in write_report(layout).read_text(encoding="utf-8")


def test_a_writer_that_is_dull_on_every_pool_is_stopped_with_a_plain_statement(tmp_path: Path) -> None:
    pool = PoolSettings(round_size=80, collapse=CollapseSettings(min_different=0.7))
    report, layout = run(tmp_path, config({"repeat_share": 1.0}, pool=pool))
    assert report.num_accepted == 0
    assert report.unfilled.keys() == {"animal", "vehicle"}
    for told in report.unfilled.values():
        assert told.startswith("0 of 150 accepted: stopped, the writer collapsed again in round 2")
        assert "rejected: collapsed_round 160" in told
    assert read_manifest(layout.data_dir).unfilled == report.unfilled


@pytest.mark.parametrize("collapse_after", [None, 160])
def test_a_chat_model_that_is_left_with_five_answers_after_round_two_is_noticed_and_a_healthy_one_is_not(
    tmp_path: Path, collapse_after: int | None
) -> None:
    writer = BackendSettings(backend="fake-chat", options={"collapse_after": collapse_after} if collapse_after else {})
    settings = SynthesisSettings(
        capabilities=("scene",), samples_per_capability=160, writer=writer, painter=None,
        pool=PoolSettings(round_size=40), num_workers=1,
    )  # fmt: skip
    layout = RunLayout(tmp_path)
    report = synthesize(RunConfig(synthesis=settings), layout)
    actions = [record.action for record in read_rounds(layout.data_dir)["scene"]]
    if collapse_after is None:
        assert (actions, report.notes, report.num_accepted) == (["evolved"] * 4, (), 160)
        assert max(sample.draft.depth for sample in read_samples(layout.data_dir)) == 4
    else:
        assert actions == ["evolved", "evolved", "rolled_back", "stopped"]
        assert [note.partition(" collapsed")[0] for note in report.notes] == ["scene, round 3", "scene, round 4"]
        assert (report.num_accepted, report.rejected_by_reason) == (80, {COLLAPSED: 80})


def test_lineage_names_no_more_exemplars_than_an_instruction_shows(tmp_path: Path) -> None:
    settings = SynthesisSettings(
        capabilities=("scene",), samples_per_capability=30, writer=BackendSettings(backend="fake-chat"), painter=None,
        drafting=DraftingSettings(max_exemplars=2), pool=PoolSettings(num_shown=5), num_workers=1,
    )  # fmt: skip
    layout = RunLayout(tmp_path)
    synthesize(RunConfig(synthesis=settings), layout)
    assert {len(sample.draft.exemplar_ids) for sample in read_samples(layout.data_dir)} == {4}


def test_a_run_that_was_killed_often_ends_with_the_same_pools_and_samples(tmp_path: Path) -> None:
    settings = config({"collapse_depth": 3}, samples_per_capability=120)
    _, whole = run(tmp_path / "whole", settings)
    layout = RunLayout(tmp_path / "torn")
    report = None
    for num_shards in (1, 4, 6, 9, 11, 13, 10_000):
        seen = Counter[str]()

        def kill(progress: SynthesisProgress, num_shards: int = num_shards, seen: Counter[str] = seen) -> None:
            seen["shards"] += 1
            if seen["shards"] == num_shards:
                raise Killed

        try:
            report = synthesize(settings, layout, progress=kill, material=toy_material())
        except Killed:
            continue
    assert report is not None
    assert tree_digest(layout.data_dir) == tree_digest(whole.data_dir)
    assert len(report.notes) == 2


def test_targets_are_met_exactly_beside_a_pool(tmp_path: Path) -> None:
    targets = (
        TargetSettings(capability="animal", counts={"dog": 50, "owl": 0}),
        TargetSettings(attribute="setting", capability="vehicle", shares={"beach": 0.5}),
    )
    settings = config({"refuse_share": 0.2}, coverage=CoverageSettings(targets=targets), samples_per_capability=120)
    report, layout = run(tmp_path, settings)
    samples = list(read_samples(layout.data_dir))
    keywords = Counter(sample.draft.keyword for sample in samples if sample.draft.capability == "animal")
    places = Counter(sample.draft.setting for sample in samples if sample.draft.capability == "vehicle")
    assert (keywords["dog"], keywords["owl"], keywords.total()) == (50, 0, 120)
    assert (places["beach"], places.total()) == (60, 120)
    assert (report.shortfalls, report.unfilled) == ((), {})


def test_a_cell_that_cannot_be_filled_is_told_and_the_rest_is_complete(tmp_path: Path) -> None:
    coverage = CoverageSettings(targets=(TargetSettings(attribute="detail", counts={"neon": 10}),))
    report, _ = run(tmp_path, config(samples_per_capability=40, coverage=coverage, pool=None, max_rounds=60))
    assert report.num_accepted == 60
    assert [short.value for short in report.shortfalls] == ["neon", "neon"]
    assert "detail neon: 0 of 10" in report.shortfalls[0].words
    assert report.unfilled.keys() == {"animal", "vehicle"}
    assert report.shortfalls[0].words in report.unfilled["animal"]
