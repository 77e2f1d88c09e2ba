"""What data can be made for: one folder of plain data per capability, and the places pictures are set in."""

from stablellava.capabilities.catalog import list_capabilities, load_capability, load_known, load_places

__all__ = ["list_capabilities", "load_capability", "load_known", "load_places"]
