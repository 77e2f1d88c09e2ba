"""What a prompt asks for, once its words are understood."""

from dataclasses import dataclass, field

from stablellava.backends.adapters.openmoji.colors import Rgb


@dataclass(frozen=True)
class Mention:
    """A canonical name and the words of the prompt that stand for it."""

    name: str
    said: str


@dataclass
class Actor:
    """A thing or a person in the picture."""

    mention: Mention
    is_person: bool = False
    number: int = 1
    count: Mention | None = None
    color: Mention | None = None
    rgb: Rgb | None = None
    size: Mention | None = None
    hair: Mention | None = None
    profession: Mention | None = None
    action: Mention | None = None

    @property
    def name(self) -> str:
        return self.mention.name


@dataclass(frozen=True)
class Relation:
    """Where one actor is with respect to another, or to the place (``other`` is None)."""

    name: str
    said: str
    subject: Actor
    other: Actor | None = None


@dataclass
class Plan:
    """Everything of a prompt that will leave a trace, and what will not."""

    actors: list[Actor] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    place: Mention | None = None
    style: Mention | None = None
    features: list[Mention] = field(default_factory=list)
    manners: list[Mention] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    refused: str = ""
    """The decisive phrase, when a part of it cannot be drawn."""

    @property
    def is_empty(self) -> bool:
        return not self.actors and self.place is None
