"""The web app: browse, rate, compare, chat, on loopback and without a script."""

import asyncio
import errno
from collections.abc import Callable, Sequence
from importlib import resources

from aiohttp import web

from stablellava.core.errors import ConfigError
from stablellava.core.rating import PairToRate, RatingKey
from stablellava.store.layout import RunLayout
from stablellava.studio.web.answering import PictureShelf, send_page
from stablellava.studio.web.browsing import BrowsePage, RunShelf
from stablellava.studio.web.chatting import ChatPage
from stablellava.studio.web.comparing import ComparePage
from stablellava.studio.web.guarding import LOOPBACK, Handler, guard
from stablellava.studio.web.rating import RatePage

_MAX_FORM_BYTES = 64 * 1024
_CACHED = "private, max-age=31536000, immutable"


def build_studio(
    layout: RunLayout, key: RatingKey | None, pairs: Sequence[PairToRate], why_no_study: str = ""
) -> web.Application:
    """Return the app of a run. Without a key nothing can be rated, and the page says why."""
    pictures = PictureShelf(layout.data_dir)
    app = web.Application(middlewares=[guard], client_max_size=_MAX_FORM_BYTES)
    app.router.add_get("/", BrowsePage(RunShelf(layout.data_dir), layout.root.resolve().name).get)
    app.router.add_get("/compare", ComparePage(layout, pictures).get)
    chat = ChatPage(layout, pictures)
    app.router.add_get("/chat", chat.get)
    app.router.add_post("/chat", chat.post)
    if key is None:
        app.router.add_get("/rate", _say_why(why_no_study))
    else:
        rate = RatePage(layout.root / "ratings", key, pairs, pictures)
        app.router.add_get("/rate", rate.get, name="rate")
        app.router.add_post("/rate", rate.post)
    app.router.add_get("/picture/{sha256:[0-9a-f]{64}}", _send_picture(pictures))
    app.router.add_get("/style.css", _send_style)
    return app


def serve_studio(app: web.Application, port: int, tell: Callable[[str], None]) -> None:
    """Serve until interrupted; ``tell`` gets the address. Port 0 takes any that is free.

    Raises: ConfigError if the port is taken.
    """
    asyncio.run(_serve(app, port, tell))


async def _serve(app: web.Application, port: int, tell: Callable[[str], None]) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, LOOPBACK, port).start()
        except OSError as exc:
            if exc.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise ConfigError(f"--port {port}: {exc.strerror}; name another, or 0 for any that is free") from exc
        tell(f"http://{LOOPBACK}:{runner.addresses[0][1]}/")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _say_why(problem: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return send_page("web_problem.html.j2", title="Nothing to rate", problem=problem)

    return answer


def _send_picture(pictures: PictureShelf) -> Handler:
    async def answer(request: web.Request) -> web.FileResponse:
        path = pictures.find(request.match_info["sha256"])
        return web.FileResponse(path, headers={"Cache-Control": _CACHED})

    return answer


async def _send_style(_: web.Request) -> web.Response:
    style = resources.files("stablellava.studio").joinpath("templates", "style.css").read_text(encoding="utf-8")
    return web.Response(text=style, content_type="text/css")
