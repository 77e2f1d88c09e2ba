"""A page on which people rate pairs of picture and dialogue: one file that needs no server.

The one script of the page is known to its policy by hash; it reads nothing but the page and keeps the answers in the
browser until they are saved as a file.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from stablellava import __version__
from stablellava.core.draft import Turn
from stablellava.core.rating import PairToRate
from stablellava.store.files import write_atomic
from stablellava.studio.pictures import to_data_uri
from stablellava.studio.rendering import render_page

_MAX_SIDE_PX = 512


@dataclass(frozen=True)
class _Shown:
    pair_id: str
    uris: tuple[str, ...]
    turns: tuple[Turn, ...]


def write_rating_page(study_id: str, pairs: Sequence[PairToRate], path: Path) -> Path:
    """Write the page; return its path.

    Raises: RecordError if a picture cannot be decoded or the page cannot be written.
    """
    script = resources.files("stablellava.studio").joinpath("templates", "rating.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    page = render_page(
        "rating.html.j2",
        title="Do picture and dialogue fit?",
        study_id=study_id,
        pairs=[_show(pair) for pair in pairs],
        script=Markup(script),  # noqa: S704
        script_policy=f"script-src 'sha256-{digest}'",
        version=__version__,
    )
    write_atomic(path, page.encode("utf-8"))
    return path


def _show(pair: PairToRate) -> _Shown:
    # Encoded anew, so that neither the format nor what a camera wrote into the file tells where it is from.
    uris = tuple(to_data_uri(path.read_bytes(), path.name, _MAX_SIDE_PX) for path in pair.pictures)
    return _Shown(pair.pair_id, uris, pair.turns)
