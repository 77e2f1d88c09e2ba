"""How much of a prompt a pipeline's text encoders read, and how a long one is cut into windows."""

from dataclasses import dataclass
from inspect import signature
from typing import Any

from stablellava.core.errors import ConfigError

_SEPARATORS = (", ", " ", "")
_NO_LIMIT = 1_000_000
"""Tokenizers without a limit of their own report a number far above this."""


@dataclass(frozen=True)
class Reader:
    """A tokenizer with the number of tokens that its encoder reads, start and end marks not counted."""

    tokenizer: Any
    limit: int
    is_clip: bool

    def fits(self, text: str) -> bool:
        """Tell whether the encoder reads all of the text."""
        return len(self.tokens(text)) <= self.limit

    def tokens(self, text: str) -> list[int]:
        """Return the text's token ids without start and end marks."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)


def find_readers(pipeline: Any, call_options: dict[str, Any]) -> tuple[Reader, ...]:
    """Return a reader per text encoder of the pipeline; none if it names its encoders in a way of its own.

    Raises: ConfigError if an option asks for more tokens than an encoder has places for.
    """
    readers = []
    for name, tokenizer in pipeline.components.items():
        encoder = pipeline.components.get(name.replace("tokenizer", "text_encoder"))
        if not name.startswith("tokenizer") or tokenizer is None or encoder is None:
            continue
        is_clip = type(encoder).__name__.startswith("CLIPText")
        length = tokenizer.model_max_length if is_clip else _asked_length(pipeline, call_options)
        length = length or tokenizer.model_max_length
        if length < _NO_LIMIT:
            readers.append(Reader(tokenizer, length - tokenizer.num_special_tokens_to_add(), is_clip))
    return tuple(readers)


def find_lost_words(text: str, readers: tuple[Reader, ...]) -> str:
    """Return the end of the text that no encoder reads; empty if one of them reads all of it."""
    lost = text
    for reader in readers:
        if reader.fits(text):
            return ""
        words = text.split(" ")
        num_read = _count_read(words, reader)
        lost = min(lost, " ".join(words[num_read:]), key=len)
    return lost if readers else ""


def split_windows(text: str, reader: Reader) -> tuple[str, ...]:
    """Cut a text into windows that the encoder reads whole, at commas where possible, then between words."""
    if reader.fits(text):
        return (text,)
    windows: list[str] = []
    for piece, separator in _pieces(text, reader, _SEPARATORS):
        joined = f"{windows[-1]}{separator}{piece}" if windows else piece
        if windows and reader.fits(joined):
            windows[-1] = joined
        else:
            windows.append(piece)
    return tuple(windows)


def _pieces(text: str, reader: Reader, separators: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return pieces that fit, each with what joins it to the piece before."""
    separator, *finer = separators
    pieces: list[tuple[str, str]] = []
    for part in text.split(separator) if separator else text:
        inner = [(part, separator)] if not finer or reader.fits(part) else _pieces(part, reader, tuple(finer))
        pieces += [(inner[0][0], separator), *inner[1:]] if inner else []
    return pieces


def _asked_length(pipeline: Any, call_options: dict[str, Any]) -> int | None:
    parameter = signature(type(pipeline).__call__).parameters.get("max_sequence_length")
    if parameter is None:
        return None
    length = call_options.get("max_sequence_length", parameter.default)
    if not isinstance(length, int) or length < 1:
        raise ConfigError(f"call_options max_sequence_length={length!r} is no number of tokens; for example 256")
    return length


def _count_read(words: list[str], reader: Reader) -> int:
    """Return how many words from the first on the encoder reads, by halving."""
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if reader.fits(" ".join(words[:middle])):
            low = middle
        else:
            high = middle - 1
    return low
