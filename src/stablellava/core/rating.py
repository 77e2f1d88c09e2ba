"""What people say of pairs of picture and dialogue, and the key that tells which pair is which."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints

from stablellava.core.draft import Turn
from stablellava.core.record import Record

Fit = Literal["yes", "partly", "no"]
FITS: tuple[Fit, ...] = ("no", "partly", "yes")
"""From the worst to the best."""
Origin = Literal["kept", "refused", "planted", "other"]
"""A pair that the run kept; one that its checks refused; one of its dialogues with foreign pictures, to see whether
raters look; a pair from elsewhere."""


class Rating(Record):
    """What one person says of one pair: a line of a ratings file. An answer that is None was not given."""

    study_id: str
    pair_id: str
    rater: Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
    fits: Fit | None = None
    """Does the dialogue fit the picture?"""
    picture_good: bool | None = None
    comment: Annotated[str, StringConstraints(max_length=2000)] = ""


class CheckSaid(Record):
    """What a check with a score had said of a pair."""

    filter_name: str
    score: float
    kept: bool


class KeyedPair(Record):
    """Which pair it is that people know by its id alone."""

    pair_id: str
    origin: Origin
    source: str
    """The run or the file it is from."""
    sample_id: str
    """The draft's id where a check refused the pair."""
    capability: str = ""
    """Empty where the source does not sort its rows."""
    said: tuple[CheckSaid, ...] = ()


class RatingKey(Record):
    """Everything that raters must not know, in a file of its own."""

    format: Literal["stablellava-rating-key"] = "stablellava-rating-key"
    schema_version: Literal[1] = 1
    study_id: str
    seed: int
    pairs: tuple[KeyedPair, ...]
    """In the order they are shown."""


@dataclass(frozen=True)
class PairToRate:
    """A pair as it is shown: nothing of it says where it is from."""

    pair_id: str
    turns: tuple[Turn, ...]
    pictures: tuple[Path, ...]
