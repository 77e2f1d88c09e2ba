"""Verbs: filter, negatives."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stablellava.cli.options import JsonOption, RunOption

if TYPE_CHECKING:
    from stablellava.config.verifying import VerifySettings
    from stablellava.filters.base import Check
    from stablellava.synthesis.duplicates import Duplicate
    from stablellava.synthesis.filtering import FilterReport

_NUM_EXAMPLES = 10
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Run directory to write to; without it nothing is written.")
]


def filter_samples(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="JSON files of rows to look through instead of a run; only duplicates are sought.", metavar="[FILE]..."
        ),
    ] = None,
    run: RunOption = None,
    out: OutOption = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            "-a",
            help="Items that no sample may repeat: the folder of a suite, or TASK:{data: PATH, images: DIR}, a "
            "benchmark's own files (stablellava tasks list).",
            metavar="ITEMS",
        ),
    ] = None,
    near: Annotated[
        float, typer.Option("--near", min=0.1, max=1.0, help="Least overlap of words that makes texts near-duplicates.")
    ] = 0.8,
    language: Annotated[
        str | None, typer.Option("--language", help="Drop dialogues in another language (ISO 639).", metavar="CODE")
    ] = None,
    look: Annotated[
        list[str] | None,
        typer.Option(
            "--look",
            help="Look at the pictures, too: not_blank; pixels, image_text, safe_picture, judge + :{SETTING: VALUE}.",
            metavar="CHECK",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Go through finished data once more: duplicates, boilerplate, unsafe prompts, benchmark items.

    Says what it finds; with --out, what passes is written there and the rest stands among its rejects.

    Example: stablellava filter --run runs/demo --against my_photos --look not_blank --out runs/clean

    Example: stablellava filter --run runs/demo --against 'pope:{data: coco/pope, images: coco/val2014}'
    """
    from stablellava.cli.output import print_result
    from stablellava.core.errors import ConfigError

    if not files:
        report = _filter_run(run, out, against or [], near, language, look or [])
        print_result(report.model_dump(mode="json"), as_json, "\n".join(_describe_report(report)))
        return
    if run or out or against or look:
        raise ConfigError(
            "files of rows are only looked through for duplicates; "
            "take them in first to filter them: stablellava import FILE --run runs/NAME"
        )
    print_result(*_seek_in_files(files, near, as_json))


def _filter_run(
    run: Path | None, out: Path | None, against: list[str], near: float, language: str | None, look: list[str]
) -> "FilterReport":
    from tempfile import TemporaryDirectory

    from stablellava.cli.decontaminating import read_benchmarks
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import existing_run, save_config
    from stablellava.store.layout import RunLayout
    from stablellava.synthesis.filtering import FilterPolicy, filter_data

    settings, layout = existing_run(run)
    target = RunLayout(out) if out else None
    with TemporaryDirectory() as shelf, show_progress("filter: shards") as bar:
        policy = FilterPolicy(
            checks=_build_checks(language),
            further=_read_looks(look),
            min_overlap=near,
            benchmarks=read_benchmarks(against, Path(shelf)),
            description={"language": language},
            capabilities=settings.synthesis.capabilities,
        )
        report = filter_data(layout.data_dir, policy, target.data_dir if target else None, bar.show_answers)
    if target:
        save_config(settings, target)
    return report


def _describe_report(report: "FilterReport") -> list[str]:
    matches = report.benchmark_matches[:_NUM_EXAMPLES]
    return [
        f"{report.num_samples:,} samples, {report.num_kept:,} kept; asked: {', '.join(report.asked)}",
        *(f"  dropped {count:,}: {reason}" for reason, count in report.dropped.items()),
        *(f"  {kind}: {count:,}" for kind, count in report.duplicates.items()),
        *(f"  {name}: {kind} {item} ({score:.2f})" for name, kind, item, score in matches),
        f"written to {report.out_dir}" if report.out_dir else "nothing was written; name a directory with --out",
    ]


def make_negatives(
    out: Annotated[Path, typer.Option("--out", "-o", help="Run directory to write to.", metavar="DIR")],
    run: RunOption = None,
    share: Annotated[
        float, typer.Option("--share", help="Share of negatives in the run and its negatives together.")
    ] = 0.06,
    as_json: JsonOption = False,
) -> None:
    """Make questions that their picture cannot answer, with honest answers, from a run's verified samples.

    The result is a run directory of its own, to be mixed in as a source of training data.

    Example: stablellava negatives --run runs/demo --share 0.06 --out runs/demo-negatives
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import existing_run, save_config
    from stablellava.store.layout import RunLayout
    from stablellava.synthesis.hard_negatives import write_hard_negatives

    settings, layout = existing_run(run)
    target = RunLayout(out)
    report = write_hard_negatives(
        layout.data_dir, target.data_dir, share, settings.seed, settings.synthesis.capabilities
    )
    save_config(settings, target)
    lines = [f"{count:,} {kind}" for kind, count in report.by_kind.items()]
    print_result(report.model_dump(mode="json"), as_json, "\n".join([*lines, f"written to {report.out_dir}"]))


def _build_checks(language: str | None) -> "tuple[Check, ...]":
    from stablellava.filters.boilerplate import NoBoilerplate
    from stablellava.filters.keyword_in_prompt import KeywordInPrompt
    from stablellava.filters.language import InLanguage
    from stablellava.filters.text_length import TextLength
    from stablellava.filters.unsafe_prompt import SafePrompt

    checks: list[Check] = [SafePrompt(), KeywordInPrompt(), NoBoilerplate(), TextLength()]
    return (*checks, InLanguage(language)) if language else tuple(checks)


def _read_looks(words: list[str]) -> "VerifySettings | None":
    from pydantic import ValidationError

    from stablellava.cli.study import read_backend
    from stablellava.config.verifying import VerifySettings
    from stablellava.core.errors import ConfigError
    from stablellava.core.record import first_problem
    from stablellava.studies.planning import refuse_keys_in

    read = [read_backend(word) for word in words]
    try:
        looks = VerifySettings.model_validate({"checks": [{"check": one.backend, **one.options} for one in read]})
    except ValidationError as exc:
        raise ConfigError(f"--look {' '.join(words)}: {first_problem(exc)}") from exc
    refuse_keys_in(looks)
    return looks


def _seek_in_files(files: list[Path], near: float, as_json: bool) -> tuple[dict[str, Any], bool, str]:
    from stablellava.core.sample import Rejected
    from stablellava.store.imports import read_rows
    from stablellava.synthesis.duplicates import DuplicateFinder, TextPair, count_kinds

    pairs: list[TextPair] = []
    unreadable: list[str] = []
    for path in files:
        for row in read_rows(path, path.name.partition(".")[0], drop_duplicates=False).rows:
            if isinstance(row, Rejected):
                unreadable.append(f"{path.name}: {row.detail}")
            else:
                pairs.append(TextPair.from_draft(f"{path.name}:{row.number}", row.draft))
    found = DuplicateFinder(near).add(pairs)
    counts = count_kinds(found)
    lines = [
        f"{len(pairs):,} rows, {len(unreadable):,} unreadable",
        *(f"  {detail}" for detail in unreadable[:_NUM_EXAMPLES]),
        *(f"  {kind}: {count:,}" for kind, count in counts.items()),
        *(_describe(duplicate) for duplicate in found[:_NUM_EXAMPLES]),
    ]
    result = {
        "num_rows": len(pairs),
        "unreadable": unreadable,
        "duplicates": counts,
        "found": [duplicate.model_dump(mode="json") for duplicate in found],
    }
    return result, as_json, "\n".join(lines)


def _describe(duplicate: "Duplicate") -> str:
    return f"  {duplicate.name}: {duplicate.kind} of {duplicate.first} ({duplicate.overlap:.2f})"
