"""A page with the pictures of two painters side by side."""

from collections.abc import Sequence
from pathlib import Path

from stablellava import __version__
from stablellava.core.sample import Rejected, Sample
from stablellava.evaluation.tables import Table
from stablellava.store.files import write_atomic
from stablellava.studio.gallery import SampleView, view_sample
from stablellava.studio.pictures import to_data_uri
from stablellava.studio.rendering import render_page

_MAX_SIDE_PX = 320

Shown = tuple[Sample | Rejected, Sequence[bytes]]


def write_painter_pairs(
    names: tuple[str, str], tables: Sequence[Table], pairs: Sequence[tuple[Shown, Shown]], path: Path
) -> Path:
    """Write the tables and the pairs, one row per draft; return the path.

    Raises: RecordError if a picture cannot be decoded or the page cannot be written.
    """
    page = render_page(
        "painter_pairs.html.j2",
        title=f"{names[0]} and {names[1]}",
        names=names,
        tables=tables,
        pairs=[(_view(first), _view(second)) for first, second in pairs],
        version=__version__,
    )
    write_atomic(path, page.encode("utf-8"))
    return path


def _view(shown: Shown) -> SampleView:
    outcome, images = shown
    assert outcome.draft is not None
    uris = [to_data_uri(image, outcome.draft.draft_id, _MAX_SIDE_PX) for image in images]
    why = (outcome.reason, outcome.detail) if isinstance(outcome, Rejected) else ("", "")
    paintings = outcome.paintings[: len(uris)]
    return view_sample(outcome.draft, paintings, uris, outcome.verdicts, reason=why[0], detail=why[1])
