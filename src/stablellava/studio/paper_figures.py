"""The paper's result figures and tables, drawn again from evaluation logs.

- capabilities: per ability, generated pictures and photos (2308.10253v1, figure 6);
- MMBench by its six abilities, radar and table (v2, first result figure);
- VizWiz, MM-Vet, MME and MMBench side by side (v2, second result figure).

Departs: every figure has its 95 % interval, and nothing is drawn that has no figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from stablellava.core.errors import RecordError
from stablellava.core.score import EvalLog, TaskLog, TaskReport
from stablellava.evaluation.capability_benchmark import read_log
from stablellava.evaluation.log import is_task_log, read_task_log
from stablellava.evaluation.reference_rows import name_in_log
from stablellava.evaluation.reporting import capability_reports, mean_report
from stablellava.evaluation.tables import Table, format_interval, format_percent
from stablellava.evaluation.task_tables import format_value, is_points, reference_table
from stablellava.store.files import write_atomic
from stablellava.studio.charts import RadarSeries, radar_chart
from stablellava.studio.interval_chart import ChartRow, ChartValue, interval_chart
from stablellava.studio.svg import element, join

_SUITES = ("generated", "photos")
_ABILITIES = ("LR", "AR", "RR", "FP-S", "FP-C", "CP")
"""In the paper's order."""
_MAX_PERCEPTION = 2000.0
_COLORS = ("#8a8578", "#0f6e68", "#b3402e", "#35589c", "#a06a00", "#6f4a8e")
_BASE_STYLE = """
svg { background: #fff; font-family: sans-serif; font-size: 13px; }
text { fill: #23211d; } .tick { font-size: 11px; fill: #6b665c; }
.ring, .spoke, .rule { fill: none; stroke: #dcd8ce; }
.area { fill-opacity: .12; stroke-width: 2; stroke-linejoin: round; } .whisker { stroke-width: 2; }
"""


@dataclass(frozen=True)
class PaperFigures:
    """What a set of logs gives: drawings by file name, tables, and what is still missing."""

    drawings: dict[str, Markup]
    tables: tuple[Table, ...]
    missing: tuple[str, ...]


def draw_paper_figures(paths: Sequence[Path]) -> PaperFigures:
    """Draw what the logs give, models in the order of the logs.

    Raises: RecordError if no figure can be drawn, a log is none, or two logs are of one model and task, or of one
    task's different data.
    """
    logs = _read_logs(paths)
    drawings: dict[str, Markup] = {}
    tables: list[Table] = []
    missing: list[str] = []
    for suite in _SUITES:
        chosen = {model: log for (task, model), log in logs.items() if task == suite}
        _add_radar(drawings, missing, f"capabilities_{suite}", {m: _capabilities(log) for m, log in chosen.items()})
        if chosen:
            tables.append(_capability_table(suite, chosen))
    benchmarks = {key: log for key, log in logs.items() if isinstance(log, TaskLog) and key[0] not in _SUITES}
    mmbench = {model: log for (task, model), log in benchmarks.items() if task == "mmbench"}
    abilities = {model: _abilities(log) for model, log in mmbench.items()}
    _add_radar(drawings, missing, "mmbench_abilities", abilities)
    if mmbench:
        tables.append(_ability_table(abilities))
    if benchmarks:
        drawings["benchmarks"] = _draw_benchmarks(benchmarks)
        tables.extend(table for log in benchmarks.values() if (table := reference_table(log)))
    else:
        missing.append("benchmarks: no log of a benchmark")
    if not drawings:
        raise RecordError(f"no figure can be drawn from these logs: {'; '.join(missing)}")
    return PaperFigures(drawings, tuple(tables), tuple(missing))


def write_paper_figures(figures: PaperFigures, folder: Path) -> list[Path]:
    """Write a drawing a file, the tables as text, and a page that shows all; return their paths."""
    files = {f"{name}.svg": str(drawing) for name, drawing in figures.drawings.items()}
    files["tables.txt"] = "\n".join(table.to_text() for table in figures.tables)
    files["index.html"] = _render_page(figures)
    for name, text in files.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in files]


_Log = EvalLog | TaskLog


def _read_logs(paths: Sequence[Path]) -> dict[tuple[str, str], _Log]:
    """Return logs by task and model."""
    logs: dict[tuple[str, str], _Log] = {}
    data: dict[str, tuple[str, Path]] = {}
    for path in paths:
        log: _Log = read_task_log(path) if is_task_log(path) else read_log(path)
        if isinstance(log, TaskLog):
            task, protocol, model = log.header.task, log.header.variant, log.header.model
            print_ = log.header.data_fingerprint
        else:
            task, protocol, model, print_ = log.suite, "", log.model, log.data_fingerprint
        if (task, model) in logs:
            raise RecordError(f"{path}: an earlier log is of {task!r} and model {model!r} too; give one of them")
        known, first = data.setdefault(task, (print_ + protocol, path))
        if known != print_ + protocol:
            raise RecordError(f"{path} and {first} are of other questions or another variant; figures do not compare")
        logs[task, model] = log
    return logs


def _capabilities(log: _Log) -> dict[str, TaskReport]:
    if isinstance(log, EvalLog):
        return capability_reports(log)
    names = {entry.item.group for entry in log.entries}
    return {name: report for report in log.header.reports if (name := name_in_log(report.name, log.header)) in names}


def _abilities(log: TaskLog) -> dict[str, TaskReport]:
    found = {name_in_log(report.name, log.header): report for report in log.header.reports}
    return {ability: found[f"L2/{ability}"] for ability in _ABILITIES if f"L2/{ability}" in found}


def _add_radar(
    drawings: dict[str, Markup], missing: list[str], name: str, reports: Mapping[str, Mapping[str, TaskReport]]
) -> None:
    """Draw the axes for which every model has a figure, if there are three."""
    if not reports:
        missing.append(f"{name}: no log of it")
        return
    shares = [{a: r.value for a, r in of_model.items() if r.value is not None} for of_model in reports.values()]
    axes = [axis for axis in shares[0] if all(axis in share for share in shares)]
    series = [
        RadarSeries(model, tuple(share[axis] for axis in axes), f"series-{index}")
        for index, (model, share) in enumerate(zip(reports, shares, strict=True))
    ]
    drawing = radar_chart(axes, series)
    if drawing is None:
        missing.append(f"{name}: fewer than three axes have a figure for every model")
    else:
        drawings[name] = _stand_alone(drawing, list(reports))


def _draw_benchmarks(logs: Mapping[tuple[str, str], _Log]) -> Markup:
    models = list(dict.fromkeys(model for _, model in logs))
    rows: dict[str, list[ChartValue]] = {}
    for (_, model), log in logs.items():
        if isinstance(log, TaskLog):
            headline = log.header.reports[0]
            top = _MAX_PERCEPTION if is_points(headline) else 1.0
            if headline.value is not None and headline.ci_low is not None and headline.ci_high is not None:
                shares = (headline.value / top, headline.ci_low / top, headline.ci_high / top)
                value = ChartValue(models.index(model), *shares, label=format_value(headline))
                rows.setdefault(headline.name, []).append(value)
    chart = interval_chart([ChartRow(name, tuple(values)) for name, values in rows.items()])
    return _stand_alone(chart, models)


def _ability_table(abilities: Mapping[str, Mapping[str, TaskReport]]) -> Table:
    names = [ability for ability in _ABILITIES if any(ability in reports for reports in abilities.values())]
    rows = tuple((model, *(_cell(reports.get(name)) for name in names)) for model, reports in abilities.items())
    return Table("MMBench by ability, percent (95 % interval)", ("model", *names), rows)


def _capability_table(suite: str, logs: Mapping[str, _Log]) -> Table:
    reports = {model: {**_capabilities(log), "mean": _mean(log)} for model, log in logs.items()}
    names = dict.fromkeys(name for of_model in reports.values() for name in of_model)
    rows = tuple((name, *(_cell(of_model.get(name)) for of_model in reports.values())) for name in names)
    return Table(f"Capabilities, {suite}, percent (95 % interval)", ("capability", *reports), rows)


def _mean(log: _Log) -> TaskReport:
    return mean_report(log) if isinstance(log, EvalLog) else log.header.reports[0]


def _cell(report: TaskReport | None) -> str:
    if report is None or report.value is None:
        return "-"
    return f"{format_percent(report.value)} ({format_interval(report.ci_low, report.ci_high)})"


def _stand_alone(drawing: Markup, models: Sequence[str]) -> Markup:
    """Return a drawing with its own colors and a legend, so that it needs no page around it."""
    rules = "".join(
        f".area.series-{i} {{ fill: {c}; stroke: {c} }} .dot.series-{i} {{ fill: {c} }} "
        f".whisker.series-{i} {{ stroke: {c} }} "
        for i, c in enumerate(_COLORS[index % len(_COLORS)] for index in range(len(models)))
    )
    legend = join(_legend_entry(index, model) for index, model in enumerate(models))
    opening, _, rest = str(drawing).partition(">")
    inner = rest.removesuffix("</svg>")
    # All of it was escaped when it was drawn; only our own style is added.
    return Markup(f"{opening}><style>{_BASE_STYLE}{rules}</style>{inner}{legend}</svg>")  # noqa: S704


def _legend_entry(index: int, model: str) -> Markup:
    y = 14 + 17 * index
    return element("circle", cx=10, cy=y - 4, r=5, class_=f"dot series-{index}") + element("text", model, x=20, y=y)


def _render_page(figures: PaperFigures) -> str:
    parts: list[Markup] = [element("h1", "Result figures")]
    for name in figures.drawings:
        parts += [element("h2", name.replace("_", " ")), element("img", src=f"{name}.svg", alt=name, width=680)]
    for table in figures.tables:
        head = join(element("th", header) for header in table.headers)
        body = _rows(table.rows)
        parts += [element("h2", table.title), element("table", element("tr", head), body)]
        parts += [element("p", note) for note in table.notes]
    parts += [element("p", f"Not drawn: {text}.") for text in figures.missing]
    style = (
        "body { font: 15px sans-serif; margin: min(2em, 4vw); } img { max-width: 100%; height: auto; } "
        "td, th { padding: 2px 10px; text-align: left; } table { display: block; overflow-x: auto; } "
        "td { white-space: nowrap; }"
    )
    head = element("meta", charset="utf-8")
    head += element("meta", name="viewport", content="width=device-width, initial-scale=1")
    head += element("title", "Result figures") + element("style", style)
    return f'<!doctype html>\n<html lang="en">{element("head", head)}{element("body", *parts)}</html>\n'


def _rows(rows: Iterable[Sequence[str]]) -> Markup:
    return join(element("tr", join(element("td", cell) for cell in row)) for row in rows)
