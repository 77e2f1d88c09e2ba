"""Prompts as weighted CLIP embeddings, one window of 77 tokens after the other.

A token of an emphasised phrase with embedding e is replaced by e0 + w (e - e0), where e0 is the empty prompt's
embedding at the same place: with w > 1 it lies further from "nothing said", in the same direction, and w = 1
changes nothing. Tokens outside of the phrase, and the pooled embedding, stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stablellava.backends.adapters.diffusers_painter.reading import Reader

Emphasis = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Embedded:
    """Embeddings [B, L, E] with L a multiple of 77, and pooled ones [B, P] where the pipeline wants them."""

    tokens: torch.Tensor
    pooled: torch.Tensor | None


@dataclass(frozen=True)
class WindowedPrompt:
    """A prompt cut into windows, and what is emphasised in it."""

    windows: tuple[str, ...]
    emphasis: Emphasis = ()

    def lost_emphasis(self, reader: Reader) -> str:
        """Return the first emphasised phrase that stands in no window; empty if all do."""
        windows = [reader.tokens(window) for window in self.windows]
        for phrase, _ in self.emphasis:
            wanted = reader.tokens(phrase)
            if all(find_tokens(ids, wanted) is None for ids in windows):
                return phrase
        return ""

    def padded(self, num_windows: int) -> "WindowedPrompt":
        """Return the prompt with empty windows at its end."""
        return WindowedPrompt((*self.windows, *[""] * (num_windows - len(self.windows))), self.emphasis)


class ClipEmbedder:
    """Embeds prompts with a pipeline's own ``encode_prompt`` (Stable Diffusion 1, 2 and XL)."""

    def __init__(self, pipeline: Any, reader: Reader) -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._alone: dict[str, Embedded] = {}

    def embed(self, prompts: Sequence[WindowedPrompt]) -> Embedded:
        """Embed prompts of equally many windows together; the pooled embedding is the first window's."""
        num_windows = len(prompts[0].windows)
        texts = [window for prompt in prompts for window in prompt.windows]
        embedded = self._encode(texts)
        weights = torch.tensor(
            [self._weights(window, prompt.emphasis) for prompt in prompts for window in prompt.windows]
        )
        tokens = self._emphasise(embedded.tokens, weights) if bool((weights != 1).any()) else embedded.tokens
        tokens = tokens.reshape(len(prompts), -1, tokens.shape[-1])
        return Embedded(tokens, None if embedded.pooled is None else embedded.pooled[::num_windows])

    def embed_alone(self, prompt: WindowedPrompt) -> Embedded:
        """Embed one prompt without company and remember it: negative prompts are the same for most pictures."""
        parts = [self._encode_alone(window) for window in prompt.windows]
        return Embedded(torch.cat([part.tokens for part in parts], dim=1), parts[0].pooled)

    def _emphasise(self, tokens: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Shapes: tokens [W, 77, E], weights [W, 77]."""
        empty = self._encode_alone("").tokens.float()
        moved = empty + weights.to(tokens.device)[:, :, None] * (tokens.float() - empty)
        return torch.where(weights.to(tokens.device)[:, :, None] == 1, tokens, moved.to(tokens.dtype))

    def _weights(self, window: str, emphasis: Emphasis) -> list[float]:
        """Return a weight per place of the window; the first place is the start mark's."""
        ids = self._reader.tokens(window)
        weights = [1.0] * self._reader.tokenizer.model_max_length
        for phrase, weight in emphasis:
            wanted = self._reader.tokens(phrase)
            start = find_tokens(ids, wanted)
            if start is not None:
                weights[start + 1 : start + 1 + len(wanted)] = [weight] * len(wanted)
        return weights

    def _encode_alone(self, text: str) -> Embedded:
        if text not in self._alone:
            self._alone[text] = self._encode([text])
        return self._alone[text]

    def _encode(self, texts: list[str]) -> Embedded:
        encoded = self._pipeline.encode_prompt(
            prompt=texts,
            device=self._pipeline._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
        # Stable Diffusion: tokens, negative tokens; XL: tokens, negative tokens, pooled, negative pooled.
        return Embedded(encoded[0], encoded[2] if len(encoded) == 4 else None)


def join_embedded(parts: Sequence[Embedded]) -> Embedded:
    """Return the rows of all parts, one below the other."""
    pooled = [part.pooled for part in parts if part.pooled is not None]
    return Embedded(torch.cat([part.tokens for part in parts]), torch.cat(pooled) if pooled else None)


def find_tokens(ids: list[int], wanted: list[int]) -> int | None:
    """Return where the wanted ids first stand in a row, or None."""
    if not wanted:
        return None
    starts = range(len(ids) - len(wanted) + 1)
    return next((start for start in starts if ids[start : start + len(wanted)] == wanted), None)
