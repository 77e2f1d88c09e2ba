from pathlib import Path

import yaml
from typer.testing import CliRunner

from stablellava.cli.app import build_app


def test_configurations_are_written_so_that_they_can_be_launched(tmp_path: Path) -> None:
    result = CliRunner().invoke(build_app(), ["train", "configs", "--out", str(tmp_path / "here")])
    assert result.exit_code == 0
    configs = {path.name: yaml.safe_load(path.read_text()) for path in (tmp_path / "here").glob("*.yaml")}
    assert {"ddp.yaml", "fsdp2.yaml", "deepspeed_zero2.yaml", "deepspeed_zero3.yaml"} <= configs.keys()
    for name in ("deepspeed_zero2.yaml", "deepspeed_zero3.yaml"):
        assert Path(configs[name]["deepspeed_config"]["deepspeed_config_file"]).is_file()
