"""The painter `diffusers`: any text-to-image pipeline of the diffusers library, and painting a picture again."""

from stablellava.backends.adapters.diffusers_painter.painter import DiffusersPainter
from stablellava.backends.adapters.diffusers_painter.repainting import DiffusersRepainter, repaint_from

__all__ = ["DiffusersPainter", "DiffusersRepainter", "repaint_from"]
