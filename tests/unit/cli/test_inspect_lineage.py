import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from scripted import RoundRunner, write_by_grammar
from stablellava.capabilities import load_capability
from stablellava.cli.runs import save_config
from stablellava.config.synthesis import PoolSettings, SynthesisSettings
from stablellava.config.tree import RunConfig
from stablellava.store.layout import RunLayout
from stablellava.store.shards import commit_shard
from stablellava.synthesis.evolution import Evolution

Invoke = Callable[..., Result]


def make_run() -> str:
    """Three rounds of a pool below ``run``; return a sample's id of the last one."""
    settings, animal, layout = PoolSettings(round_size=30), load_capability("animal"), RunLayout(Path("run"))
    save_config(RunConfig(synthesis=SynthesisSettings(capabilities=("animal",), pool=settings)), layout)
    runner = RoundRunner(Evolution(layout.data_dir, [animal], settings), animal, settings)
    for index in range(3):
        runner.run(write_by_grammar)
        commit_shard(layout.data_dir, f"animal/r{index:02d}-00000", runner.committed[index])
    deepest = max((outcome.draft for outcome in runner.committed[2] if outcome.draft), key=lambda draft: draft.depth)
    return deepest.draft_id


def test_lineage_shows_a_samples_tree_and_what_reached_furthest(invoke: Invoke) -> None:
    sample_id = make_run()
    tree = invoke("inspect", "lineage", "--run", "run", "--sample", sample_id[:10])
    assert tree.exit_code == 0, tree.output
    assert f"{sample_id}  depth 3" in tree.stdout
    assert "[seed]" in tree.stdout
    assert "depth 2, from" in tree.stdout
    as_json = json.loads(invoke("inspect", "lineage", "--run", "run", "--sample", sample_id, "--json").stdout)
    assert as_json["depth"] == 3
    summary = invoke("inspect", "lineage", "--run", "run", "-n", 3)
    assert "ancestor of" in summary.stdout
    figures = json.loads(invoke("inspect", "lineage", "--run", "run", "-n", 3, "--json").stdout)
    assert figures["num_samples"] == 90
    assert figures["depths"]["1"] == 30
    assert len(figures["most_influential"]) == 3


def test_mistakes_of_a_trace_are_told(invoke: Invoke) -> None:
    make_run()
    unknown = invoke("inspect", "lineage", "--run", "run", "--sample", "zzz")
    assert (unknown.exit_code, "no accepted sample has the id 'zzz'" in unknown.stderr) == (2, True)
    misplaced = invoke("inspect", "samples", "--run", "run", "--sample", "zzz")
    assert (misplaced.exit_code, "--sample goes with 'inspect lineage'" in misplaced.stderr) == (2, True)


def test_plan_refuses_targets_that_cannot_be_met_and_suggests_what_was_meant(invoke: Invoke) -> None:
    target = "synthesis.coverage={targets: [{capability: animal, counts: {dgo: 3}}]}"
    result = invoke("plan", target)
    assert result.exit_code == 2
    assert "no 'dgo' to draft. Did you mean 'dog'?" in result.stderr
