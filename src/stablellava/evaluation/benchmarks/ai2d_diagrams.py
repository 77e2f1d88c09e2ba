"""Drawing the letters by which AI2D's questions name parts of a diagram."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from stablellava.core.errors import RecordError
from stablellava.evaluation.benchmarks.tables import read_json

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

_MIN_FONT_PX = 10
_OUTLINE_PX = 2


@dataclass(frozen=True)
class LabelledDiagram:
    """A diagram that gets a letter for each of its text boxes when it is wanted.

    Masked boxes are painted white and hold the letter; else they are outlined and the letter stands to the right.
    """

    path: Path
    labels: Path
    """Its annotations."""
    is_masked: bool

    def draw(self) -> bytes:
        """Return it as PNG. Raises: RecordError for annotations of another form, or a picture that cannot be read."""
        boxes = _read_boxes(self.labels)
        try:
            with Image.open(self.path) as image:
                drawn = image.convert("RGB")
        except OSError as exc:
            raise RecordError(f"{self.path} is no readable picture: {exc}") from exc
        _draw_labels(ImageDraw.Draw(drawn), boxes, is_masked=self.is_masked)
        data = io.BytesIO()
        drawn.save(data, format="PNG")
        return data.getvalue()


def _draw_labels(pen: ImageDraw.ImageDraw, boxes: Sequence[tuple[Box, str]], *, is_masked: bool) -> None:
    for (left, top, right, bottom), letter in boxes:
        box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        font = ImageFont.load_default(size=max(_MIN_FONT_PX, box[3] - box[1]))
        if is_masked:
            pen.rectangle(box, fill="white")
            pen.text((box[0], box[1]), letter, fill="black", font=font)
        else:
            pen.rectangle(box, outline="red", width=_OUTLINE_PX)
            pen.text((box[2] + _OUTLINE_PX, box[1]), letter, fill="red", font=font)


def _read_boxes(path: Path) -> list[tuple[Box, str]]:
    annotations = read_json(path)
    try:
        boxes = []
        for text in annotations["text"].values():
            (left, top), (right, bottom) = text["rectangle"]
            boxes.append(((float(left), float(top), float(right), float(bottom)), str(text["replacementText"])))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        problem = f"not a text box with rectangle and replacementText ({type(exc).__name__}: {exc})"
        raise RecordError(f"{path}: {problem}") from exc
    return boxes
