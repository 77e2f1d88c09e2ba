"""Where everything of a run lies on disk.

<run>/
  config.yaml                       resolved settings
  data/                             the synthesized samples (see shards.py)
    manifest.json                   fingerprint, counts, shard digests
    shards/<capability>/*.parquet   samples
    rejects/<capability>/*.parquet  rejected candidates with reasons
    summaries/<capability>/*.zst    what a resumed run has to know of a shard; may be deleted (see summaries.py)
    images/<2 hex>/<sha256>.png     pictures by content
    pools/<capability>/r<round>.json   exemplars after a round, its variety and the guard's verdict
    card.md                         data card
  suites/<suite>/items.jsonl        evaluation items, with their images/ beside them
  features/                         patches of the pictures, by content; may be deleted
  model/<stage>/                    Hugging Face checkpoint after a stage
  training/<stage>/log.jsonl        one row per step
  evaluation/<suite>.<stage>.json   evaluation logs
  ratings/<study>.*                 pages to rate pairs on, their keys, and what people said (never part of the data)
  spending.json                     calls, tokens and cost of the writer (never part of the data)
  timing.json                       seconds per phase (never part of the data)
  report.html
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunLayout:
    """Paths of one run; nothing is created by asking for them."""

    root: Path

    @property
    def config_path(self) -> Path:
        return self.root / "config.yaml"

    @property
    def data_dir(self) -> Path:
        return self.root / "data"

    def suite_dir(self, suite: str) -> Path:
        return self.root / "suites" / suite

    @property
    def features_dir(self) -> Path:
        return self.root / "features"

    def model_dir(self, stage: str) -> Path:
        return self.root / "model" / stage

    def training_dir(self, stage: str) -> Path:
        return self.root / "training" / stage

    def training_log_path(self, stage: str) -> Path:
        return self.training_dir(stage) / "log.jsonl"

    def eval_log_path(self, suite: str, stage: str) -> Path:
        return self.root / "evaluation" / f"{suite}.{stage}.json"

    @property
    def spending_path(self) -> Path:
        return self.root / "spending.json"

    @property
    def timing_path(self) -> Path:
        return self.root / "timing.json"

    @property
    def report_path(self) -> Path:
        return self.root / "report.html"
