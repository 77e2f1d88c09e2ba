from collections.abc import Callable
from pathlib import Path

from stablellava.core.sample import Rejected, Sample
from stablellava.evaluation.tables import Table
from stablellava.studio.painter_pairs import write_painter_pairs

SampleBuilder = Callable[..., tuple[Sample, list[bytes]]]


def test_pictures_stand_side_by_side_and_refusals_say_why(build_sample: SampleBuilder, tmp_path: Path) -> None:
    sample, images = build_sample(0)
    refused = Rejected(
        draft_id="draft-0", capability="animal", keyword="peacock", stage="paint", reason="prompt_too_long",
        detail="<b>lost</b>", draft=sample.draft,
    )  # fmt: skip
    table = Table("left and right", ("measure", "left"), (("kept", "50.0"),))
    pairs = [((sample, images), (sample, images)), ((sample, images), (refused, ()))]
    page = write_painter_pairs(("left", "right"), [table], pairs, tmp_path / "pairs.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 3
    assert "prompt too long" in page
    assert "&lt;b&gt;lost&lt;/b&gt;" in page
    assert "50.0" in page
