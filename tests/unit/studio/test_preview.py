from collections.abc import Callable
from pathlib import Path

import pytest

from stablellava.core.draft import PaintPrompt
from stablellava.core.errors import RecordError
from stablellava.core.sample import Sample
from stablellava.studio.gallery import split_emphasis
from stablellava.studio.preview import write_preview

SampleBuilder = Callable[..., tuple[Sample, list[bytes]]]


def test_a_preview_shows_picture_prompt_dialogue_and_verdicts(build_sample: SampleBuilder, tmp_path: Path) -> None:
    path = write_preview([build_sample(0), build_sample(1, answer="<b>bold</b>")], tmp_path / "new" / "preview.html")
    page = path.read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 2
    assert "<strong>peacock</strong>, on the beach" in page
    assert "What do you see?" in page
    assert "keyword drawn 1.00" in page
    assert "Left no trace in the picture: soft light" in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


def test_a_preview_of_nothing_says_so(tmp_path: Path) -> None:
    assert "No sample to show." in write_preview([], tmp_path / "preview.html").read_text(encoding="utf-8")


def test_a_picture_that_cannot_be_decoded_is_refused(build_sample: SampleBuilder, tmp_path: Path) -> None:
    sample, _ = build_sample(0)
    with pytest.raises(RecordError, match="s0"):
        write_preview([(sample, [b"no picture"])], tmp_path / "preview.html")


def test_emphasis_marks_the_first_occurrence_of_each_phrase() -> None:
    prompt = PaintPrompt(text="red car, a red car on the beach", emphasis=(("red car", 1.2), ("beach", 1.1)))
    pieces = [(piece.text, piece.is_emphasised) for piece in split_emphasis(prompt)]
    assert pieces == [("red car", True), (", a red car on the ", False), ("beach", True)]
