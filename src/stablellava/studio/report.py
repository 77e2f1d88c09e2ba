"""The static report of a run: one HTML file that opens from disk."""

from collections.abc import Sequence
from pathlib import Path

from stablellava import __version__
from stablellava.store.files import write_atomic
from stablellava.store.layout import RunLayout
from stablellava.studio.making_of import view_coverage, view_gallery, view_rejects, view_timing, view_training
from stablellava.studio.quality import view_quality
from stablellava.studio.reading import RunContents, read_run
from stablellava.studio.rendering import format_seconds, render_page
from stablellava.studio.results import GENERATED, headline, view_examples, view_gap, view_suite
from stablellava.studio.task_results import view_tasks
from stablellava.studio.variety import view_variety


def write_report(layout: RunLayout, path: Path | None = None, *, task_logs: Sequence[Path] = ()) -> Path:
    """Write the report and return its path, by default the layout's.

    Parts that the run does not have yet are named in their place. ``task_logs`` are logs of benchmarks that lie
    elsewhere than in the run.

    Raises: RecordError when the disk is full or the folder may not be written to, or a named log cannot be read.
    """
    run = read_run(layout, task_logs)
    target = path or layout.report_path
    write_atomic(target, _render(run).encode("utf-8"))
    return target


def _render(run: RunContents) -> str:
    generated = run.logs.get(GENERATED, {})
    real = {suite: logs for suite, logs in run.logs.items() if suite != GENERATED}
    return render_page(
        "report.html.j2",
        title=run.config.name if run.config else run.layout.root.resolve().name,
        facts=_facts(run),
        headline=headline(generated) if generated else (),
        generated=view_suite(GENERATED, generated) if generated else None,
        real=[(view_suite(suite, logs), view_gap(generated, logs)) for suite, logs in real.items()],
        tasks=view_tasks(run.task_logs),
        gallery=view_gallery(run.samples, run.layout.data_dir),
        rejects=view_rejects(run.rejects, run.layout.data_dir),
        num_rejected=run.rejects.num_rejected,
        quality=view_quality(run.quality, run.layout.data_dir),
        coverage=view_coverage(run.coverage),
        variety=view_variety(run.rounds),
        stages=view_training(run),
        examples={suite: view_examples(logs, run.layout) for suite, logs in run.logs.items()},
        phases=view_timing(run.seconds),
        contamination=run.contamination,
        missing=run.missing,
        attribution=run.manifest.attribution if run.manifest else "",
        version=__version__,
    )


def _facts(run: RunContents) -> list[tuple[str, str]]:
    facts = []
    if run.samples.num_samples:
        candidates = run.samples.num_samples + run.rejects.num_rejected
        facts += [
            ("samples", f"{run.samples.num_samples:,}"),
            ("pictures", f"{run.samples.num_pictures:,}"),
            ("capabilities", str(len(run.samples.one_per_keyword))),
            ("dropped", f"{run.rejects.num_rejected:,} ({100 * run.rejects.num_rejected / candidates:.1f} %)"),
        ]
    if run.config:
        synthesis, model = run.config.synthesis, run.config.training.model
        facts += [
            ("writer", synthesis.writer.backend),
            ("painter", synthesis.painter.backend if synthesis.painter else "none"),
            ("vision tower", model.tower),
            ("language model", model.language_model),
            ("seed", str(run.config.seed)),
        ]
    if run.manifest:
        facts.append(("data fingerprint", run.manifest.fingerprint[:12]))
    if run.seconds:
        facts.append(("time taken", format_seconds(run.seconds.get("total") or sum(run.seconds.values()))))
    dates = [log.created[:10] for logs in run.logs.values() for log in logs.values()]
    if dates:
        facts.append(("last evaluated", max(dates)))
    return facts
