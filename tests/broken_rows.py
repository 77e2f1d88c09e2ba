"""A LLaVA JSON file with one row in a hundred broken, in every way that published data is."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Row = dict[str, Any]
SIDE_PX = 16


def say(*values: Any) -> list[Row]:
    return [{"from": "gpt" if index % 2 else "human", "value": value} for index, value in enumerate(values)]


def good_row(number: int) -> Row:
    """Rows of every kind that can be used, odd ones among them."""
    shown = say("<image>\nWhat is it?", "A dog.")
    kinds: list[Row] = [
        {"id": number, "image": "rgb.png", "conversations": shown},
        {
            "id": f"{number:012d}",
            "image": "rgb.png",
            "conversations": say("What is it?\n<image>", "A dog.", "Sure?", "Yes."),
        },
        {"id": str(number), "model": "", "conversations": say("What does <image> mean?", "A tag.")},
        {
            "id": "again",
            "image": ["rgb.png", "cmyk.jpg"],
            "conversations": say("<image>\n<image>\nWhich?", "Both <image>."),
        },
        {"image": "palette.png", "conversations": say("<image>", "A dog.")},
        {"id": number, "image": "gif-named.jpg", "conversations": say("Is it <image>\n<image>?", "Yes.")},
        {"id": number, "image": "animated.gif", "conversations": [{"from": "system", "value": "Be brief."}, *shown]},
        {"id": number, "image": None, "conversations": [{"from": "gpt", "value": "Hello!"}, *say("Hi.", "Bye.")]},
        {
            "id": number,
            "image": "sixteen-bits.png",
            "conversations": [{**shown[0], "text": "x", "markdown": None}, shown[1]],
        },
    ]
    return kinds[number % len(kinds)]


BROKEN: dict[str, tuple[str, Callable[[], Any]]] = {
    "a missing picture": ("image_missing", lambda: {"image": "gone.jpg", "conversations": say("<image>\nWhat?", "A.")}),
    "a path outside": (
        "image_outside_folder",
        lambda: {"image": "../up.png", "conversations": say("<image>\nWhat?", "A.")},
    ),
    "an absolute path": (
        "image_outside_folder",
        lambda: {"image": "/etc/passwd", "conversations": say("<image>?", "A.")},
    ),
    "a web address": (
        "image_is_remote",
        lambda: {"image": "http://x/y.jpg", "conversations": say("<image>\nWhat?", "A.")},
    ),
    "a name too long": ("image_missing", lambda: {"image": "x" * 5000, "conversations": say("<image>\nWhat?", "A.")}),
    "an error page": ("image_unreadable", lambda: {"image": "page.jpg", "conversations": say("<image>\nWhat?", "A.")}),
    "an empty file": ("image_unreadable", lambda: {"image": "empty.jpg", "conversations": say("<image>\nWhat?", "A.")}),
    "half a picture": ("image_truncated", lambda: {"image": "half.jpg", "conversations": say("<image>\nWhat?", "A.")}),
    "a huge picture": ("image_too_large", lambda: {"image": "huge.png", "conversations": say("<image>\nWhat?", "A.")}),
    "one of two broken": (
        "image_truncated",
        lambda: {"image": ["rgb.png", "half.jpg"], "conversations": say("<image><image>\nWhat?", "A.")},
    ),
    "a picture without tag": ("image_without_tag", lambda: {"image": "rgb.png", "conversations": say("What?", "A.")}),
    "a tag without picture": ("tag_without_image", lambda: {"conversations": say("<image>\nWhat?", "A.")}),
    "a tag in the answer": (
        "image_in_answer",
        lambda: {"image": "rgb.png", "conversations": say("What?", "<image>\nA.")},
    ),
    "one tag for two": (
        "too_few_tags",
        lambda: {"image": ["rgb.png", "rgb.png"], "conversations": say("<image>\nWhat?", "A.")},
    ),
    "tags in two turns": (
        "too_many_tags",
        lambda: {"image": "rgb.png", "conversations": say("<image>\nWhat?", "A.", "<image>\nAnd?", "B.")},
    ),
    "image and images": (
        "image_and_images",
        lambda: {"image": "rgb.png", "images": ["rgb.png"], "conversations": say("<image>\nWhat?", "A.")},
    ),
    "a number as image": ("field_wrong_type", lambda: {"image": 7, "conversations": say("<image>\nWhat?", "A.")}),
    "an empty image name": ("field_wrong_type", lambda: {"image": "", "conversations": say("<image>\nWhat?", "A.")}),
    "a null value": ("field_wrong_type", lambda: {"conversations": say("What?", None)}),
    "turns as text": ("field_wrong_type", lambda: {"conversations": "What? A."}),
    "a turn as text": ("field_wrong_type", lambda: {"conversations": ["What?", "A."]}),
    "no turns": ("no_turns", lambda: {"conversations": []}),
    "no dialogue": ("field_missing", lambda: {"id": 1, "image": "rgb.png"}),
    "an empty answer": ("empty_answer", lambda: {"image": "rgb.png", "conversations": say("<image>\nWhat?", " ")}),
    "an empty question": ("empty_question", lambda: {"conversations": say("", "A.")}),
    "an open question": ("question_unanswered", lambda: {"conversations": say("What?", "A.", "And?")}),
    "two questions": ("turns_out_of_order", lambda: {"conversations": [*say("What?"), *say("And?", "A.")]}),
    "an answer alone": ("turns_out_of_order", lambda: {"conversations": say("What?", "A.")[1:]}),
    "a late system turn": (
        "system_turn_misplaced",
        lambda: {"conversations": [*say("What?", "A."), {"from": "system", "value": "Be brief."}, *say("Q", "A")]},
    ),
    "an unknown speaker": ("unknown_speaker", lambda: {"conversations": [{"from": "bot", "value": "A."}]}),
    "no object": ("not_an_object", lambda: "a text"),
    "a null row": ("not_an_object", lambda: None),
}


def write_pictures(folder: Path) -> None:
    """Write one picture of every kind that is named above, whole and broken."""
    folder.mkdir(parents=True, exist_ok=True)
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8))
    rgb.save(folder / "rgb.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(folder / "palette.png", transparency=b"\x00\x80")
    palette.save(folder / "gif-named.jpg", format="GIF")
    rgb.save(folder / "animated.gif", save_all=True, append_images=[rgb.rotate(90)])
    Image.fromarray(np.full((SIDE_PX, SIDE_PX), 40_000, dtype=np.uint16)).save(folder / "sixteen-bits.png")
    whole = io.BytesIO()
    rgb.resize((200, 200)).save(whole, "JPEG")
    (folder / "half.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "page.jpg").write_bytes(b"<html>404</html>")
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("1", (9_000, 9_000)).save(folder / "huge.png")
    (folder.parent / "up.png").write_bytes((folder / "rgb.png").read_bytes())


def write_rows(path: Path, per_kind: int, share: float = 0.01) -> dict[int, str]:
    """Write rows of which ``share`` is broken in each way; return the broken rows' numbers and reasons."""
    num_rows = round(per_kind / share)
    step = num_rows // (per_kind * len(BROKEN))
    assert step >= 2, "no room for good rows"
    broken: dict[int, str] = {}
    rows: list[Any] = [good_row(number) for number in range(num_rows)]
    kinds = list(BROKEN.values()) * per_kind
    for place, (reason, make) in enumerate(kinds):
        rows[place * step + 1] = make()
        broken[place * step + 2] = reason
    path.write_text(json.dumps(rows, indent=1 if per_kind == 1 else None), encoding="utf-8")
    return broken
