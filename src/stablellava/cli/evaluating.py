"""Verbs: evaluate, compare, report."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import JsonOption, ModelOption, OpenOption, Overrides, RunOption

if TYPE_CHECKING:
    from stablellava.core.score import EvalLog
    from stablellava.evaluation.gap import Gap
    from stablellava.evaluation.suites import Suite
    from stablellava.store.layout import RunLayout


class SuiteName(StrEnum):
    """What the items are: held-out drawn pictures, or a folder of photos."""

    generated = "generated"
    photos = "photos"


def evaluate(
    model: ModelOption,
    overrides: Overrides = None,
    suite: Annotated[SuiteName, typer.Option("--suite", help="Which pictures are asked about.")] = SuiteName.generated,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Folder with items.jsonl; by default the run's own suite.", metavar="DIR"),
    ] = None,
    run: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a model every question of a suite; print the share of right answers with 95 % intervals.

    Photos stand beside the generated items of the same model, and the gap is named. Ends with exit code 2 if a row
    of the suite is broken; the good ones are asked.

    Example: stablellava evaluate --model runs/demo/model/instruct --suite photos --data my_photos
    """
    from stablellava.cli.failing import refuse_bad_rows
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import RUNS_DIR
    from stablellava.cli.tables import result_table
    from stablellava.core.errors import ConfigError
    from stablellava.evaluation.suites import load_suite
    from stablellava.evaluation.tables import gap_table, log_table
    from stablellava.store.layout import RunLayout

    if data is None and suite is SuiteName.photos:
        raise ConfigError("--suite photos needs --data DIR, a folder with items.jsonl and its pictures.")
    # A model from elsewhere gets a run of its own name.
    lies_in_run = model.resolve().parent.name == "model"
    layout = RunLayout(run or (model.parent.parent if lies_in_run else RUNS_DIR / model.resolve().name))
    # A broken row does not cost the others; it is told at the end, also by the exit code.
    checked = load_suite(data or layout.suite_dir(suite.value), keep_going=True)
    log = _ask_all(model, suite.value, checked, layout, overrides)
    gaps = _find_gap(log, layout, model.name) if suite is SuiteName.photos else []
    result = {
        "reports": [report.model_dump(mode="json") for report in log.reports],
        "gaps": [gap.model_dump(mode="json") for gap in gaps],
    }
    print_result(result, as_json, *map(result_table, [log_table(log), *map(gap_table, gaps)]))
    refuse_bad_rows([bad.message for bad in checked.bad_rows])


def _ask_all(model: Path, suite: str, checked: "Suite", layout: "RunLayout", overrides: Overrides) -> "EvalLog":
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import load_settings_of
    from stablellava.evaluation.capability_benchmark import evaluate_suite
    from stablellava.model.answering import LocalAnswerer

    config = load_settings_of(layout, overrides)
    settings = config.evaluation
    answerer = LocalAnswerer(
        model,
        settings.max_new_tokens,
        settings.batch_size,
        feature_dir=layout.features_dir,
        num_threads=config.training.num_threads,
    )
    with show_progress(f"evaluate {suite}") as bar:
        return evaluate_suite(
            checked,
            answerer,
            suite,
            log_path=layout.eval_log_path(suite, model.name),
            batch_size=settings.batch_size,
            progress=bar.show_answers,
        )


def compare(
    before: Annotated[Path, typer.Argument(help="Evaluation log of the one model.", metavar="BEFORE")],
    after: Annotated[Path, typer.Argument(help="Evaluation log of the other, on the same suite.", metavar="AFTER")],
    as_json: JsonOption = False,
) -> None:
    """Compare two evaluations item by item: the gain per capability with its paired 95 % interval.

    Example: stablellava compare runs/demo/evaluation/generated.align.json runs/demo/evaluation/generated.instruct.json
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.tables import result_table
    from stablellava.evaluation.capability_benchmark import read_log
    from stablellava.evaluation.comparing import compare_logs
    from stablellava.evaluation.tables import comparison_table

    comparison = compare_logs(read_log(before), read_log(after))
    print_result(comparison.model_dump(mode="json"), as_json, result_table(comparison_table(comparison)))


def report(
    run: RunOption = None,
    open_page: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Write the run's report: one HTML file that opens from disk.

    Example: stablellava report --run runs/demo --no-open
    """
    import webbrowser

    from stablellava.cli.output import print_result
    from stablellava.cli.runs import existing_run
    from stablellava.studio.report import write_report

    _, layout = existing_run(run)
    write_report(layout)
    print_result({"report": str(layout.report_path)}, as_json, str(layout.report_path))
    if open_page and not as_json:
        webbrowser.open(layout.report_path.resolve().as_uri())


def _find_gap(photos: "EvalLog", layout: "RunLayout", stage: str) -> "list[Gap]":
    """Return the gap of the same model to the generated items, if it was measured on them."""
    from stablellava.cli.output import note
    from stablellava.evaluation.capability_benchmark import read_log
    from stablellava.evaluation.gap import compare_suites

    path = layout.eval_log_path(SuiteName.generated.value, stage)
    if path.exists():
        generated = read_log(path)
        if generated.model_fingerprint == photos.model_fingerprint:
            return [compare_suites(generated, photos)]
    note(f"no evaluation of this model on generated items in {path}; the gap is not known. Run --suite generated.")
    return []
