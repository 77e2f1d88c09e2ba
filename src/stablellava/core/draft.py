"""Drafts: the prompt to paint and the dialogue that belongs to it."""

from typing import Literal

from stablellava.core.capability import Capability, DialogueExemplar, FormKind, Keyword, PromptExemplar
from stablellava.core.record import Record


class CallStamp(Record):
    """On everything a model made: who, with what, at what cost."""

    backend: str
    model: str = ""
    revision: str = ""
    options_hash: str = ""
    seed: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    cost: float | None = None
    """In the user's currency; null when no price is known."""
    from_cache: bool = False


class PaintPrompt(Record):
    """What a painter is asked for. Emphasis is data: each painter renders its own dialect."""

    text: str
    """Comma-separated phrases, the decisive keyword first, without brackets."""
    emphasis: tuple[tuple[str, float], ...] = ()
    """(phrase of the text, weight above 1)."""
    negative: str = ""

    @property
    def bracketed(self) -> str:
        """The text with every emphasised phrase in the paper's double brackets."""
        text = self.text
        for phrase, _ in self.emphasis:
            text = text.replace(phrase, f"(({phrase}))", 1)
        return text


class Turn(Record):
    """One utterance; ``images`` are indices into the sample's images shown at its start."""

    speaker: Literal["user", "assistant"]
    text: str
    images: tuple[int, ...] = ()


class DraftRequest(Record):
    """One draft to be written. Everything in it is fixed before any model is called."""

    draft_id: str
    seed: int
    capability: Capability
    keyword: Keyword
    setting: str
    """Name of a place, or of a thing where the capability is set with things."""
    purpose: Literal["train", "evaluate"] = "train"
    form: FormKind | None = None
    """Which kind of question to ask; set exactly when the purpose is "evaluate"."""
    wishes: tuple[tuple[str, str], ...] = ()
    """Further properties the draft should have: ("style", "watercolor"). Measured afterwards, never required."""
    prompt_exemplars: tuple[PromptExemplar, ...] = ()
    dialogue_exemplars: tuple[DialogueExemplar, ...] = ()
    exemplar_ids: tuple[str, ...] = ()
    """Ids of the exemplars above where they come from a pool; a writer that shows them passes them on to the draft."""
    depth: int = 0
    """The draft's depth if it is written after these exemplars."""


class Draft(Record):
    """A prompt (one per picture) and its dialogue, not yet painted."""

    draft_id: str
    capability: str
    keyword: str
    setting: str
    attributes: tuple[tuple[str, str], ...] = ()
    """Further properties to measure coverage by: ("style", "watercolor"), ("color", "red")."""
    prompts: tuple[PaintPrompt, ...]
    turns: tuple[Turn, ...]
    accepted_answers: tuple[str, ...] = ()
    """Right answers to the last question; set for evaluation drafts only."""
    form: FormKind | None = None
    exemplar_ids: tuple[str, ...] = ()
    depth: int = 0
    """Generations away from the seed exemplars."""
    stamp: CallStamp


class DraftRefusal(Record):
    """A request that a writer could not turn into a draft."""

    draft_id: str
    reason: str
    """Stable identifier, snake case: "unparsable_answer"."""
    detail: str = ""
