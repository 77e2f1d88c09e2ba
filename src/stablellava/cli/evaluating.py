"""Verbs: evaluate, report."""

from pathlib import Path
from typing import TYPE_CHECKING

from stablellava.cli import task_options as opts
from stablellava.cli.options import JsonOption, OpenOption, Overrides, RunOption
from stablellava.cli.task_options import SuiteName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stablellava.core.score import EvalLog, TaskLog
    from stablellava.evaluation.gap import Gap
    from stablellava.evaluation.suites import Suite
    from stablellava.store.layout import RunLayout


def evaluate(
    overrides: Overrides = None,
    model: opts.AnyModelOption = None,
    model_option: opts.ModelOptions = None,
    suite: opts.SuiteOption = None,
    data: opts.DataOption = None,
    run: RunOption = None,
    task: opts.TaskOption = None,
    hub: opts.HubOption = None,
    variant: opts.VariantOption = "",
    images: opts.ImagesOption = None,
    limit: opts.LimitOption = None,
    keep_going: opts.KeepGoingOption = False,
    out: opts.OutOption = None,
    chat: opts.ChatOption = None,
    chat_option: opts.ChatOptions = None,
    judge: opts.JudgeOption = None,
    judge_option: opts.JudgeOptions = None,
    judge_prompts: opts.JudgePromptsOption = None,
    judge_runs: opts.JudgeRunsOption = 1,
    max_calls: opts.MaxCallsOption = None,
    max_cost: opts.MaxCostOption = None,
    answers: opts.AnswersOption = None,
    answers_format: opts.FormatOption = "llava",
    rescore: opts.RescoreOption = None,
    submission: opts.SubmissionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a model every question of a suite or a benchmark; print figures with 95 % intervals.

    Photos stand beside the generated items of the same model, and the gap is named. A broken row of a suite is left
    out and ends with exit code 2; one of a task stops before anything is asked, unless --keep-going.

    A task is read from the benchmark's own files and keeps one log, saved answer by answer: the same command goes on
    after a kill.

    Example: stablellava evaluate --task pope --data coco/pope --images coco/val2014 --model runs/demo/model/instruct
    """
    from stablellava.cli.benchmarking import TaskRequest, run_request

    request = TaskRequest(
        task=task or "", data=data, hub=hub, variant=variant, images=images, limit=limit, keep_going=keep_going,
        model=model, model_options=model_option or (), chat=chat, chat_options=chat_option or (), judge=judge,
        judge_prompts=judge_prompts, judge_options=judge_option or (), judge_runs=judge_runs, answers=answers,
        answers_format=answers_format, out=out, max_calls=max_calls, max_cost=max_cost, overrides=overrides or (),
    )  # fmt: skip
    about_tasks, about_suites = request.options_of_tasks, {"--suite": suite, "--run": run}
    if rescore is not None:
        others = {"--task": task, "--model": model, "--data": data, **about_suites, **about_tasks}
        _refuse(others, "--rescore takes all but --submission from the log")
        _rescore(rescore, submission, as_json)
        return
    if task is None:
        needed = "it is about a task; name one with --task, see: stablellava tasks list"
        _refuse({**about_tasks, "--submission": submission}, needed)
        _evaluate_suite(model, suite or SuiteName.generated, data, run, overrides, as_json)
        return
    _refuse(about_suites, "it is about a suite; a task's files are named by --data or --hub, its log's folder by --out")
    _show_task(run_request(request), submission, as_json)


def _refuse(options: "Mapping[str, object]", why: str) -> None:
    """Raise ConfigError naming the first option that was given."""
    from stablellava.core.errors import ConfigError

    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"{name} does not go here: {why}")


def _rescore(path: Path, submission: Path | None, as_json: bool) -> None:
    """Score the answers of a log again by the present rules and write it back, a suite's log as well."""
    from stablellava.cli.output import print_result
    from stablellava.cli.tables import result_table
    from stablellava.evaluation.benchmarks.scoring import rescore_log
    from stablellava.evaluation.capability_benchmark import read_log, rescore, write_log
    from stablellava.evaluation.log import is_task_log, read_task_log, write_task_log
    from stablellava.evaluation.tables import log_table

    if is_task_log(path):
        task_log = rescore_log(read_task_log(path))
        write_task_log(task_log, path)
        _show_task(task_log, submission, as_json)
        return
    log = rescore(read_log(path))
    _refuse({"--submission": submission}, "a suite's log has no file to upload")
    write_log(log, path)
    reports = {"reports": [report.model_dump(mode="json") for report in log.reports]}
    print_result(reports, as_json, result_table(log_table(log)))


def _show_task(log: "TaskLog", submission: Path | None, as_json: bool) -> None:
    from stablellava.cli.benchmarking import write_submission
    from stablellava.cli.output import note, print_result
    from stablellava.cli.tables import result_table
    from stablellava.evaluation.task_tables import reference_table, task_table

    written = write_submission(log, submission) if submission else []
    for message in log.header.left_out:
        note(f"left out: {message}")
    result = {**log.header.model_dump(mode="json"), "submission": [str(path) for path in written]}
    tables = [table for table in (task_table(log), reference_table(log)) if table is not None]
    print_result(result, as_json, *map(result_table, tables), *(f"submission: {path}" for path in written))


def _evaluate_suite(
    model: Path | None, suite: SuiteName, data: Path | None, run: Path | None, overrides: Overrides, as_json: bool
) -> None:
    from stablellava.cli.failing import refuse_bad_rows
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import RUNS_DIR
    from stablellava.cli.tables import result_table
    from stablellava.core.errors import ConfigError
    from stablellava.evaluation.suites import load_suite
    from stablellava.evaluation.tables import gap_table, log_table
    from stablellava.store.layout import RunLayout

    if model is None:
        raise ConfigError("evaluate needs --model DIR, a trained model; or --task with --chat or --answers.")
    if data is None and suite is SuiteName.photos:
        raise ConfigError("--suite photos needs --data DIR, a folder with items.jsonl and its pictures.")
    # "." and "instruct" name a model as well as its full path does.
    model = model.resolve()
    # A model from elsewhere gets a run of its own name.
    lies_in_run = model.parent.name == "model"
    layout = RunLayout(run or (model.parent.parent if lies_in_run else RUNS_DIR / model.name))
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


def report(
    run: RunOption = None,
    log: opts.LogOption = None,
    open_page: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Write the run's report: one HTML file that opens from disk.

    Logs of benchmarks that lie in the run's evaluation folder or with its models are part of it.

    Example: stablellava report --run runs/demo --no-open
    """
    import webbrowser

    from stablellava.cli.output import print_result
    from stablellava.cli.runs import existing_run
    from stablellava.studio.report import write_report

    _, layout = existing_run(run)
    write_report(layout, task_logs=log or ())
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
