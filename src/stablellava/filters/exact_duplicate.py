"""Is this very pair of pictures and dialogue already there?"""

from pathlib import Path

from stablellava.core.ids import seed_from
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.compact import CompactMap, SpillFile


class ExactDuplicate:
    """Refuses: exact_duplicate. Ask in planned order; the first of equals stays.

    Takes some 16 bytes of memory per admitted candidate.

    Args:
        folder: where the temporary file of ids lies.
    """

    name = "exact_duplicate"

    def __init__(self, folder: Path | None = None) -> None:
        self._first = CompactMap()
        self._ids = SpillFile(folder)

    def judge(self, candidate: Candidate) -> Verdict:
        """Return whether an admitted candidate has the same pictures and the same words."""
        first = self._first.find(_pair_key(candidate))
        if first is None:
            return Verdict(filter_name=self.name, kept=True)
        detail = f"of {self._ids.read(first)}"
        return Verdict(filter_name=self.name, kept=False, reason="exact_duplicate", detail=detail)

    def admit(self, candidate: Candidate) -> None:
        """Remember a candidate that stays."""
        key = _pair_key(candidate)
        if self._first.find(key) is None:
            self._first.add(key, self._ids.add(candidate.draft.draft_id))


def _pair_key(candidate: Candidate) -> int:
    return seed_from(
        [painting.sha256 for painting in candidate.paintings],
        [[turn.speaker, turn.text, list(turn.images)] for turn in candidate.draft.turns],
    )
