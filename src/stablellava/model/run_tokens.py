"""Pieces of dialogues to token ids, exactly as the tokenizer itself would cut the whole text.

A text falls into runs between special tokens. A run is tokenised as one text, with its markup, and a token
is learned if it lies in a learned stretch; where a token would reach over the edge of one, the run is cut
there. So nothing is counted, and an answer's tokens never depend on a second tokenisation of its prefix.
"""

import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

from stablellava.core.errors import ConfigError
from stablellava.model.data_template import Piece

_SPM_SPACE = "\u2581"


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive tokens that are learned together or not at all."""

    token_ids: tuple[int, ...]
    supervised: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """Text between special tokens; ``learned`` are its learned stretches as (start, end) characters."""

    text: str
    is_first: bool
    learned: tuple[tuple[int, int], ...]


_Part = Segment | _Run


class RunTokenizer:
    """Tokenises runs in batches; the tokenizer it is made from is left as it is."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, image_token_id: int, tokens_per_image: int):
        """Copy the tokenizer's Rust form. Raises: ConfigError if it has none."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ConfigError(
                f"training.model.language_model: its tokenizer ({type(tokenizer).__name__}) has no tokenizer.json; "
                "convert it with transformers first"
            )
        written = backend.to_str()
        settings = json.loads(written)
        later = {**settings, "pre_tokenizer": _without_first_prefix(settings["pre_tokenizer"])}
        self._first = _copy(written)
        self._later = self._first if later == settings else _copy(json.dumps(later))
        self._prefixes_runs = self._later.encode("a", add_special_tokens=False).tokens[0].startswith(_SPM_SPACE)
        self._image = Segment((image_token_id,) * tokens_per_image, supervised=False)
        specials = {token.content: (index, token) for index, token in tokenizer.added_tokens_decoder.items()}
        self._id_of = {text: index for text, (index, token) in specials.items() if token.special}
        self._eats_space = {text for text, (_, token) in specials.items() if token.special and token.rstrip}
        longest_first = sorted(self._id_of, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def tokenise(self, dialogues: Sequence[Sequence[Piece]], joined: bool) -> list[list[Segment]]:
        """Return each dialogue's segments; equal runs are tokenised once."""
        cut = [self._cut(pieces, joined) for pieces in dialogues]
        runs = dict.fromkeys(part for parts in cut for part in parts if isinstance(part, _Run))
        found = dict(zip(runs, self._encode(list(runs)), strict=True))
        return [
            [segment for part in parts for segment in (found[part] if isinstance(part, _Run) else (part,))]
            for parts in cut
        ]

    def _cut(self, pieces: Sequence[Piece], joined: bool) -> list[_Part]:
        """Return special tokens as segments and the text between them as runs."""
        parts: list[_Part] = []
        gathered: list[tuple[str, bool]] = []
        is_first, after_eater = True, False

        def close_run() -> None:
            nonlocal is_first
            if gathered:
                parts.append(_Run("".join(text for text, _ in gathered), is_first, _stretches(gathered)))
                gathered.clear()
                is_first = False

        for piece in pieces:
            for text, token_id in self._split(piece):
                if token_id is not None:
                    close_run()
                    parts.append(Segment((token_id,), piece.learned))
                    is_first = piece.kind == "opening"
                    after_eater = text in self._eats_space
                elif piece.kind in ("image", "restart"):
                    close_run()
                    parts.append(self._image)
                    is_first, after_eater = piece.kind == "restart", False
                elif kept := text.lstrip() if after_eater else text:
                    gathered.append((kept, piece.learned))
                    after_eater = False
                    if not joined:
                        close_run()
        close_run()
        return parts

    def _split(self, piece: Piece) -> list[tuple[str, int | None]]:
        """Return markup as (text, None) and (special token, its id); words are never split."""
        if piece.kind not in ("markup", "opening"):
            return [(piece.text, None)]
        texts: list[tuple[str, int | None]] = []
        end = 0
        for match in self._special.finditer(piece.text):
            texts += [(piece.text[end : match.start()], None), (match[0], self._id_of[match[0]])]
            end = match.end()
        return [(text, token_id) for text, token_id in (*texts, (piece.text[end:], None)) if text]

    def _encode(self, runs: Sequence[_Run]) -> list[list[Segment]]:
        encodings: dict[_Run, Encoding] = {}
        for tokenizer, is_first in ((self._first, True), (self._later, False)):
            chosen = [run for run in runs if run.is_first == is_first]
            encoded = tokenizer.encode_batch([run.text for run in chosen], add_special_tokens=False)
            encodings.update(zip(chosen, encoded, strict=True))
        return [self._label(run, encodings[run]) for run in runs]

    def _label(self, run: _Run, encoding: Encoding) -> list[Segment]:
        if not run.learned:
            return [Segment(tuple(encoding.ids), supervised=False)]
        if run.learned == ((0, len(run.text)),):
            return [Segment(tuple(encoding.ids), supervised=True)]
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        # A token without a character of its own (a prefixed space) belongs to the character it stands at.
        starts, ends = spans[:, 0], np.maximum(spans[:, 1], spans[:, 0] + 1)
        learned = np.zeros(len(starts), dtype=bool)
        for first, last in run.learned:
            inside = (starts < last) & (ends > first)
            if ((starts < first) & inside).any() or ((ends > last) & inside).any():
                return self._encode_apart(run)
            learned |= inside
        return _group(encoding.ids, learned.tolist())

    def _encode_apart(self, run: _Run) -> list[Segment]:
        """Tokenise the learned stretches by themselves: a token would have reached over an edge."""
        edges = sorted({0, len(run.text), *(edge for stretch in run.learned for edge in stretch)})
        segments = []
        for first, last in itertools.pairwise(edges):
            is_start = run.is_first and first == 0
            text = run.text[first:last]
            if first and self._prefixes_runs:
                text = text.removeprefix(" ")
            ids = (self._first if is_start else self._later).encode(text, add_special_tokens=False).ids
            segments.append(Segment(tuple(ids), any(start <= first and last <= end for start, end in run.learned)))
        return segments


def _copy(written: str) -> Tokenizer:
    copy = Tokenizer.from_str(written)
    copy.no_padding()
    copy.no_truncation()
    copy.encode_special_tokens = True
    return copy


def _without_first_prefix(node: Any) -> Any:
    """Return the settings of a tokenizer that does not stand at the beginning of the text."""
    if isinstance(node, dict):
        changed = {key: _without_first_prefix(value) for key, value in node.items()}
        if node.get("type") == "Metaspace" and node.get("prepend_scheme") == "first":
            changed["prepend_scheme"] = "never"
        return changed
    return [_without_first_prefix(item) for item in node] if isinstance(node, list) else node


def _stretches(gathered: Iterable[tuple[str, bool]]) -> tuple[tuple[int, int], ...]:
    """Return where the learned texts stand in the whole, neighbours joined."""
    found: list[tuple[int, int]] = []
    end = 0
    for text, learned in gathered:
        start, end = end, end + len(text)
        if learned and found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        elif learned:
            found.append((start, end))
    return tuple(found)


def _group(token_ids: Sequence[int], learned: Sequence[bool]) -> list[Segment]:
    segments = []
    start = 0
    for place in range(1, len(token_ids) + 1):
        if place == len(token_ids) or learned[place] != learned[start]:
            segments.append(Segment(tuple(token_ids[start:place]), learned[start]))
            start = place
    return segments
