"""An offline painter that draws with the OpenMoji color font (CC BY-SA 4.0)."""

from stablellava.backends.adapters.openmoji.lexicon import drawable_names
from stablellava.backends.adapters.openmoji.painter import OpenMojiPainter

__all__ = ["OpenMojiPainter", "drawable_names"]
