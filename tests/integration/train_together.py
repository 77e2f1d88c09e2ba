"""Trains both stages in this process, which torchrun may have started beside others.

argv: run directory, language model, overrides of the configuration. Not a test: the tests start it.
"""

import sys
from pathlib import Path

import tiny_vlm
from stablellava.store.layout import RunLayout
from stablellava.training.stages import train_stage


def main() -> None:
    root, language_model, *overrides = sys.argv[1:]
    config = tiny_vlm.training_config(Path(language_model), *overrides)
    for stage in ("align", "instruct"):
        train_stage(config, RunLayout(Path(root)), stage)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
