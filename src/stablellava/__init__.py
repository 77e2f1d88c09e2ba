"""Visual-instruction data on purpose: draft, paint, verify, train, measure, report."""

__version__ = "0.1.0"
