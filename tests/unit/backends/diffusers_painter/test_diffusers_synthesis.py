import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from stablellava.config.base import BackendSettings
from stablellava.config.tree import RunConfig
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.synthesis.synthesizing import synthesize
from toys import toy_config, toy_material, tree_digest

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers

_RUN = """
import sys
from pathlib import Path
from toys import toy_material
from stablellava.config.tree import RunConfig
from stablellava.store.layout import RunLayout
from stablellava.synthesis.synthesizing import synthesize
synthesize(RunConfig.model_validate_json(sys.argv[1]), RunLayout(Path(sys.argv[2])), material=toy_material())
"""


def diffusers_config(model: Path) -> RunConfig:
    options = {"model": str(model), "steps": 4, "batch_size": 8}
    changes = {"samples_per_capability": 20, "size_px": 32, "shard_size": 60}
    return toy_config(**changes).model_copy(
        update={
            "synthesis": toy_config(**changes).synthesis.model_copy(
                update={"painter": BackendSettings(backend="diffusers", options=options)}
            )
        }
    )


def kill_after_the_first_batch(config: RunConfig, root: Path) -> int:
    """Return how many lines the killed run's journal holds."""
    journals = RunLayout(root).data_dir
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, config.model_dump_json(), str(root)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    num_painted = 0
    while num_painted == 0 and process.poll() is None:
        lines = [line for path in journals.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
        num_painted = sum(b'"Painting"' in line for line in lines)
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return num_painted


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(models: dict[str, Path], tmp_path: Path) -> None:
    config = diffusers_config(models["sd"])
    assert 0 < kill_after_the_first_batch(config, tmp_path / "killed") < 40
    resumed = synthesize(config, RunLayout(tmp_path / "killed"), material=toy_material())
    whole = synthesize(config, RunLayout(tmp_path / "whole"), material=toy_material())
    assert resumed.num_painted < whole.num_painted
    assert tree_digest(tmp_path / "killed") == tree_digest(tmp_path / "whole")
    layout = RunLayout(tmp_path / "whole")
    samples = list(read_samples(layout.data_dir))
    assert len(samples) == 40
    [painting] = samples[0].paintings
    assert (painting.drawn, painting.stamp.backend, painting.stamp.model) == (None, "diffusers", "tiny-sd")
    with Image.open(io.BytesIO(image_path(layout.data_dir, painting.sha256).read_bytes())) as picture:
        assert "stablellava" in picture.info
