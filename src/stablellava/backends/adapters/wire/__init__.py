"""Backends that speak the OpenAI wire."""

from stablellava.backends.adapters.wire.chat import WireChat

__all__ = ["WireChat"]
