"""Backends that speak the OpenAI wire."""

from stablellava.backends.adapters.wire.chat import WireChat
from stablellava.backends.adapters.wire.images import WirePainter

__all__ = ["WireChat", "WirePainter"]
