"""Names that were probably meant."""

import difflib
from collections.abc import Iterable


def suggest_name(wrong: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the nearest known name, or lists all of them."""
    names = sorted(known)
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if nearest:
        return f"Did you mean {nearest[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "None is known."
