"""Verb: calibrate."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import JsonOption, RunOption

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stablellava.config.base import BackendSettings
    from stablellava.core.sample import Sample
    from stablellava.filters.calibrating import Calibration
    from stablellava.synthesis.calibrating import CalibrationReport
    from stablellava.synthesis.planting import LabelledSample


class Calibrated(StrEnum):
    """Which check."""

    pixels = "pixels"
    image_text = "image_text"
    judge = "judge"
    safe_picture = "safe_picture"


def calibrate(
    check: Annotated[Calibrated, typer.Argument(help="The check to pick thresholds for.")],
    run: RunOption = None,
    backend: Annotated[
        str | None,
        typer.Option("--backend", help="Scorer or chat model: NAME, or NAME:{OPTION: VALUE, ...}.", metavar="BACKEND"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help='Lines of {"sample_id": "...", "good": true}; by default pictures are swapped.'),
    ] = None,
    false_drops: Annotated[
        float, typer.Option("--false-drops", min=0.0, max=0.5, help="Share of good pairs that may be lost.")
    ] = 0.05,
    num: Annotated[int, typer.Option("-n", "--num", min=20, help="Samples to score, where nothing is fitted.")] = 400,
    as_json: JsonOption = False,
) -> None:
    """Pick the thresholds of a check that looks at pictures, and say what it will find and lose.

    Pairs whose pictures were swapped count as bad, unless --labels says which are. The pixel check is also fitted.

    Example: stablellava calibrate pixels --run runs/demo --false-drops 0.02
    """
    from stablellava.cli.output import note, print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import existing_run
    from stablellava.cli.study import read_backend
    from stablellava.config.verifying import CheckSettings
    from stablellava.core.errors import ConfigError
    from stablellava.store.shards import read_samples
    from stablellava.synthesis.calibrating import calibrate_check, read_labels

    settings, layout = existing_run(run)
    named = read_backend(backend) if backend else None
    if check is Calibrated.pixels:
        if labels or backend:
            raise ConfigError("the pixel check is fitted on the run and calibrated on swaps: no --labels, no --backend")
        report = _fit(layout.data_dir, layout.root / "checks" / "pixels.npz", settings.seed, false_drops)
    else:
        if check is Calibrated.safe_picture and labels is None:
            raise ConfigError("a swapped picture is as safe as any: say with --labels which samples are unsafe")
        samples = list(read_samples(layout.data_dir))
        labelled = read_labels(labels, samples) if labels else _plant(samples, num, settings.seed)
        note(f"asking about {len(labelled):,} samples, {sum(not one.is_own for one in labelled):,} of them bad")
        asked = CheckSettings.model_validate({"check": check.value, "backend": named})
        with show_progress(f"calibrate {check.value}") as bar:
            report = calibrate_check(layout.data_dir, asked, labelled, false_drops, bar.show_answers)
        report = report.model_copy(update={"is_planted": labels is None})
    rows = [("all", report.overall), *report.by_capability.items()]
    print_result(report.model_dump(mode="json"), as_json, _table(rows), _snippet(report, named))


def _plant(samples: "list[Sample]", num: int, seed: int) -> "list[LabelledSample]":
    import random

    from stablellava.synthesis.planting import swap_pictures

    # Shards lie by capability: the first samples would be of one capability alone.
    chosen = random.Random(seed).sample(samples, min(num, len(samples)))  # noqa: S311
    return swap_pictures(chosen, 0.5, seed)


def _fit(data_dir: Path, path: Path, seed: int, false_drops: float) -> "CalibrationReport":
    from stablellava.backends.catalog import build_backend
    from stablellava.cli.progress import show_progress
    from stablellava.synthesis.calibrating import CalibrationReport, fit_pixel_check

    reader = build_backend("features", "efficientnet-lite0")
    with show_progress("read pictures") as bar:
        fit = fit_pixel_check(data_dir, reader, seed, false_drops, bar.show_answers)
    fit.model.save(path)
    return CalibrationReport(
        check="pixels",
        overall=fit.calibration,
        by_capability=dict(fit.by_capability),
        is_planted=True,
        model_path=str(path),
    )


def _table(rows: "list[tuple[str, Calibration]]") -> "RenderableType":
    from stablellava.cli.tables import text_table

    return text_table(
        ("capability", "threshold", "bad found", "95 %", "good lost", "95 %", "precision", "unscored"),
        [
            (
                name,
                f"{one.threshold:.3f}",
                f"{100 * one.recall:.1f} %",
                "{:.0f}-{:.0f}".format(*(100 * edge for edge in one.recall_interval)),
                f"{100 * one.false_drops:.1f} %",
                "{:.0f}-{:.0f}".format(*(100 * edge for edge in one.false_drops_interval)),
                "-" if one.precision is None else f"{100 * one.precision:.1f} %",
                str(one.num_unscored),
            )
            for name, one in rows
        ],
    )


def _snippet(report: "CalibrationReport", backend: "BackendSettings | None") -> str:
    import yaml

    check: dict[str, object] = {"check": report.check}
    if backend:
        check["backend"] = backend.model_dump(mode="json")
    # To the last digit: rounded up, it would drop good pairs that score just as much.
    least = report.overall.threshold
    if report.check == "judge":
        check["options"] = {"min_share": least}
    else:
        check["threshold"] = least
    if report.model_path:
        check["options"] = {"model": report.model_path}
    if report.by_capability and report.check != "judge":
        check["thresholds"] = {name: one.threshold for name, one in report.by_capability.items()}
    settings = yaml.safe_dump({"synthesis": {"verify": {"checks": [check]}}}, sort_keys=False)
    return f"To use it, put this into the settings of a run:\n\n{settings}"
