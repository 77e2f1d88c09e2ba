from pathlib import Path

import pytest

from stablellava.config.loading import load_config
from stablellava.core.sample import Rejected, Sample, Verdict
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.studio.quality import QualityDigest, view_quality
from stablellava.studio.report import write_report
from stablellava.synthesis.synthesizing import synthesize


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    overrides = ["synthesis.samples_per_capability=8", "synthesis.capabilities=[animal,color]"]
    layout = RunLayout(tmp_path_factory.mktemp("run"))
    synthesize(load_config(None, "demo", [*overrides, "synthesis.num_workers=1", "synthesis.size_px=64"]), layout)
    return layout


@pytest.fixture(scope="module")
def samples(layout: RunLayout) -> list[Sample]:
    return list(read_samples(layout.data_dir))


def scored(sample: Sample, score: float) -> Sample:
    verdict = Verdict(filter_name="image_text_score", kept=True, score=score, threshold=10.0)
    return sample.model_copy(update={"verdicts": (*sample.verdicts, verdict)})


def refused(sample: Sample, reason: str) -> Rejected:
    draft = sample.draft
    return Rejected(
        draft_id=draft.draft_id, capability=draft.capability, keyword=draft.keyword, stage="verify", reason=reason,
        draft=draft, paintings=sample.paintings,
    )  # fmt: skip


def test_mismatch_is_counted_by_capability_and_painter(samples: list[Sample]) -> None:
    digest = QualityDigest()
    list(digest.watch(samples))
    for reason in ("keyword_not_drawn", "picture_disagrees", "near_pair"):
        digest.add_rejected(refused(samples[0], reason))
    rows = {(row.capability, row.painter): row for row in view_quality(digest, Path("none")).mismatch}
    row = rows[samples[0].draft.capability, "openmoji"]
    assert (row.num_painted, row.num_mismatched) == (11, 2)
    assert row.rate.low < 2 / 11 < row.rate.high


def test_the_lowest_scored_kept_samples_come_first(layout: RunLayout, samples: list[Sample]) -> None:
    digest = QualityDigest()
    list(digest.watch(scored(sample, 20.0 - index) for index, sample in enumerate(samples)))
    view = view_quality(digest, layout.data_dir)
    lowest = next(one for one in view.lowest if one.filter_name == "image_text_score")
    assert [card.anchor for card in lowest.cards] == [sample.sample_id for sample in samples[:-7:-1]]
    assert all(picture.uri.startswith("data:image/") for card in lowest.cards for picture in card.pictures)


def test_prompts_that_recur_are_named(samples: list[Sample]) -> None:
    digest = QualityDigest()
    list(digest.watch([*samples, samples[0], samples[0]]))
    row = next(one for one in view_quality(digest, Path("none")).repetition if one.repeated)
    assert row.repeated == ((samples[0].draft.prompts[0].text, 3),)


def test_the_report_has_the_section(layout: RunLayout) -> None:
    page = write_report(layout).read_text(encoding="utf-8")
    assert 'id="quality"' in page
    assert "none of them is in the data" in page


def test_pairs_that_repeat_each_other_are_shown_with_their_pictures(layout: RunLayout, samples: list[Sample]) -> None:
    turns = samples[1].draft.turns
    repeated = samples[1].model_copy(
        update={
            "sample_id": "again",
            "draft": samples[1].draft.model_copy(update={"draft_id": "again", "turns": (*turns, *turns[:2])}),
        }
    )
    digest = QualityDigest()
    list(digest.watch([*samples, repeated]))
    alike = view_quality(digest, layout.data_dir).alike
    assert (alike[0].word_overlap, alike[0].num_differing_bits) == (1.0, 0)
    assert {card.anchor for card in alike[0].cards} == {samples[1].draft.draft_id, "again"}
    assert all(picture.uri.startswith("data:image/") for card in alike[0].cards for picture in card.pictures)
    assert len(alike) == 2
    assert alike[1].word_overlap < 1
    assert "Kept pairs that are most alike" in write_report(layout).read_text(encoding="utf-8")
