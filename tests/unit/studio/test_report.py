import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from stablellava.core.sample import Rejected
from stablellava.store.images import decode_picture, store_image
from stablellava.store.layout import RunLayout
from stablellava.store.shards import commit_shard
from stablellava.studio.report import write_report

SampleBuilder = Callable[..., tuple[object, list[bytes]]]
_VOID = {"meta", "img", "br"}
_HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}</style>"


class _Page(HTMLParser):
    """Collects what a browser would load or run, and checks that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(path: Path) -> _Page:
    page = _Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_a_full_run_shows_every_part(full_run: RunLayout) -> None:
    path = write_report(full_run)
    page = _read(path)
    text = " ".join(page.text)
    assert path == full_run.report_path
    assert "instruct stands above align by +80.0 points" in text
    assert "a gap of +80.0 points" in text
    assert "looks like over-fitting" in text
    assert "keyword not drawable" in text
    assert "a tractor" in text
    assert "1 min 1 s" in text
    assert "Drawn with Test Emoji." in text
    assert "no combination of keyword and setting" in text
    assert page.attributes.count(("svg", "class", "radar")) == 2
    assert page.attributes.count(("svg", "class", "curves")) == 4
    assert ("svg", "class", "heat") in page.attributes
    assert "could not be read" not in text


def test_the_page_loads_nothing_and_runs_nothing(full_run: RunLayout) -> None:
    page = _read(write_report(full_run))
    assert {"script", "link", "iframe", "object", "form"}.isdisjoint(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    for tag, name, value in page.attributes:
        if name == "src":
            assert value.startswith("data:image/webp;base64,")
        if name == "href":
            assert (tag, value[0]) == ("a", "#")
    policy = next(value for tag, name, value in page.attributes if (tag, name) == ("meta", "content"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_every_picture_says_what_it_shows_and_every_table_has_headers(full_run: RunLayout) -> None:
    page = _read(write_report(full_run))
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(alts) == page.tags.count("img") > 0
    assert len(labels) == page.tags.count("svg") > 0
    assert all(alts) and all(labels)
    assert "Painted for: peacock, on the beach, soft light" in alts
    assert page.tags.count("caption") == page.tags.count("table")


def test_the_same_run_gives_the_same_bytes(full_run: RunLayout, tmp_path: Path) -> None:
    first = write_report(full_run).read_bytes()
    second = write_report(full_run, tmp_path / "again.html").read_bytes()
    assert first == second


def test_an_empty_run_says_what_is_missing_and_how_to_make_it(layout: RunLayout) -> None:
    text = " ".join(_read(write_report(layout)).text)
    for verb in ("stablellava synthesize", "stablellava train --stage align", "stablellava evaluate"):
        assert verb in text


def test_a_run_with_one_stage_shows_its_figures_without_a_comparison(full_run: RunLayout) -> None:
    full_run.eval_log_path("generated", "instruct").unlink()
    full_run.eval_log_path("photos", "instruct").unlink()
    text = " ".join(_read(write_report(full_run)).text)
    assert "generated: align" in text
    assert "stands above" not in text
    assert "a gap of +10.0 points" in text


def test_a_stage_took_as_long_as_all_its_steps(full_run: RunLayout) -> None:
    assert "3 steps in 6.0 s; loss 2.000 at the start" in " ".join(_read(write_report(full_run)).text)


def test_a_stage_that_was_solved_for_says_so_instead_of_a_curve(full_run: RunLayout) -> None:
    full_run.training_log_path("align").unlink()
    report = {"num_examples": 3120, "seconds": 61.9, "explained": 0.25}
    (full_run.training_dir("align") / "report.json").write_text(json.dumps(report))
    text = " ".join(_read(write_report(full_run)).text)
    assert "Solved for in 1 min 2 s on 3,120 samples, without steps; the projector explains 25.0 %" in text
    assert text.index("Solved for") < text.index("3 steps in")


def test_a_damaged_part_is_named_and_the_rest_is_shown(full_run: RunLayout) -> None:
    full_run.training_log_path("align").write_text("{broken")
    (full_run.data_dir / "shards" / "animal" / "000.parquet").write_bytes(b"no parquet")
    full_run.eval_log_path("photos", "align").write_text("{}")
    text = " ".join(_read(write_report(full_run)).text)
    assert "The data could not be read in full" in text
    assert "The training of align could not be read in full" in text
    assert "The evaluation of photos.align could not be read in full" in text
    assert "instruct stands above align" in text


def test_a_contaminated_suite_is_called_so(full_run: RunLayout, build_sample: SampleBuilder) -> None:
    log_path = full_run.eval_log_path("generated", "align")
    picture = decode_picture(build_sample(0, color="teal")[1][0], "test").sha256
    log_path.write_text(log_path.read_text().replace('"images_sha256":[]', f'"images_sha256":["{picture}"]', 1))
    assert "Contaminated: 0 combinations of keyword and setting and 1 pictures" in " ".join(
        _read(write_report(full_run)).text
    )


def test_hostile_text_is_shown_as_text(full_run: RunLayout, build_sample: SampleBuilder) -> None:
    sample, (data,) = build_sample(9, keyword=_HOSTILE, answer=_HOSTILE, color="red")
    store_image(full_run.data_dir, data, decode_picture(data, "test"))
    rejected = Rejected(
        draft_id="x", capability="animal", keyword=_HOSTILE, stage="verify", reason=_HOSTILE, detail=_HOSTILE
    )
    commit_shard(full_run.data_dir, "animal/001", [sample, rejected])  # type: ignore[list-item]
    log_path = full_run.eval_log_path("generated", "instruct")
    hostile = _HOSTILE.replace('"', '\\"')
    log_path.write_text(re.sub(r'"a tractor"', lambda _: f'"{hostile}"', log_path.read_text()))
    page = _read(write_report(full_run))
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("style") == 1
    assert "".join(page.text).count(_HOSTILE) >= 5


def test_pictures_that_are_gone_leave_a_note(full_run: RunLayout) -> None:
    for path in full_run.root.rglob("*.png"):
        path.unlink()
    page = _read(write_report(full_run))
    assert "img" not in page.tags
    assert "no picture kept" in " ".join(page.text)
