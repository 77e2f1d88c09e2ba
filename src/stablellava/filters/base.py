"""What a check sees and what it says."""

from dataclasses import dataclass
from typing import Protocol

from stablellava.core.capability import Keyword
from stablellava.core.draft import Draft
from stablellava.core.sample import Painting, Verdict


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
