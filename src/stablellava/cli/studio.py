"""Verb: studio."""

from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import JsonOption, OpenOption, RunOption
from stablellava.cli.rating import PlantedOption, SeedOption

if TYPE_CHECKING:
    from aiohttp.web import Application

    from stablellava.store.layout import RunLayout


def studio(
    run: RunOption = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 8517,
    num: Annotated[int, typer.Option("-n", "--num", min=1, help="Pairs to rate, evenly over capabilities.")] = 100,
    planted: PlantedOption = 10,
    seed: SeedOption = 0,
    open_page: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Look at a run in the browser: browse samples and rejects, rate pairs, compare two models, ask one.

    Serves this machine only, until Ctrl-C. Ratings are kept in the run and read with 'study ratings'.

    Example: stablellava studio --run runs/demo
    """
    import webbrowser

    from stablellava.cli.output import note, print_result
    from stablellava.cli.runs import existing_run
    from stablellava.studio.web.serving import serve_studio

    _, layout = existing_run(run)
    app = _build(layout, num, planted, seed)

    def tell(address: str) -> None:
        print_result({"url": address}, as_json, address)
        note("Ctrl-C ends it")
        if open_page and not as_json:
            webbrowser.open(address)

    try:
        serve_studio(app, port, tell)
    except KeyboardInterrupt:
        note("ended; ratings are kept in the run")


def _build(layout: "RunLayout", num: int, planted: int, seed: int) -> "Application":
    from stablellava.core.errors import UserError
    from stablellava.store.ratings import key_path, write_key
    from stablellava.studies.pair_sampling import draw_study
    from stablellava.studio.web.serving import build_studio

    try:
        study = draw_study(layout, num, num_planted=planted, seed=seed)
    except UserError as exc:  # a run without pairs can still be looked at; the page says why none can be rated
        return build_studio(layout, None, (), str(exc))
    write_key(study.key, key_path(layout.root / "ratings", study.key.study_id))
    return build_studio(layout, study.key, study.pairs)
