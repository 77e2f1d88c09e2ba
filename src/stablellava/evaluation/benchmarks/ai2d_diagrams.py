"""Drawing the letters by which AI2D's questions name parts of a diagram."""

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from stablellava.core.errors import RecordError

_MIN_FONT_PX = 10
_OUTLINE_PX = 2


def draw_labels(path: Path, annotations: Any, *, is_masked: bool) -> bytes:
    """Return the diagram as PNG with a letter for each of its text boxes.

    Masked boxes are painted white and hold the letter; else they are outlined and the letter stands to the right.

    Raises: RecordError for annotations of another form, or a picture that cannot be read.
    """
    boxes = _read_boxes(annotations)
    try:
        with Image.open(path) as image:
            drawn = image.convert("RGB")
    except OSError as exc:
        raise RecordError(f"{path} is no readable picture: {exc}") from exc
    pen = ImageDraw.Draw(drawn)
    for (left, top, right, bottom), letter in boxes:
        box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        font = ImageFont.load_default(size=max(_MIN_FONT_PX, box[3] - box[1]))
        if is_masked:
            pen.rectangle(box, fill="white")
            pen.text((box[0], box[1]), letter, fill="black", font=font)
        else:
            pen.rectangle(box, outline="red", width=_OUTLINE_PX)
            pen.text((box[2] + _OUTLINE_PX, box[1]), letter, fill="red", font=font)
    data = io.BytesIO()
    drawn.save(data, format="PNG")
    return data.getvalue()


def _read_boxes(annotations: Any) -> list[tuple[tuple[float, float, float, float], str]]:
    try:
        boxes = []
        for text in annotations["text"].values():
            (left, top), (right, bottom) = text["rectangle"]
            boxes.append(((float(left), float(top), float(right), float(bottom)), str(text["replacementText"])))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise RecordError(f"not a text box with rectangle and replacementText ({type(exc).__name__}: {exc})") from exc
    return boxes
