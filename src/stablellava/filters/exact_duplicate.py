"""Is this very pair of pictures and dialogue already there?"""

from stablellava.core.ids import hash_id
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate


class ExactDuplicate:
    """Refuses: exact_duplicate. Ask in planned order; the first of equals stays."""

    name = "exact_duplicate"

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def judge(self, candidate: Candidate) -> Verdict:
        """Return whether an admitted candidate has the same pictures and the same words."""
        first = self._first.get(_pair_key(candidate))
        if first is None:
            return Verdict(filter_name=self.name, kept=True)
        return Verdict(filter_name=self.name, kept=False, reason="exact_duplicate", detail=f"of {first}")

    def admit(self, candidate: Candidate) -> None:
        """Remember a candidate that stays."""
        self._first.setdefault(_pair_key(candidate), candidate.draft.draft_id)


def _pair_key(candidate: Candidate) -> str:
    return hash_id(
        [painting.sha256 for painting in candidate.paintings],
        [[turn.speaker, turn.text, list(turn.images)] for turn in candidate.draft.turns],
    )
