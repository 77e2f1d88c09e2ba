"""How varied texts are: four measures, each at a bounded cost and free of chance.

Paper: distinct-n, Li et al. 2016 (1510.03055); self-BLEU, Zhu et al. 2018 (1802.01886); Vendi score,
Friedman and Dieng 2023 (2210.02410), over embeddings.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xxhash
from numpy.typing import NDArray

from stablellava.core.draft import Draft
from stablellava.core.ids import seed_from
from stablellava.core.matching import split_words
from stablellava.core.record import Record

Vectors = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Vectors]
"""Texts -> one row per text, [N, D]; equal texts give equal rows, and no row is all zeros."""

MAX_WIDTH = 4
_SMOOTHING = 0.1
"""Stands for a count of zero in self-BLEU (the paper's software calls it method 1)."""
_NUM_DIMS = 512
_CHAR_WIDTH = 4
_DIGITS = 6
"""Figures are rounded, because the last bits of a sum depend on the number of threads."""


class TextDiversity(Record):
    """Measures of one set of texts; all but self-BLEU grow with variety."""

    distinct: tuple[float, float, float, float]
    """Share of different word n-grams among all, n = 1 to 4."""
    self_bleu: float
    """How well a text's words can be put together from the others, 0 to 1."""
    vendi: float
    """Effective number of different texts, 1 to the number measured."""


class Diversity(Record):
    """How varied a round's drafts are."""

    num_drafts: int
    num_measured: int
    """Measures depend on how many texts are looked at: compare them at equal numbers only."""
    prompts: TextDiversity
    answers: TextDiversity
    keyword_entropy: float
    """Of the keywords of all drafts, in nats; exp of it is the effective number of keywords."""


@dataclass(frozen=True)
class DraftText:
    """What of a draft is measured: its prompts, its answers and its whole dialogue, each joined to one text."""

    draft_id: str
    keyword: str
    setting: str
    prompt: str
    answer: str
    dialogue: str


def text_of(draft: Draft) -> DraftText:
    """Return what of the draft is measured."""
    prompt = " ".join(prompt.text for prompt in draft.prompts)
    answer = " ".join(turn.text for turn in draft.turns if turn.speaker == "assistant")
    dialogue = " ".join(turn.text for turn in draft.turns)
    return DraftText(draft.draft_id, draft.keyword, draft.setting, prompt, answer, dialogue)


def take_sample(texts: Iterable[DraftText], num: int) -> list[DraftText]:
    """Return at most so many, chosen by the hash of their ids; a smaller sample is the start of a larger one."""
    return sorted(texts, key=lambda text: seed_from("diversity", text.draft_id))[:num]


def measure_round(texts: Sequence[DraftText], max_measured: int = 200, embed: Embed | None = None) -> Diversity:
    """Measure a round's drafts; of more than ``max_measured`` a sample, but the keywords of all."""
    chosen = take_sample(texts, max_measured)
    return Diversity(
        num_drafts=len(texts),
        num_measured=len(chosen),
        prompts=measure_texts([text.prompt for text in chosen], embed),
        answers=measure_texts([text.answer for text in chosen], embed),
        keyword_entropy=round(entropy(Counter(text.keyword for text in texts).values()), _DIGITS),
    )


def measure_texts(texts: Sequence[str], embed: Embed | None = None) -> TextDiversity:
    """Measure some hundred texts; the Vendi score's cost grows with the cube of their number."""
    first, second, third, fourth = (round(distinct_share(texts, width), _DIGITS) for width in range(1, MAX_WIDTH + 1))
    return TextDiversity(
        distinct=(first, second, third, fourth),
        self_bleu=round(self_bleu(texts), _DIGITS),
        vendi=round(vendi_score((embed or embed_ngrams)(texts)), _DIGITS) if texts else 0.0,
    )


def distinct_share(texts: Iterable[str], width: int = MAX_WIDTH) -> float:
    """Return the share of different word n-grams among all of the texts; 0 if there are none."""
    grams: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        grams.update(_ngrams(split_words(text), width))
    return len(grams) / grams.total() if grams else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Return the mean BLEU-4 of each text against all others; 0 for fewer than two texts.

    Exact, in one pass: of every n-gram only its two highest counts in a text have to be known.
    """
    if len(texts) < 2:
        return 0.0
    words = [split_words(text) for text in texts]
    logs = np.zeros(len(texts))
    for width in range(1, MAX_WIDTH + 1):
        counts = [Counter(_ngrams(of_text, width)) for of_text in words]
        peaks = _find_peaks(counts)
        for index, own in enumerate(counts):
            matched = sum(min(count, peaks[gram].without(index)) for gram, count in own.items())
            logs[index] += math.log((matched or _SMOOTHING) / max(1, own.total())) / MAX_WIDTH
    lengths = np.array([len(of_text) for of_text in words])
    return float(np.mean([math.exp(logs[index]) * _brevity(lengths, index) for index in range(len(words))]))


def vendi_score(vectors: Vectors) -> float:
    """Return the effective number of different rows under cosine similarity, 1 to N."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    weights = np.linalg.eigvalsh(unit @ unit.T / len(unit))
    weights = weights[weights > 1e-12]
    return float(np.exp(-np.sum(weights * np.log(weights))))


def entropy(counts: Iterable[int]) -> float:
    """Return the entropy of a distribution given by counts, in nats."""
    known = [count for count in counts if count]
    total = sum(known)
    return -sum(count / total * math.log(count / total) for count in known) if known else 0.0


def embed_ngrams(texts: Sequence[str]) -> Vectors:
    """Return hashed counts of words, word pairs and character 4-grams, damped by their square root, [N, 512].

    Knows spelling and order of words, not meaning; needs no model.
    """
    vectors = np.zeros((len(texts), _NUM_DIMS))
    for row, text in enumerate(texts):
        words = split_words(text)
        joined = f" {' '.join(words)} "
        pieces = [*words, *(f"{first} {second}" for first, second in pairwise(words))]
        pieces += [joined[start : start + _CHAR_WIDTH] for start in range(len(joined) - _CHAR_WIDTH + 1)]
        for piece in pieces or [""]:
            vectors[row, xxhash.xxh3_64_intdigest(piece.encode()) % _NUM_DIMS] += 1
    return np.sqrt(vectors)


def _ngrams(words: Sequence[str], width: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + width]) for start in range(len(words) - width + 1)]


@dataclass
class _Peak:
    """The highest count of an n-gram in a text, whose it is, and the highest in any other text."""

    highest: int = 0
    owner: int = -1
    second: int = 0

    def without(self, index: int) -> int:
        return self.second if index == self.owner else self.highest


def _find_peaks(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], _Peak]:
    peaks: dict[tuple[str, ...], _Peak] = {}
    for index, own in enumerate(counts):
        for gram, count in own.items():
            peak = peaks.setdefault(gram, _Peak())
            if count > peak.highest:
                peak.highest, peak.owner, peak.second = count, index, peak.highest
            else:
                peak.second = max(peak.second, count)
    return peaks


def _brevity(lengths: NDArray[np.int64], index: int) -> float:
    """Return BLEU's penalty for a text shorter than the other text that is nearest in length (the shorter of two)."""
    own = int(lengths[index])
    others = np.delete(lengths, index)
    gaps = np.abs(others - own)
    nearest = int(others[gaps == gaps.min()].min())
    if own >= nearest:
        return 1.0
    return math.exp(1 - nearest / own) if own else 0.0
