"""What every request must be, and what every answer says to the browser.

The server listens on loopback, which does not keep web pages out: any page that is open in the browser may send
requests to it, and a foreign name may be made to point to 127.0.0.1. So the Host must be a loopback name, whoever
changes something must come from a page of ours, and no answer lets a script run.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from stablellava import __version__
from stablellava.core.errors import UserError
from stablellava.studio.rendering import render_page

LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost", "::1"})
_READING = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it browsers hide the Origin of our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse strangers, answer the user's mistakes with a page, and add the headers to everything."""
    try:
        _refuse_strangers(request)
        response = await handler(request)
    except web.HTTPException as exc:
        exc.headers.update(_HEADERS)
        raise
    except UserError as exc:
        page = render_page("web_problem.html.j2", title="This did not work", problem=str(exc), version=__version__)
        response = web.Response(text=page, content_type="text/html", status=web.HTTPBadRequest.status_code)
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _refuse_strangers(request: web.Request) -> None:
    host = request.headers.get("Host", "")
    if _hostname(host) not in _LOOPBACK_NAMES:
        raise web.HTTPMisdirectedRequest(text=f"Host {host!r} is not this machine: open http://{LOOPBACK} instead")
    if request.method not in _READING and request.headers.get("Origin") != f"http://{host}":
        raise web.HTTPForbidden(text="this form was not sent by a page of the studio; open the page and send it there")


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
