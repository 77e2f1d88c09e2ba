"""A page of planted mismatches: what the checks found, what they let pass, and what they would have lost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stablellava import __version__
from stablellava.core.sample import Sample
from stablellava.evaluation.tables import Table
from stablellava.store.files import write_atomic
from stablellava.studio.gallery import view_stored_sample
from stablellava.studio.rendering import render_page


def write_mismatch_page(
    words: str, table: Table, examples: Mapping[str, Sequence[Sample]], data_dir: Path, path: Path
) -> Path:
    """Write figures and samples, one group per title; return the path.

    Raises: RecordError if the page cannot be written.
    """
    groups = [
        (title, [view_stored_sample(sample, data_dir) for sample in samples]) for title, samples in examples.items()
    ]
    page = render_page(
        "mismatch.html.j2",
        title="Does the picture belong to its dialogue?",
        words=words,
        table=table,
        groups=groups,
        version=__version__,
    )
    write_atomic(path, page.encode("utf-8"))
    return path
