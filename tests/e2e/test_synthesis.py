import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stablellava.config.synthesis import CoverageSettings, SynthesisSettings, TargetSettings
from stablellava.config.tree import RunConfig
from stablellava.core.errors import BackendFailed, ConfigError, RecordError
from stablellava.store.images import verify_image
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import read_manifest
from stablellava.store.shards import read_rejected, read_samples
from stablellava.synthesis.splitting import held_out_settings
from stablellava.synthesis.synthesizing import load_material, synthesize
from toys import copy_capability, toy_config, toy_material, tree_digest

FAULTY_WRITER = {"repeat_share": 0.3, "empty_share": 0.1, "refuse_share": 0.05, "invent_share": 0.1}
FAULTY_PAINTER = {"wrong_share": 0.2, "broken_share": 0.1}

DRIVER = """
import sys
from pathlib import Path
from stablellava.store.layout import RunLayout
from stablellava.synthesis.synthesizing import synthesize
from toys import toy_config, toy_material
if __name__ == "__main__":
    {prelude}
    config = toy_config({writer!r}, {painter!r}, num_workers=2, samples_per_capability=24)
    synthesize(config, RunLayout(Path(sys.argv[1])), material=toy_material())
"""


def start_driver(tmp_path: Path, run_dir: Path, painter: dict[str, float], prelude: str = "") -> subprocess.Popen[str]:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(prelude=prelude, writer=FAULTY_WRITER, painter=painter))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, str(script), str(run_dir)],
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_ends_with_exactly_the_samples_asked_for_whatever_the_backends_break(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    report = synthesize(toy_config(FAULTY_WRITER, FAULTY_PAINTER, max_rounds=12), layout, material=toy_material())
    samples = list(read_samples(layout.data_dir))
    assert {name: counts.accepted for name, counts in report.counts.items()} == {"animal": 20, "vehicle": 20}
    assert [sample.draft.capability for sample in samples].count("animal") == 20
    assert report.unfilled == {}
    reasons = {rejected.reason for rejected in read_rejected(layout.data_dir)}
    assert {"empty_turn", "unparsable_answer", "claim_not_drawn"} <= reasons
    assert all(verdict.kept for sample in samples for verdict in sample.verdicts)
    assert any(sample.num_repaints > 0 for sample in samples)
    for sample in samples:
        for painting in sample.paintings:
            verify_image(layout.data_dir, painting.sha256)


def test_training_samples_never_show_a_held_out_combination(tmp_path: Path) -> None:
    config, material = toy_config(), toy_material()
    synthesize(config, RunLayout(tmp_path), material=material)
    capabilities = {capability.name: capability for capability in material.capabilities}
    for sample in read_samples(RunLayout(tmp_path).data_dir):
        capability = capabilities[sample.draft.capability]
        keyword = capability.find_keyword(sample.draft.keyword)
        assert keyword is not None
        assert sample.draft.setting not in held_out_settings(capability, keyword, config.synthesis.held_out_share)


def test_the_number_of_processes_never_changes_a_byte(tmp_path: Path) -> None:
    for num_workers in (1, 3):
        config = toy_config(FAULTY_WRITER, FAULTY_PAINTER, num_workers=num_workers)
        synthesize(config, RunLayout(tmp_path / str(num_workers)), material=toy_material())
    assert tree_digest(tmp_path / "1") == tree_digest(tmp_path / "3")


def test_another_seed_gives_other_samples(tmp_path: Path) -> None:
    for seed in (0, 1):
        synthesize(toy_config(seed=seed), RunLayout(tmp_path / str(seed)), material=toy_material())
    first, second = (
        {sample.sample_id for sample in read_samples(RunLayout(tmp_path / name).data_dir)} for name in ("0", "1")
    )
    assert not first & second


def test_a_finished_run_is_taken_over_without_painting(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    synthesize(toy_config(), layout, material=toy_material())
    before = tree_digest(tmp_path)
    report = synthesize(toy_config(), layout, material=toy_material())
    assert report.num_painted == 0
    assert report.num_accepted == 40
    assert tree_digest(tmp_path) == before


def test_a_folder_of_other_settings_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    synthesize(toy_config(), layout, material=toy_material())
    with pytest.raises(RecordError, match=r"seed \(0 -> 1\)"):
        synthesize(toy_config(seed=1), layout, material=toy_material())
    with pytest.raises(RecordError, match=r"size_px \(48 -> 64\)"):
        synthesize(toy_config(size_px=64), layout, material=toy_material())


def test_a_capability_that_cannot_be_filled_says_why_and_leaves_the_other_alone(tmp_path: Path) -> None:
    report = synthesize(
        toy_config(painter={"fail_share": 1.0}, max_rounds=2), RunLayout(tmp_path), material=toy_material()
    )
    assert report.num_accepted == 0
    assert report.unfilled["animal"] == "0 of 20 after 2 rounds; rejected: keyword_not_drawable 40"


def test_keywords_that_cannot_be_drawn_are_made_up_for_by_others(tmp_path: Path) -> None:
    report = synthesize(toy_config(painter={"fail_share": 0.3}), RunLayout(tmp_path), material=toy_material())
    assert report.num_accepted == 40
    assert any(entry.missing for entry in report.coverage)


def test_damaged_and_missing_files_of_a_finished_run_are_made_again(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    synthesize(toy_config(), layout, material=toy_material())
    before = tree_digest(tmp_path)
    shard = next((layout.data_dir / "shards").rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:100])
    next((layout.data_dir / "images").rglob("*.png")).unlink()
    synthesize(toy_config(), layout, material=toy_material())
    assert tree_digest(tmp_path) == before


@pytest.mark.timeout(120)
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(tmp_path: Path) -> None:
    painter = {**FAULTY_PAINTER, "seconds_per_picture": 0.01}
    whole = start_driver(tmp_path, tmp_path / "whole", painter)
    started = time.monotonic()
    _, errors = whole.communicate()
    assert whole.returncode == 0, errors
    duration = time.monotonic() - started
    chance = random.Random(7)
    num_killed = 0
    for attempt in range(6):
        process = start_driver(tmp_path, tmp_path / "killed", painter)
        try:
            process.communicate(timeout=duration * chance.uniform(0.3, 0.55))
        except subprocess.TimeoutExpired:
            # Half of the kills hit the parent alone: its workers have to notice.
            if attempt % 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            num_killed += 1
            process.communicate()
    assert num_killed >= 2
    last = start_driver(tmp_path, tmp_path / "killed", painter)
    _, errors = last.communicate()
    assert last.returncode == 0, errors
    assert tree_digest(tmp_path / "killed") == tree_digest(tmp_path / "whole")


def test_a_full_disk_gives_one_clear_message_and_the_run_goes_on_later(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))"
    process = start_driver(tmp_path, tmp_path / "run", {}, prelude=limit)
    _, errors = process.communicate()
    assert process.returncode != 0
    assert "RecordError: no space left to write" in errors.strip().splitlines()[-1]
    again = start_driver(tmp_path, tmp_path / "run", {})
    _, errors = again.communicate()
    assert again.returncode == 0, errors
    assert read_manifest(RunLayout(tmp_path / "run").data_dir).complete
    # A process that was ended while it wrote may leave a file under a temporary name until then.
    assert not any("tmp" in name for name in tree_digest(tmp_path / "run"))


def test_ctrl_c_ends_all_processes_without_noise_and_the_run_goes_on(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    # A shell starts background jobs deaf to Ctrl-C, and so would this test be in one.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = start_driver(tmp_path, layout.root, {"seconds_per_picture": 0.03}, prelude=listen)
    while not list(layout.root.rglob("*.png")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    # Ends only when the last process has let go of the pipe.
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1
    assert errors.strip().endswith("KeyboardInterrupt")
    again = start_driver(tmp_path, layout.root, {"seconds_per_picture": 0.03})
    again.communicate()
    assert read_manifest(layout.data_dir).complete


def test_two_runs_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    process = start_driver(tmp_path, layout.root, {"seconds_per_picture": 0.1})
    while not (layout.data_dir / "manifest.json").exists():
        time.sleep(0.02)
    try:
        with pytest.raises(RecordError, match="another process is writing there"):
            synthesize(toy_config(), layout, material=toy_material())
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_worker_that_dies_is_one_clear_error(tmp_path: Path) -> None:
    config = toy_config(painter={"seconds_per_picture": 0.02}, num_workers=2)

    def kill_a_worker(_: object) -> None:
        import multiprocessing

        for child in multiprocessing.active_children()[:1]:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(BackendFailed, match="a worker process died"):
        synthesize(config, RunLayout(tmp_path), progress=kill_a_worker, material=toy_material())


def test_a_capability_of_ones_own_is_drafted_by_its_folder(tmp_path: Path) -> None:
    own = copy_capability(tmp_path, "pets")
    target = TargetSettings(capability="pets", counts={"dog": 3})
    config = RunConfig(
        synthesis=SynthesisSettings(
            capabilities=(str(own), "food"),
            samples_per_capability=8,
            size_px=48,
            num_workers=1,
            coverage=CoverageSettings(targets=(target,)),
        )
    )
    report = synthesize(config, RunLayout(tmp_path / "run"))
    assert {name: counts.accepted for name, counts in report.counts.items()} == {"pets": 8, "food": 8}
    kept = [sample.draft for sample in read_samples(RunLayout(tmp_path / "run").data_dir)]
    assert [draft.keyword for draft in kept if draft.capability == "pets"].count("dog") == 3


def test_two_capabilities_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two capabilities are named 'animal'"):
        load_material((str(copy_capability(tmp_path, "animal")), "animal"))
