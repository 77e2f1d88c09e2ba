import base64
import hashlib
import re
from pathlib import Path

import pytest
from PIL import Image

from stablellava.core.draft import Turn
from stablellava.core.errors import RecordError
from stablellava.core.rating import PairToRate
from stablellava.studio.rating_page import write_rating_page


def _pair(folder: Path, answer: str = "A cat.") -> PairToRate:
    path = folder / "secret-name.png"
    Image.new("RGB", (20, 10), "teal").save(path)
    turns = (Turn(speaker="user", text="What?", images=(0,)), Turn(speaker="assistant", text=answer))
    return PairToRate("pair1", turns, (path,))


def test_the_page_is_one_file_whose_only_script_its_policy_knows(tmp_path: Path) -> None:
    page = write_rating_page("study", [_pair(tmp_path)], tmp_path / "new" / "rate.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"script-src 'sha256-{digest.replace('+', '&#43;')}'" in page.replace("&#39;", "'").replace("+", "&#43;")
    assert "default-src 'none'" in page.replace("&#39;", "'")
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert 'data-study="study"' in page
    assert 'data-pair="pair1"' in page


def test_what_is_written_in_a_dialogue_is_escaped_and_names_of_files_stay_out(tmp_path: Path) -> None:
    pairs = [_pair(tmp_path, "<script>alert(1)</script>")]
    page = write_rating_page("study", pairs, tmp_path / "rate.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "secret-name" not in page


def test_a_picture_that_cannot_be_decoded_is_refused(tmp_path: Path) -> None:
    pair = _pair(tmp_path)
    pair.pictures[0].write_bytes(b"no picture")
    with pytest.raises(RecordError, match="secret-name"):
        write_rating_page("study", [pair], tmp_path / "rate.html")
