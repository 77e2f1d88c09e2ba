"""Is this very pair of pictures and dialogue already there?"""

from collections.abc import Sequence
from pathlib import Path

from stablellava.core.draft import Draft
from stablellava.core.ids import seed_from
from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.compact import CompactMap, SpillFile


class ExactDuplicate:
    """Refuses: exact_duplicate. Ask in planned order; the first of equals stays.

    What was admitted lies in temporary files.

    Args:
        folder: where they lie; the system's place for them if None.
    """

    name = "exact_duplicate"

    def __init__(self, folder: Path | None = None) -> None:
        self._first = CompactMap(folder)
        self._ids = SpillFile(folder)
        self._keyed: tuple[Draft, int] | None = None

    def judge(self, candidate: Candidate) -> Verdict:
        """Return whether an admitted candidate has the same pictures and the same words."""
        first = self._first.find(self.key_of(candidate))
        if first is None:
            return Verdict(filter_name=self.name, kept=True)
        detail = f"of {self._ids.read(first)}"
        return Verdict(filter_name=self.name, kept=False, reason="exact_duplicate", detail=detail)

    def admit(self, candidate: Candidate) -> None:
        """Remember a candidate that stays."""
        self.admit_keys([self.key_of(candidate)], [candidate.draft.draft_id])

    def admit_keys(self, keys: Sequence[int], draft_ids: Sequence[str]) -> None:
        """Remember candidates by what ``key_of`` gave for them."""
        new: dict[int, str] = {}
        for key, draft_id in zip(keys, draft_ids, strict=True):
            if self._first.find(key) is None:
                new.setdefault(key, draft_id)
        self._first.add_all(zip(new, self._ids.add_all([*new.values()]), strict=True))

    def key_of(self, candidate: Candidate) -> int:
        """Return a number that equal pairs share."""
        # Whoever is judged is often admitted next.
        if self._keyed is None or self._keyed[0] is not candidate.draft:
            self._keyed = candidate.draft, _pair_key(candidate)
        return self._keyed[1]

    def let_go(self) -> None:
        """Give back memory that is not needed until the next candidate."""
        self._first.let_go()


def _pair_key(candidate: Candidate) -> int:
    return seed_from(
        [painting.sha256 for painting in candidate.paintings],
        [[turn.speaker, turn.text, list(turn.images)] for turn in candidate.draft.turns],
    )
