import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from stablellava.core.rating import Rating, RatingKey
from stablellava.store.ratings import append_rating, read_key, write_key
from stablellava.store.shards import read_samples
from stablellava.synthesis.calibrating import read_labels

Invoke = Callable[..., Result]


@pytest.fixture
def key(invoke: Invoke, tmp_path: Path) -> Path:
    """The key of a study of a small run; its page lies beside it."""
    chosen = ("synthesis.capabilities=animal,food", "synthesis.samples_per_capability=4", "synthesis.size_px=48")
    assert invoke("synthesize", "--run", "mine", *chosen).exit_code == 0
    result = invoke("study", "rate", "--run", "mine", "-n", 6, "--planted", 2, "--refused", 3, "--json")
    assert result.exit_code == 0, result.stderr
    assert "asked for 3 refused pairs; the run has 0" in result.stderr
    report = json.loads(result.stdout)
    assert report["pairs"] == {"kept": 6, "refused": 0, "planted": 2, "other": 0}
    assert (tmp_path / report["page"]).is_file()
    return tmp_path / str(report["key"])


def _rate(key: RatingKey, path: Path, rater: str) -> None:
    for pair in key.pairs:
        fits = "no" if pair.origin == "planted" else "yes"
        append_rating(path, Rating(study_id=key.study_id, pair_id=pair.pair_id, rater=rater, fits=fits))


def test_ratings_come_back_as_figures_and_as_labels_for_calibration(invoke: Invoke, key: Path, tmp_path: Path) -> None:
    for rater in ("ann", "ben"):
        _rate(read_key(key), tmp_path / rater, rater)
    result = invoke("study", "ratings", "ann", "ben", "--key", key, "--labels", "labels.jsonl", "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert [row["aligned"]["num"] for row in figures["groups"] if row["capability"] == "all"] == [6]
    labelled = read_labels(tmp_path / "labels.jsonl", list(read_samples(tmp_path / "mine" / "data")))
    assert [one.is_own for one in labelled] == [True] * 6
    shown = invoke("study", "ratings", "ann", "ben", "--key", key).stdout
    assert "ann, ben" in shown
    assert "100.0 %" in shown


def test_a_bad_ratings_file_is_one_line_and_exit_code_2(invoke: Invoke, tmp_path: Path) -> None:
    write_key(RatingKey(study_id="x", seed=0, pairs=()), tmp_path / "x.key.json")
    (tmp_path / "ann").write_text('{"study_id": "x", "pair_id": "y", "rater": "ann", "fits": "perhaps"}\n')
    result = invoke("study", "ratings", "ann", "--key", "x.key.json")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "ann: line 1: fits" in result.stderr
    assert "'perhaps'" in result.stderr
