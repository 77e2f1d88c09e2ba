"""Small parts that all pages of the web app share: reading a query, sending a page, finding a picture."""

from pathlib import Path
from typing import Any

from aiohttp import web

from stablellava import __version__
from stablellava.core.errors import RecordError
from stablellava.store.images import image_path, read_picture
from stablellava.studio.rendering import render_page


def send_page(template: str, **context: Any) -> web.Response:
    """Return the rendered page as an answer."""
    return web.Response(text=render_page(template, version=__version__, **context), content_type="text/html")


def read_number(request: web.Request, name: str) -> int:
    """Return the query's number, counted from 1. Raises: HTTPBadRequest for anything else."""
    text = request.query.get(name, "1")
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise web.HTTPBadRequest(text=f"{name}={text!r} is no page; pages are counted from 1")
    return int(text)


class PictureShelf:
    """Pictures by the sha256 of their bytes: those of the run, and files that a page has shown."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._shown: dict[str, Path] = {}

    def show(self, path: Path) -> str:
        """Return the address of a picture file, or nothing if it is gone or no picture."""
        try:
            _, picture = read_picture(path, path.name)
        except (RecordError, OSError):
            return ""
        self._shown[picture.sha256] = path
        return address_of(picture.sha256)

    def find(self, sha256: str) -> Path:
        """Return the file. Raises: HTTPNotFound."""
        shown = self._shown.get(sha256)
        if shown is not None and shown.is_file():
            return shown
        try:
            return image_path(self._data_dir, sha256)
        except RecordError as exc:
            raise web.HTTPNotFound(text=f"no picture {sha256}") from exc


def address_of(sha256: str) -> str:
    """Return where a picture is served."""
    return f"/picture/{sha256}"
