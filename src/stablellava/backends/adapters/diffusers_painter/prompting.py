"""From paint jobs to the text arguments of a pipeline's call: weighted embeddings, or plain words."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Protocol

import torch

from stablellava.backends.adapters.diffusers_painter.options import PainterOptions
from stablellava.backends.adapters.diffusers_painter.reading import (
    Reader,
    find_lost_words,
    find_readers,
    split_windows,
)
from stablellava.backends.adapters.diffusers_painter.weighting import (
    ClipEmbedder,
    Embedded,
    WindowedPrompt,
    join_embedded,
)
from stablellava.core.errors import ConfigError
from stablellava.core.sample import PaintJob

_LOG = logging.getLogger(__name__)
_MAX_TOLD = 120
_READ_BY_CLIP_ALONE = {
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "LatentConsistencyModelPipeline",
}
"""Pipelines whose ``encode_prompt`` can be called window by window. Others read with T5 or a language model, whose
embeddings depend on the whole text, so neither weights nor windows have a clear meaning there."""


@dataclass(frozen=True)
class PlannedText:
    """A job with the texts that its picture is painted from."""

    job: PaintJob
    positive: WindowedPrompt
    negative: WindowedPrompt

    @property
    def shape(self) -> tuple[int, int, int]:
        """Width, height and windows: only jobs of one shape can be painted together."""
        return self.job.width_px, self.job.height_px, len(self.positive.windows)


class PromptReading(Protocol):
    """How a pipeline is told what to paint."""

    mode: str
    notes: tuple[str, ...]
    """What a user should know of it, said once."""

    def plan(self, job: PaintJob) -> PlannedText | str:
        """Return the job's texts, or the words of it that would be lost."""
        ...

    def arguments(self, plans: Sequence[PlannedText]) -> dict[str, Any]:
        """Return the text arguments for painting these jobs together."""
        ...


def choose_reading(pipeline: Any, options: PainterOptions, is_guided: bool) -> PromptReading:
    """Return the way that suits the pipeline.

    Raises: ConfigError if options ask for what its text encoders cannot do.
    """
    readers = find_readers(pipeline, options.call_options)
    by_clip = not _READ_BY_CLIP_ALONE.isdisjoint(base.__name__ for base in type(pipeline).__mro__) and all(
        reader.is_clip for reader in readers
    )
    if by_clip and readers:
        return WeightedPrompts(pipeline, options, readers[0], is_guided)
    if options.emphasis == "weighted":
        raise ConfigError(
            f"emphasis='weighted' works where CLIP alone reads the prompt, not with {type(pipeline).__name__}; "
            "use 'auto' or 'words'"
        )
    return PlainPrompts(pipeline, options, readers)


class WeightedPrompts:
    """Embeds prompts itself: in windows, with weights. For pipelines where CLIP alone reads the prompt."""

    def __init__(self, pipeline: Any, options: PainterOptions, reader: Reader, is_guided: bool) -> None:
        self._reader = reader
        self._options = options
        self._has_warned = False
        self._embedder = ClipEmbedder(pipeline, reader)
        self._zeros_for_empty = bool(getattr(pipeline.config, "force_zeros_for_empty_prompt", False))
        accepted = signature(type(pipeline).__call__).parameters
        self._takes_negative = is_guided and "negative_prompt_embeds" in accepted
        self._takes_pooled = "pooled_prompt_embeds" in accepted
        self.mode = "plain words" if options.emphasis == "words" else "weighted embeddings"
        self.notes = (f"emphasis as {self.mode}", *_note_unguided(options, self._takes_negative))

    def plan(self, job: PaintJob) -> PlannedText | str:
        """Return the job's texts in equally many windows, or the words that one window does not hold."""
        texts = (job.text, join_negative(job, self._options) if self._takes_negative else "")
        if self._options.long_prompts == "refuse":
            lost = [find_lost_words(text, (self._reader,)) for text in texts]
            if any(lost):
                return ", ".join(filter(None, lost))
        positive, negative = (split_windows(text, self._reader) for text in texts)
        num_windows = max(len(positive), len(negative))
        prompt = WindowedPrompt(positive, () if self._options.emphasis == "words" else job.emphasis)
        self._warn_of_lost(prompt.lost_emphasis(self._reader), job)
        return PlannedText(job, prompt.padded(num_windows), WindowedPrompt(negative).padded(num_windows))

    def arguments(self, plans: Sequence[PlannedText]) -> dict[str, Any]:
        """Return embeddings of the plans, which all have one shape."""
        arguments = self._name(self._embedder.embed([plan.positive for plan in plans]), "")
        if self._takes_negative:
            negative = [self._embed_negative(plan.negative) for plan in plans]
            arguments |= self._name(join_embedded(negative), "negative_")
        return arguments

    def _warn_of_lost(self, phrase: str, job: PaintJob) -> None:
        if phrase and not self._has_warned:
            self._has_warned = True
            _LOG.warning(
                "painter 'diffusers': emphasised phrase %r is not in one piece in the prompt %r and stays unweighted; "
                "further ones are not told", phrase, job.text[:_MAX_TOLD],
            )  # fmt: skip

    def _name(self, embedded: Embedded, prefix: str) -> dict[str, Any]:
        named = {f"{prefix}prompt_embeds": embedded.tokens}
        if self._takes_pooled and embedded.pooled is not None:
            named[f"{prefix}pooled_prompt_embeds"] = embedded.pooled
        return named

    def _embed_negative(self, negative: WindowedPrompt) -> Embedded:
        embedded = self._embedder.embed_alone(negative)
        if any(negative.windows) or not self._zeros_for_empty:
            return embedded
        pooled = None if embedded.pooled is None else torch.zeros_like(embedded.pooled)
        return Embedded(torch.zeros_like(embedded.tokens), pooled)


class PlainPrompts:
    """Hands texts over as they are. What no encoder would read is refused, never cut."""

    mode = "plain words"

    def __init__(self, pipeline: Any, options: PainterOptions, readers: tuple[Reader, ...]) -> None:
        self._readers = readers
        self._options = options
        accepted = signature(type(pipeline).__call__).parameters
        # Pipelines with distilled guidance (FLUX) look at a negative prompt only with a true guidance above 1.
        scale = options.call_options.get("true_cfg_scale", 0) if "true_cfg_scale" in accepted else 2
        self._takes_negative = "negative_prompt" in accepted and scale > 1
        notes = [f"emphasis as plain words, because {type(pipeline).__name__} reads prompts with more than CLIP"]
        if not readers:
            notes.append("its text encoder's length is not known: a very long prompt may lose words")
        self.notes = (*notes, *_note_unguided(options, self._takes_negative))

    def plan(self, job: PaintJob) -> PlannedText | str:
        """Return the job's texts, or the words that the longest-reading encoder does not reach."""
        negative = join_negative(job, self._options) if self._takes_negative else ""
        lost = [find_lost_words(text, self._readers) for text in (job.text, negative)]
        if any(lost):
            return ", ".join(filter(None, lost))
        return PlannedText(job, WindowedPrompt((job.text,)), WindowedPrompt((negative,)))

    def arguments(self, plans: Sequence[PlannedText]) -> dict[str, Any]:
        """Return the texts; a negative one is given for all or none, so that company changes nothing."""
        arguments: dict[str, Any] = {"prompt": [plan.positive.windows[0] for plan in plans]}
        if self._takes_negative:
            arguments["negative_prompt"] = [plan.negative.windows[0] for plan in plans]
        return arguments


def join_negative(job: PaintJob, options: PainterOptions) -> str:
    """Return the job's own negative prompt and the painter's."""
    return ", ".join(filter(None, (job.negative, options.negative)))


def _note_unguided(options: PainterOptions, takes_negative: bool) -> tuple[str, ...]:
    return () if takes_negative or not options.negative else ("negative prompts have no effect without guidance",)
