"""A small page with a few samples side by side."""

from collections.abc import Sequence
from pathlib import Path

from stablellava import __version__
from stablellava.core.sample import Sample
from stablellava.store.files import write_atomic
from stablellava.studio.gallery import view_sample
from stablellava.studio.pictures import to_data_uri
from stablellava.studio.rendering import render_page

_MAX_SIDE_PX = 512


def write_preview(samples: Sequence[tuple[Sample, Sequence[bytes]]], path: Path) -> Path:
    """Write a page that shows samples with their pictures (encoded, one per painting); return its path.

    Raises: RecordError if a picture cannot be decoded or the page cannot be written.
    """
    cards = [
        view_sample(
            sample.draft,
            sample.paintings,
            [to_data_uri(data, sample.sample_id, _MAX_SIDE_PX) for data in pictures],
            sample.verdicts,
        )
        for sample, pictures in samples
    ]
    capabilities = ", ".join(dict.fromkeys(card.capability for card in cards))
    page = render_page("preview.html.j2", title=capabilities or "nothing", cards=cards, version=__version__)
    write_atomic(path, page.encode("utf-8"))
    return path
