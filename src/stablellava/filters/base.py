"""What a check sees and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stablellava.core.capability import Keyword
from stablellava.core.draft import Draft
from stablellava.core.sample import Painting, Verdict

FUNCTION_WORDS = frozenset(
    {"a", "an", "the", "of", "on", "in", "at", "with", "and", "to", "for", "from", "by", "under", "out", "into", "next"}
)
"""Words of a keyword that say how its things stand to each other, not what they are."""


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


class PictureCheck(Protocol):
    """Looks at the pictures themselves, many candidates at a time: a scorer or a judge."""

    name: str
    is_cured_by_repainting: bool

    def judge_all(self, candidates: Sequence[Candidate], images: Sequence[tuple[bytes, ...]]) -> list[Verdict]:
        """Return one verdict per candidate, in their order; ``images`` are its encoded pictures.

        A candidate that could not be scored passes with a score of None and a detail that begins with "unscored".
        """
        ...
