"""Samples as a reader sees them: picture, prompt, dialogue, verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stablellava.core.draft import Draft, PaintPrompt, Turn
from stablellava.core.errors import RecordError
from stablellava.core.sample import Painting, Sample, Verdict
from stablellava.store.images import image_path
from stablellava.studio.pictures import read_data_uri


@dataclass(frozen=True)
class PictureView:
    """A picture to show; ``uri`` is empty if there is none, and ``alt`` says what it is of."""

    uri: str
    alt: str
    note: str = ""
    """What the painter left out."""


@dataclass(frozen=True)
class PhraseView:
    """A piece of a prompt."""

    text: str
    is_emphasised: bool


@dataclass(frozen=True)
class SampleView:
    """One card of the gallery."""

    anchor: str
    capability: str
    keyword: str
    setting: str
    pictures: tuple[PictureView, ...]
    prompts: tuple[tuple[PhraseView, ...], ...]
    turns: tuple[Turn, ...]
    verdicts: tuple[Verdict, ...]
    reason: str = ""
    detail: str = ""


def view_sample(
    draft: Draft,
    paintings: Sequence[Painting],
    uris: Sequence[str],
    verdicts: Sequence[Verdict],
    *,
    reason: str = "",
    detail: str = "",
) -> SampleView:
    """Return the card of a sample, or of a reject with its reason; one uri per painting."""
    return SampleView(
        anchor=draft.draft_id,
        capability=draft.capability,
        keyword=draft.keyword,
        setting=draft.setting,
        pictures=tuple(
            PictureView(uri, f"Painted for: {_prompt_text(draft, index)}", note=", ".join(painting.ignored))
            for index, (painting, uri) in enumerate(zip(paintings, uris, strict=True))
        ),
        prompts=tuple(split_emphasis(prompt) for prompt in draft.prompts),
        turns=draft.turns,
        verdicts=tuple(verdicts),
        reason=reason,
        detail=detail,
    )


def view_stored_sample(sample: Sample, data_dir: Path) -> SampleView:
    """Return the card of a kept sample with its stored pictures."""
    uris = [read_stored(painting.sha256, data_dir) for painting in sample.paintings]
    return view_sample(sample.draft, sample.paintings, uris, sample.verdicts)


def read_stored(sha256: str, data_dir: Path) -> str:
    """Return the stored picture as a data URI, or an empty string if it was cleaned away."""
    try:
        return read_data_uri(image_path(data_dir, sha256))
    except RecordError:
        return ""


def split_emphasis(prompt: PaintPrompt) -> tuple[PhraseView, ...]:
    """Return the prompt's text in pieces, the first occurrence of each emphasised phrase marked."""
    pieces = [PhraseView(prompt.text, is_emphasised=False)]
    for phrase, _ in prompt.emphasis:
        for index, piece in enumerate(pieces):
            if phrase and not piece.is_emphasised and phrase in piece.text:
                before, _, after = piece.text.partition(phrase)
                pieces[index : index + 1] = [
                    PhraseView(before, is_emphasised=False),
                    PhraseView(phrase, is_emphasised=True),
                    PhraseView(after, is_emphasised=False),
                ]
                break
    return tuple(piece for piece in pieces if piece.text)


def _prompt_text(draft: Draft, index: int) -> str:
    return draft.prompts[index].text if index < len(draft.prompts) else draft.keyword
