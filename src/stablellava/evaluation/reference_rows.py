"""Published figures to stand beside ours, where they were measured by the same protocol."""

from functools import lru_cache
from importlib.resources import files

import yaml

from stablellava.core.record import Record
from stablellava.core.score import TaskLog, TaskLogHeader

_FILE = "reference_rows.yaml"


class PublishedFigure(Record):
    """One published figure, in the unit of its source."""

    task: str
    variant: str
    split: str = ""
    """Of the benchmark's data; empty where there is only one."""
    report: str = ""
    """Part of the figure's name after the variant; empty for the headline."""
    judge: str = ""
    """Model that judged; figures of two judges do not compare."""
    num_items: int | tuple[int, ...] | None = None
    """Of how many items it is, or of how many it may be, where that is known."""
    value: float

    def fits(self, num_items: int) -> bool:
        """Return whether a benchmark of so many items may be the one it was measured on."""
        allowed = (self.num_items,) if isinstance(self.num_items, int) else self.num_items
        return allowed is None or num_items in allowed


class ReferenceRow(Record):
    """What a source gives for one model."""

    model: str
    training: str
    source: str
    figures: tuple[PublishedFigure, ...]

    @property
    def name(self) -> str:
        return f"{self.model} ({self.training})"


@lru_cache
def load_reference_rows() -> tuple[ReferenceRow, ...]:
    """Return every row of the package, its source spelled out."""
    content = yaml.safe_load(files("stablellava.evaluation").joinpath(_FILE).read_text(encoding="utf-8"))
    sources = content["sources"]
    return tuple(ReferenceRow.model_validate({**row, "source": sources[row["source"]]}) for row in content["rows"])


def name_in_log(name: str, header: TaskLogHeader) -> str:
    """Return the part of a figure's name after task and variant, "" for the headline."""
    return name.removeprefix(f"{header.task}:{header.variant}").removeprefix("/")


def matching_rows(log: TaskLog) -> tuple[ReferenceRow, ...]:
    """Return the rows that may stand beside a log, cut to the figures of its task, variant, split and size.

    None may where questions were left out: part of a benchmark is another benchmark.
    """
    header = log.header
    if header.limit is not None or header.left_out:
        return ()
    splits = {entry.item.fields.get("split", "") for entry in log.entries}
    num_items = {name_in_log(report.name, header): report.num_items for report in header.reports}
    rows = []
    for row in load_reference_rows():
        figures = tuple(
            figure
            for figure in row.figures
            if (figure.task, figure.variant) == (header.task, header.variant)
            and (not figure.split or splits == {figure.split})
            and figure.judge == header.judge
            and figure.report in num_items
        )
        # Where one figure is of another size, the file is another one, whatever the size of its parts.
        if figures and all(figure.fits(num_items[figure.report]) for figure in figures):
            rows.append(row.model_copy(update={"figures": figures}))
    return tuple(rows)
