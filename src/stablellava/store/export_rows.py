"""What an exported row says, whatever the file it is written to."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from stablellava.core.draft import CallStamp, Turn
from stablellava.core.errors import RecordError
from stablellava.core.sample import Painting, Sample
from stablellava.store.images import image_path

IMAGE_TAG = "<image>"
_NOT_TOLD = {"tokens_in", "tokens_out", "seconds", "cost", "from_cache"}
"""What making the sample took: the maker's business, and other at every making."""


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture's bytes, as they were painted."""

    index: int
    """Which of the sample's pictures."""
    name: str
    """Digest and ending."""
    data: bytes


def to_llava_row(sample: Sample, images: list[str]) -> dict[str, Any]:
    """Return a row of LLaVA's JSON; ``image`` is a list only when there are several."""
    return {
        "id": sample.sample_id,
        "image": images[0] if len(images) == 1 else images,
        "conversations": [
            {"from": "human" if turn.speaker == "user" else "gpt", "value": _tagged(turn)}
            for turn in sample.draft.turns
        ],
    }


def to_messages(sample: Sample) -> list[dict[str, Any]]:
    """Return chat messages; every part has both keys, so that tables of them have one schema."""
    return [
        {
            "role": turn.speaker,
            "content": [
                *({"type": "image", "text": None} for _ in turn.images),
                {"type": "text", "text": turn.text},
            ],
        }
        for turn in sample.draft.turns
    ]


def describe_subject(sample: Sample) -> dict[str, Any]:
    """Return what one selects samples by: capability, keyword, setting and the prompts."""
    draft = sample.draft
    return {
        "capability": draft.capability,
        "keyword": draft.keyword,
        "setting": draft.setting,
        "prompts": [prompt.text for prompt in draft.prompts],
    }


def describe_origin(sample: Sample) -> str:
    """Return how the sample was made: writer, prompts, each picture's seed and painter, the checks' scores.

    As JSON text: fields differ between samples, and readers that infer one schema of all rows refuse that.
    """
    draft = sample.draft
    origin = {
        "writer": _describe_stamp(draft.stamp),
        "prompts": [prompt.model_dump(mode="json") for prompt in draft.prompts],
        "paintings": [_describe_painting(painting) for painting in sample.paintings],
        "attributes": [list(pair) for pair in draft.attributes],
        "scores": {check.filter_name: check.score for check in sample.verdicts if check.score is not None},
        "num_repaints": sample.num_repaints,
    }
    return orjson.dumps(origin).decode()


def shown_order(sample: Sample) -> list[int]:
    """Return the indices of the pictures as the dialogue shows them."""
    return [index for turn in sample.draft.turns for index in turn.images]


def read_shown(data_dir: Path, sample: Sample) -> dict[int, ShownPicture]:
    """Return the pictures that the dialogue shows, by index, each once.

    Raises: RecordError if one is missing or is no longer what was painted.
    """
    return {index: _read_picture(data_dir, index, sample.paintings[index].sha256) for index in shown_order(sample)}


def _read_picture(data_dir: Path, index: int, sha256: str) -> ShownPicture:
    path = image_path(data_dir, sha256)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise RecordError(f"{path}: the file was changed (its sha256 is {found}); make the data again, then export")
    return ShownPicture(index, path.name, data)


def _tagged(turn: Turn) -> str:
    return "".join(f"{IMAGE_TAG}\n" for _ in turn.images) + turn.text


def _describe_stamp(stamp: CallStamp) -> dict[str, Any]:
    return stamp.model_dump(mode="json", exclude=_NOT_TOLD, exclude_defaults=True)


def _describe_painting(painting: Painting) -> dict[str, Any]:
    return {
        "sha256": painting.sha256,
        "width_px": painting.width_px,
        "height_px": painting.height_px,
        "seed": painting.seed,
        "ignored": list(painting.ignored),
        "painter": _describe_stamp(painting.stamp),
    }
