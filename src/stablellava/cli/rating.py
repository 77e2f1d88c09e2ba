"""Verbs: study rate, study ratings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import JsonOption, RunOption

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stablellava.core.rating import RatingKey
    from stablellava.studies.rating_figures import Agreement, CheckFigures, GroupFigures, RaterFigures, RatingFigures

PlantedOption = Annotated[
    int, typer.Option("--planted", min=0, help="Further dialogues shown with a foreign picture, to see who looks.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Decides which pairs are drawn, and their order.")]


def rate(
    run: RunOption = None,
    num: Annotated[
        int, typer.Option("-n", "--num", min=1, help="Pairs of each source, evenly over its capabilities.")
    ] = 100,
    planted: PlantedOption = 10,
    refused: Annotated[
        int, typer.Option("--refused", min=0, help="Further pairs that the run's checks refused, to judge the checks.")
    ] = 0,
    mix_in: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Also pairs of this run, or of this LLaVA JSON; may be repeated.", metavar="PATH"),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Where the JSON's pictures lie; by default beside it.", metavar="DIR"),
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page; by default in the run's ratings/.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a page on which people rate whether picture and dialogue fit, and the key to it in a file of its own.

    The page is one file that needs no server and says nothing of where a pair is from. Send it to the raters, keep the
    key, and read what they send back with 'study ratings'.

    Example: stablellava study rate --run runs/demo -n 130 --planted 10 --with llava_instruct_150k.json --images coco
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import existing_run
    from stablellava.store.ratings import key_path, write_key
    from stablellava.studies.pair_sampling import OtherSource, draw_study
    from stablellava.studio.rating_page import write_rating_page

    _, layout = existing_run(run)
    others = [OtherSource(path, images) for path in mix_in or ()]
    study = draw_study(layout, num, num_planted=planted, num_refused=refused, others=others, seed=seed)
    key = study.key
    counts = _count(key, {"kept": num, "planted": planted, "refused": refused})
    page = write_rating_page(key.study_id, study.pairs, out or layout.root / "ratings" / f"{key.study_id}.html")
    secret = key_path(page.parent, page.stem)
    write_key(key, secret)
    told = ", ".join(f"{count} {origin}" for origin, count in counts.items() if count)
    result = {"page": str(page), "key": str(secret), "study_id": key.study_id, "pairs": counts}
    print_result(
        result, as_json, f"{len(key.pairs)} pairs: {told}", f"for the raters: {page}", f"for you alone: {secret}"
    )


def _count(key: "RatingKey", asked: dict[str, int]) -> dict[str, int]:
    """Return pairs by origin; say where there are fewer than asked for."""
    from typing import get_args

    from stablellava.cli.output import note
    from stablellava.core.rating import Origin

    counts = {origin: sum(pair.origin == origin for pair in key.pairs) for origin in get_args(Origin)}
    for origin, wanted in asked.items():
        if counts[origin] < wanted:
            note(f"asked for {wanted} {origin} pairs; the run has {counts[origin]} with their pictures for it")
    return counts


def ratings(
    files: Annotated[list[Path], typer.Argument(help="Ratings, one file per person.", metavar="FILE...")],
    key: Annotated[Path, typer.Option("--key", help="The key that was written with the page.", metavar="FILE")],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", help="Also write what 'calibrate --labels' takes: which samples are good.", metavar="FILE"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many pairs fit in the eyes of people, how far they agree, and how the automatic checks compare.

    Example: stablellava study ratings ann.jsonl ben.jsonl --key runs/demo/ratings/0f3c.key.json --labels labels.jsonl
    """
    import orjson

    from stablellava.cli.output import note, print_result
    from stablellava.store.files import write_atomic
    from stablellava.store.ratings import read_key, read_ratings
    from stablellava.studies.rating_figures import compute_figures, label_kept

    named = read_key(key)
    said = read_ratings(files, named)
    figures = compute_figures(named, said)
    if labels is not None:
        rows = label_kept(named, said)
        write_atomic(labels, b"".join(orjson.dumps(row) + b"\n" for row in rows))
        note(f"{len(rows)} labels: {labels}")
    print_result(figures.model_dump(mode="json"), as_json, *_describe(figures))


def _describe(figures: "RatingFigures") -> "list[RenderableType]":
    from stablellava.cli.tables import text_table

    shown: list[RenderableType] = [
        text_table(
            ("source", "capability", "rated", "unrated", "aligned", "95 %", "partly", "good picture", "95 %"),
            [_group_row(group) for group in figures.groups],
            "What people say; planted pairs are left out",
        ),
        text_table(
            ("rater", "rated", "unrated", "planted seen", "called no", "95 %", "called partly"),
            [_rater_row(rater) for rater in figures.raters],
            "Raters",
        ),
    ]
    if figures.agreement:
        shown.append(
            text_table(
                ("raters", "question", "pairs", "agree", "kappa", "by"),
                [_agreement_row(agreement) for agreement in figures.agreement],
                "Agreement on pairs that all of these rated",
            )
        )
    if figures.checks:
        shown.append(
            text_table(
                ("check", "aligned", "not", "not: refused", "95 %", "aligned: refused", "95 %", "precision", "ranking"),
                [_check_row(check) for check in figures.checks],
                "Checks against people: what they refused of pairs that people call aligned, and of those they do not",
            )
        )
    else:
        shown.append("No check left a score and no refused pair was rated: nothing to hold the checks against.")
    return shown


def _group_row(group: "GroupFigures") -> tuple[str, ...]:
    return (
        group.source if group.origin == "other" else f"{group.source}, {group.origin}",
        group.capability or "-",
        str(group.num_pairs - group.num_unrated),
        str(group.num_unrated),
        _percent(group.aligned.value),
        _range(group.aligned.low, group.aligned.high, group.aligned.of),
        str(group.num_partly),
        _percent(group.good_pictures.value),
        _range(group.good_pictures.low, group.good_pictures.high, group.good_pictures.of),
    )


def _rater_row(rater: "RaterFigures") -> tuple[str, ...]:
    found = rater.planted_found
    return (
        rater.rater,
        str(rater.num_rated),
        str(rater.num_unrated),
        str(found.of),
        str(found.num),
        _range(found.low, found.high, found.of),
        str(rater.num_planted_partly),
    )


def _agreement_row(agreement: "Agreement") -> tuple[str, ...]:
    return (
        ", ".join(agreement.raters),
        agreement.question,
        str(agreement.num_pairs),
        _percent(agreement.observed),
        "-" if agreement.kappa is None else f"{agreement.kappa:.2f}",
        agreement.measure,
    )


def _check_row(check: "CheckFigures") -> tuple[str, ...]:
    measured = check.at_its_threshold
    return (
        check.name,
        str(measured.num_good),
        str(measured.num_bad),
        _percent(measured.recall if measured.num_bad else None),
        _range(*measured.recall_interval, measured.num_bad),
        _percent(measured.false_drops if measured.num_good else None),
        _range(*measured.false_drops_interval, measured.num_good),
        _percent(measured.precision),
        "-" if check.ranking is None else f"{check.ranking:.2f}",
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _range(low: float, high: float, num: int) -> str:
    return f"{100 * low:.0f}-{100 * high:.0f}" if num else "-"
