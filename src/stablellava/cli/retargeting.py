"""Verb: retarget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stablellava.cli.options import JsonOption, Overrides, RunOption

if TYPE_CHECKING:
    from stablellava.config.tree import RunConfig
    from stablellava.store.layout import RunLayout


def retarget(
    overrides: Overrides = None,
    run: RunOption = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", help="Evaluation log to go by; by default of generated items after instruct.", metavar="FILE"
        ),
    ] = None,
    target: Annotated[
        float, typer.Option("--target", min=0.0, max=100.0, help="Percent right that a capability is to reach.")
    ] = 60.0,
    most: Annotated[
        int, typer.Option("--most", min=1, help="So many capabilities at the most, the weakest first.")
    ] = 4,
    samples: Annotated[int, typer.Option("-n", "--num", min=1, help="Samples of each in the next run.")] = 240,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Settings to write; by default <run>/next.yaml.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to make what is missing: write the settings of a next run from what a model got wrong.

    The next run makes samples of the capabilities whose whole interval lies below the target, more of the keywords
    that were answered wrongly, and trains the measured model on them beside what it was trained on.

    Example: stablellava retarget --run runs/demo --target 60 --most 4
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import existing_run
    from stablellava.cli.tables import result_table
    from stablellava.config.loading import dump_config
    from stablellava.evaluation.capability_benchmark import read_log
    from stablellava.store.files import write_atomic
    from stablellava.studies.planning import make_plan
    from stablellava.studies.retargeting import find_shortfalls, shortfall_table
    from stablellava.studies.retargeting import retarget as plan_next

    settings, layout = existing_run(run, overrides)
    log_path = _find_log(log, layout)
    measured = read_log(log_path)
    shortfalls = find_shortfalls(measured, target / 100, most)
    result: dict[str, Any] = {"shortfalls": [short.model_dump(mode="json") for short in shortfalls]}
    if not shortfalls:
        print_result({**result, "settings": None}, as_json, "Nothing falls short of the target for certain.")
        return
    path = out or layout.root / "next.yaml"
    following = plan_next(settings, layout, "instruct", shortfalls, samples)
    make_plan(following)  # what cannot be met is told now
    write_atomic(path, dump_config(following).encode())
    own_suite = layout.suite_dir("generated")
    suite_dir = own_suite if own_suite.is_dir() or not measured.suite_dir else measured.suite_dir
    commands = _commands(settings, layout.root, path, suite_dir, log_path)
    table = result_table(shortfall_table(shortfalls, target / 100, samples))
    result |= {"settings": str(path), "commands": commands}
    print_result(result, as_json, table, f"Settings in {path}. Next:", *commands)


def _find_log(log: Path | None, layout: "RunLayout") -> Path:
    """Return the log to go by. Raises: RecordError that says how to get one."""
    from stablellava.core.errors import RecordError

    path = log or layout.eval_log_path("generated", "instruct")
    if path.is_file():
        return path
    how = f"stablellava evaluate --model {layout.model_dir('instruct')}"
    raise RecordError(f"no evaluation log in {str(path)!r}. Evaluate first: {how}")


def _commands(
    settings: "RunConfig", root: Path, next_settings: Path, suite_dir: str | Path, log_path: Path
) -> tuple[str, ...]:
    """Return the commands that carry the next run out."""
    from stablellava.studies.retargeting import stages_again

    next_run = root.with_name(f"{root.name}-next")
    return (
        f"stablellava synthesize --config {next_settings} --run {next_run}",
        *(f"stablellava train --stage {stage} --run {next_run}" for stage in stages_again(settings)),
        f"stablellava evaluate --model {next_run}/model/instruct --data {suite_dir}",
        f"stablellava compare {log_path} {next_run}/evaluation/generated.instruct.json",
    )
