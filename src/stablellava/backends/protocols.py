"""What the rooms above ask of a backend. Batch first, seeds explicit.

A third party offers a backend by an entry point in the group ``stablellava.backends``, named
``<kind>.<name>`` ("painter.mypainter"), that points to a class taking its options as keyword
arguments. Nothing is inherited: a class that has the methods is a backend.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stablellava.backends.picture_stamps import PictureStamp
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.draft import Draft, DraftRefusal, DraftRequest
from stablellava.core.sample import Painted, PaintJob, PaintRefusal
from stablellava.core.score import Answer, EvalItem, Unanswered


@runtime_checkable
class Writer(Protocol):
    """Turns requests into drafts (kind "writer")."""

    name: str

    @property
    def revision(self) -> str:
        """Changes whenever the same request could give another draft; part of a run's fingerprint."""
        ...

    def write(self, requests: Sequence[DraftRequest]) -> list[Draft | DraftRefusal]:
        """Return one result per request, in their order; the same request gives the same result."""
        ...


@runtime_checkable
class ChatModel(Protocol):
    """Answers one chat request at a time, many at once (kind "chat"): a wire, or a model in this process."""

    name: str
    max_in_flight: int
    """How many calls a caller should keep open; the model itself decides how many of them are sent."""

    @property
    def revision(self) -> str:
        """Changes whenever the same request could give another answer; part of a run's fingerprint."""
        ...

    async def ask(self, request: ChatRequest) -> ChatReply | ChatFailure:
        """Return the answer, or why this one request has none.

        Raises: BackendFailed when no request can be answered (wrong key, no credit, server gone).
        """
        ...

    async def close(self) -> None:
        """Let go of connections and weights."""
        ...


@runtime_checkable
class Painter(Protocol):
    """Paints from prompt text, seed and size alone (kind "painter")."""

    name: str
    attribution: str
    """Licence line that a data card must carry; empty when none is owed."""

    @property
    def revision(self) -> str:
        """Changes whenever the same job could give another picture; part of a run's fingerprint."""
        ...

    def paint(self, jobs: Sequence[PaintJob]) -> list[Painted | PaintRefusal]:
        """Return one result per job, in their order, whatever the batch."""
        ...


@runtime_checkable
class StreamingPainter(Painter, Protocol):
    """A painter that encodes one batch while it paints the next; used wherever it is offered."""

    def paint_batches(self, batches: Iterable[Sequence[PaintJob]]) -> Iterator[list[Painted | PaintRefusal]]:
        """Yield what ``paint`` would return for each batch, in their order, about one batch late."""
        ...


@runtime_checkable
class Repainter(Protocol):
    """Paints a picture again from the stamp inside it (kind "repainter")."""

    name: str

    def find_differences(self, stamp: PictureStamp) -> list[str]:
        """Return, in words, what would make the bytes differ from those of the stamped picture."""
        ...

    def repaint(self, stamp: PictureStamp) -> bytes:
        """Return the encoded picture."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Says how close pictures and texts are (kind "scorer")."""

    name: str

    @property
    def revision(self) -> str:
        """Changes whenever the same pair could get another score."""
        ...

    def score(self, images: Sequence[bytes], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """Return for each encoded picture one score per text of its own, higher is closer, whatever the batch."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """Says what kind of picture one is (kind "classifier")."""

    name: str
    labels: tuple[str, ...]

    @property
    def revision(self) -> str:
        """Changes whenever the same picture could get another probability."""
        ...

    def classify(self, images: Sequence[bytes]) -> list[dict[str, float]]:
        """Return label -> probability for encoded pictures, in their order, whatever the batch."""
        ...


@runtime_checkable
class FeatureReader(Protocol):
    """Turns pictures into vectors (kind "features")."""

    name: str

    @property
    def revision(self) -> str:
        """Changes whenever the same picture could get another vector."""
        ...

    def read(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Return float32 [images, width] for encoded pictures, whatever the batch."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """Answers questions about images (a local checkpoint, later any chat endpoint)."""

    name: str
    fingerprint: str
    """Changes when the weights or the generation options change."""

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        """Return one answer per item, in their order, independent of the batch."""
        ...


@runtime_checkable
class StreamingAnswerer(Answerer, Protocol):
    """An answerer that tells each answer as soon as it has it; used wherever it is offered.

    It sees all items at once, so that it can sort them, and nothing is lost by a kill but what was under way.
    """

    def answer_each(self, items: Sequence[EvalItem], image_dir: str) -> Iterator[Answer | Unanswered]:
        """Yield one answer per item, or why there is none, in any order; what ``answer`` returns, early."""
        ...
