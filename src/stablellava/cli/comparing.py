"""Verb: compare."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import JsonOption

if TYPE_CHECKING:
    from stablellava.core.capability import FormKind
    from stablellava.evaluation.comparing import Comparison


class FormName(StrEnum):
    """Forms of questions in the capability suites."""

    wh = "wh"
    yes_no = "yes_no"
    either_or = "either_or"


class CorrectionName(StrEnum):
    """Against any false alarm, or against too large a share of them."""

    holm = "holm"
    benjamini_hochberg = "benjamini-hochberg"


def compare(
    before: Annotated[Path, typer.Argument(help="Evaluation log of the one model.", metavar="BEFORE")],
    after: Annotated[Path, typer.Argument(help="Evaluation log of the other, on the same items.", metavar="AFTER")],
    form: Annotated[FormName | None, typer.Option("--form", help="Only questions of this form.")] = None,
    correction: Annotated[
        CorrectionName, typer.Option("--correction", help="What corrects for many capabilities at once.")
    ] = CorrectionName.holm,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write radar and forest plot to this HTML file.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two evaluations item by item, and say which differences stand.

    Takes logs of the capability suites and of public benchmarks. Gains are paired; questions that share a picture are
    counted as one piece of evidence; p-values are corrected for the number of capabilities.

    Example: stablellava compare runs/demo/evaluation/generated.align.json runs/demo/evaluation/generated.instruct.json
    """
    from stablellava.cli.output import note, print_result
    from stablellava.cli.tables import result_table
    from stablellava.evaluation.forest_text import forest_table
    from stablellava.evaluation.tables import comparison_table
    from stablellava.studio.comparing_page import write_comparison

    comparison = _compare(before, after, form, correction)
    if page is not None:
        write_comparison(comparison, page)
        note(f"radar and forest plot: {page}")
    tables = (forest_table(comparison), comparison_table(comparison))
    result = {**comparison.model_dump(mode="json"), "words": comparison.words}
    print_result(result, as_json, *map(result_table, tables))


def _compare(before: Path, after: Path, form: FormName | None, correction: CorrectionName) -> "Comparison":
    from stablellava.core.errors import ConfigError, RecordError
    from stablellava.evaluation.capability_benchmark import read_log
    from stablellava.evaluation.comparing import compare_logs, compare_task_logs
    from stablellava.evaluation.log import is_task_log, read_task_log

    are_tasks = [is_task_log(path) for path in (before, after)]
    if are_tasks[0] != are_tasks[1]:
        raise RecordError(f"{before} and {after} are logs of different kinds; evaluate both models on one suite")
    if not are_tasks[0]:
        form_kind: FormKind | None = form.value if form else None
        return compare_logs(read_log(before), read_log(after), form=form_kind, correction=correction.value)
    if form is not None:
        raise ConfigError("--form is for logs of the capability suites; a benchmark's log is compared as a whole")
    return compare_task_logs(read_task_log(before), read_task_log(after), correction=correction.value)
