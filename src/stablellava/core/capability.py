"""What the tool can be asked to make data for."""

from typing import Literal

from pydantic import Field, model_validator

from stablellava.core.record import Record

FormKind = Literal["yes_no", "wh", "either_or"]


class Place(Record):
    """Somewhere a picture can be set."""

    name: str
    phrase: str
    """With its preposition, as it stands in a sentence: "on the beach"."""
    synonyms: tuple[str, ...] = ()


class Keyword(Record):
    """One value of a capability: the decisive phrase of a prompt."""

    name: str
    """As it stands first in the prompt: "peacock", "red car", "whale in the desert"."""
    synonyms: tuple[str, ...] = ()
    """Other phrases for the same thing, accepted wherever the name is."""
    subject: str = ""
    """The thing or person on which an attribute is seen ("car"); empty if the keyword is the thing."""
    answer: str = ""
    """Short answer to the capability's wh-question ("red"); empty means the name."""
    accepted: tuple[str, ...] = ()
    """Further accepted short answers."""
    group: str = ""
    """Siblings share a group ("bird"); wrong alternatives in questions are drawn from other groups."""
    rivals: tuple[str, ...] = ()
    """Names that wrong alternatives are drawn from instead, where other groups may hold at the same
    time (curly hair can be red); the keyword's own group stays out."""
    settings: tuple[str, ...] = ()
    """Overrides the capability's settings ("whale" only at sea; empty: all of them)."""
    note: str = ""
    """What a sentence may add: why it cannot be (abnormal), the relation (multi-image)."""
    parts: tuple[str, ...] = ()
    """Multi-image only: the phrase to paint in each picture."""

    @property
    def short_answer(self) -> str:
        return self.answer or self.name

    @property
    def accepted_answers(self) -> tuple[str, ...]:
        """All answers that count as right, the usual one first, without repeats."""
        own = () if self.answer else self.synonyms
        return tuple(dict.fromkeys((self.short_answer, *own, *self.accepted)))


class PromptExemplar(Record):
    """A worked example of a paint prompt; several texts when the capability shows several pictures."""

    keyword: str
    texts: tuple[str, ...]


class DialogueExemplar(Record):
    """A worked example of a dialogue for the given prompts; turns alternate, the user first."""

    prompts: tuple[str, ...]
    turns: tuple[str, ...]


class EvaluationForm(Record):
    """A question form with a short answer.

    Slots: {keyword} {answer} {subject} {other} {setting}. In either_or the right and the wrong
    answer are written {first} and {second}; their order is drawn per item.
    """

    kind: FormKind
    question: str


class Capability(Record):
    """Everything a writer needs to draft for one capability, read from its folder.

    Paper: 2308.10253v1, section 3 (instructions, keyword lists, in-context examples).
    """

    name: str
    title: str
    group: str
    """The paper's grouping: physical attributes, life, man-made, society, others, multi-image."""
    min_images: int = 1
    max_images: int = 1
    brief: str
    cautions: tuple[str, ...]
    answer_form: str
    """How answers are written, in words, for a language model."""
    paper: str
    """Where the paper introduces it."""
    setting_kind: Literal["place", "thing"] = "place"
    """What the second phrase of a prompt is; scenes are places themselves and are set with a thing."""
    settings: tuple[str, ...]
    """Names of places (or things) a keyword of this capability may be set in (or with)."""
    visual_features: tuple[str, ...]
    keywords: tuple[Keyword, ...] = Field(min_length=1)
    prompt_exemplars: tuple[PromptExemplar, ...]
    dialogue_exemplars: tuple[DialogueExemplar, ...]
    description_questions: tuple[str, ...]
    evaluation_forms: tuple[EvaluationForm, ...]
    grammar: dict[str, tuple[str, ...]]
    """Rules of the offline writer: symbol -> alternatives; see backends/adapters/grammar."""

    @property
    def is_multi_image(self) -> bool:
        return self.max_images > 1

    def find_keyword(self, name: str) -> Keyword | None:
        return next((keyword for keyword in self.keywords if keyword.name == name), None)

    @model_validator(mode="after")
    def _check_names(self) -> "Capability":
        names = [keyword.name for keyword in self.keywords]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"capability {self.name!r} lists keywords twice: {', '.join(repeated)}")
        return self
