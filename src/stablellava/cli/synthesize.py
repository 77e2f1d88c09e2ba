"""Verbs: synthesize, preview."""

from typing import TYPE_CHECKING, Annotated

import typer

from stablellava.cli.options import ConfigOption, JsonOption, OpenOption, Overrides, PresetOption, RunOption

if TYPE_CHECKING:
    from stablellava.config.tree import RunConfig
    from stablellava.synthesis.reporting import SynthesisReport

_COLLECT_AFTER = (20_000, 20, 50)


def synthesize(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    run: RunOption = None,
    max_calls: Annotated[
        int | None,
        typer.Option(
            "--max-calls",
            min=0,
            help="Stop before the chat model that writes is called more often; no judge is counted.",
        ),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, help="Stop before its calls cost more; needs prices.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the samples of a run, or go on where it was interrupted.

    Example: stablellava synthesize --run runs/colors synthesis.capabilities=color,hair seed=1

    Example: stablellava synthesize --preset chat --max-calls 500 synthesis.writer.options.model=gpt-4o-mini
    """
    import gc
    import os

    # Arrow's own pool holds on to what it took; a run that writes small shards for hours has no use for that. Some of
    # Arrow asks for the pool by this name alone, once, when it is loaded.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

    from stablellava.cli.output import print_result
    from stablellava.cli.progress import show_progress
    from stablellava.cli.runs import open_run, save_config
    from stablellava.cli.tables import spending_table, synthesis_table
    from stablellava.studies.planning import check_names
    from stablellava.synthesis.synthesizing import synthesize as run_synthesis

    limits = [("max_calls", max_calls), ("max_cost", max_cost)]
    limited = [f"synthesis.spending.{name}={value}" for name, value in limits if value is not None]
    settings, layout = open_run(config, preset, run, [*(overrides or ()), *limited])
    check_names(settings)
    if limited:
        _refuse_idle_limits(settings)
    save_config(settings, layout)
    # What a draft leaves behind is free without the collector, which by default takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    with show_progress("synthesize") as bar:
        report = run_synthesis(settings, layout, bar.show_synthesis)
    tables = [synthesis_table(report), *([spending_table(report)] if report.spending is not None else [])]
    print_result(report.model_dump(mode="json"), as_json, *tables)
    _note_what_is_missing(report)


def _refuse_idle_limits(settings: "RunConfig") -> None:
    """Raise ConfigError for limits on calls that nobody makes."""
    from stablellava.core.errors import ConfigError
    from stablellava.synthesis.chat_drafting.room import is_chat

    writer = settings.synthesis.writer
    if not is_chat(writer):
        raise ConfigError(
            f"--max-calls and --max-cost are about a chat model that writes, and writer {writer.backend!r} is none; "
            "leave them out"
        )


def _note_what_is_missing(report: "SynthesisReport") -> None:
    from stablellava.cli.output import note

    for line in report.notes:
        note(line)
    for capability, why in report.unfilled.items():
        note(f"not filled: {capability}: {why}")
    for cell in report.shortfalls:
        note(f"target not met: {cell.capability}: {cell.words}")
    if report.stopped:
        note(
            f"stopped, not complete: {report.stopped}. What is done is kept, answers without a shard are in the cache; "
            "the same command goes on from there"
        )


def preview(
    overrides: Overrides = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    capability: Annotated[str, typer.Option("--capability", "-k", help="What to make samples of.")] = "animal",
    num: Annotated[int, typer.Option("-n", "--num", min=1, max=64, help="How many samples.")] = 4,
    show_request: Annotated[
        bool, typer.Option("--show-request", help="Print the messages a chat model would get; ask nobody.")
    ] = False,
    open_page: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Make a few samples and open them as a page: picture, prompt, dialogue and verdicts.

    Example: stablellava preview -n 4 --capability abnormal

    Example: stablellava preview --preset chat -n 1 --capability story --show-request
    """
    import webbrowser

    from stablellava.capabilities import load_capability
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import RUNS_DIR, open_run
    from stablellava.studies.planning import check_names
    from stablellava.studio.preview import write_preview
    from stablellava.synthesis.previewing import preview as make_preview

    settings, _ = open_run(config, preset, None, [*(overrides or ()), f"synthesis.capabilities={capability}"])
    check_names(settings)
    if show_request:
        _print_requests(settings, capability, num, as_json)
        return
    samples = make_preview(settings, capability, num)
    path = RUNS_DIR / "preview" / f"{load_capability(capability).name}.html"
    write_preview([(made.sample, made.images) for made in samples], path)
    print_result({"page": str(path), "num_samples": len(samples)}, as_json, str(path))
    if open_page and not as_json:
        webbrowser.open(path.resolve().as_uri())


def _print_requests(settings: "RunConfig", capability: str, num: int, as_json: bool) -> None:
    import orjson

    from stablellava.cli.output import print_result
    from stablellava.core.errors import ConfigError
    from stablellava.synthesis.chat_drafting.predicting import show_requests
    from stablellava.synthesis.chat_drafting.room import is_chat

    if not is_chat(settings.synthesis.writer):
        raise ConfigError(
            f"writer {settings.synthesis.writer.backend!r} is no chat model and gets no messages. "
            "Name one: --preset chat, or synthesis.writer.backend=fake-chat"
        )
    requests = show_requests(settings, capability, num)
    lines: list[str] = []
    for request in requests:
        lines.append(f"==== {request.request_id}  (temperature {request.temperature:g}, seed {request.seed})")
        lines += [f"[{message.role}]\n{message.text}\n" for message in request.messages]
        lines.append(f"[answer held to] {orjson.dumps(request.json_schema).decode()}\n")
    shown = {"requests": [request.model_dump(mode="json") for request in requests]}
    print_result(shown, as_json, "\n".join(lines))
