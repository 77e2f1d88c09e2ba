"""The offline writer: composes prompt and dialogue from a capability's own tables."""

from stablellava.backends.adapters.grammar.writer import GrammarWriter

__all__ = ["GrammarWriter"]
