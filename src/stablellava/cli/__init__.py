"""The command ``stablellava``. Importing it loads no backend, no torch and no data library."""

from stablellava.cli.app import main

__all__ = ["main"]
