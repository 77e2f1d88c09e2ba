"""Turning templates into one self-contained page.

Everything that a user or a model wrote is escaped by the template engine; should that ever fail, the
page's policy still lets nothing run and nothing load: no scripts, no network, one style sheet by its hash.
"""

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stablellava.evaluation.tables import format_gain, format_interval, format_p_value, format_percent


def render_page(template: str, **context: Any) -> str:
    """Return the page; ``context`` may hold Markup only from the chart functions."""
    style = _environment().get_template("style.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return _environment().get_template(template).render(style=Markup(style), policy=policy, **context)  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("stablellava.studio"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=format_percent,
        gain=format_gain,
        p_value=format_p_value,
        words=_in_words,
        seconds=format_seconds,
    )
    environment.globals.update(interval=format_interval)
    return environment


def format_seconds(seconds: float) -> str:
    """Return a duration as a person would say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _in_words(identifier: str) -> str:
    return identifier.replace("_", " ")
