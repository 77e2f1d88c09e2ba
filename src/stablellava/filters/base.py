"""What a check sees and what it says."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from stablellava.core.capability import Keyword
from stablellava.core.draft import Draft
from stablellava.core.sample import Painting, Rejected, Verdict


@dataclass(frozen=True)
class Candidate:
    """A draft with its pictures; before painting there are none."""

    draft: Draft
    keyword: Keyword
    paintings: tuple[Painting, ...] = ()

    @property
    def num_images(self) -> int:
        """Pictures it has, or, before painting, will have."""
        return len(self.paintings) or len(self.draft.prompts)


class Check(Protocol):
    """One question about a candidate, answered without looking at any other candidate."""

    name: str
    is_cured_by_repainting: bool
    """Whether another seed can change the verdict."""

    def judge(self, candidate: Candidate) -> Verdict:
        """Return whether the candidate may stay, and why not."""
        ...


def count_reasons(rejects: Iterable[Rejected]) -> dict[str, int]:
    """Return reason -> candidates, the most frequent first, ties by name."""
    counts = Counter(rejected.reason for rejected in rejects)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
