from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stablellava.backends.protocols import Painter
from stablellava.config.base import BackendSettings
from stablellava.config.loading import load_config
from stablellava.config.tree import RunConfig
from stablellava.config.verifying import VerifySettings
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.sample import Painted, PaintJob, PaintRefusal, Sample, Verdict
from stablellava.filters.base import Candidate
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_rejected, read_samples
from stablellava.synthesis.further_checks import FurtherChecks
from stablellava.synthesis.making import MakerSetup, ShardMaker, ShardTask
from stablellava.synthesis.planning import Tally, training_planner
from stablellava.synthesis.synthesizing import data_settings, load_material, synthesize


def config_with(verify: dict[str, Any] | None = None, **changes: Any) -> RunConfig:
    overrides = ["synthesis.samples_per_capability=6", "synthesis.capabilities=[animal]", "synthesis.num_workers=1"]
    config = load_config(None, "demo", [*overrides, "synthesis.size_px=64"])
    settings = {"verify": VerifySettings.model_validate(verify) if verify else None, **changes}
    return config.model_copy(update={"synthesis": config.synthesis.model_copy(update=settings)})


def test_without_further_checks_nothing_changes() -> None:
    assert "verify" not in config_with().synthesis.model_dump()


def test_text_checks_refuse_before_anything_is_painted(tmp_path: Path) -> None:
    verify = {"checks": [{"check": "length", "options": {"max_answer_words": 4}}]}
    report = synthesize(config_with(verify, max_rounds=1), RunLayout(tmp_path))
    assert set(report.rejected_by_reason) == {"answer_too_long"}
    assert report.num_painted == report.num_accepted


class ChangingMind:
    """A picture check that refuses each sample's first picture, and always those of some keywords."""

    name = "changing_mind"
    is_cured_by_repainting = True

    def __init__(self, never: frozenset[str] = frozenset()) -> None:
        self.never = never
        self.seen: set[str] = set()
        self.num_calls = 0

    def judge_all(self, candidates: Sequence[Candidate], images: Sequence[tuple[bytes, ...]]) -> list[Verdict]:
        self.num_calls += 1
        assert all(image.startswith(b"\x89PNG") for own in images for image in own)
        verdicts = []
        for candidate in candidates:
            kept = candidate.draft.draft_id in self.seen and candidate.draft.keyword not in self.never
            self.seen.add(candidate.draft.draft_id)
            verdicts.append(Verdict(filter_name=self.name, kept=kept, reason="" if kept else "looks_wrong", score=0.5))
        return verdicts


def test_a_refused_picture_is_repainted_and_then_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_with()
    material = load_material(["animal"])
    requests = training_planner(config, material.capabilities[0]).plan_round(0, 6, Tally())
    maker = ShardMaker(MakerSetup(tmp_path, config.synthesis, material.lexicon))
    never = requests[0].keyword.name
    check = ChangingMind(frozenset({never}))
    monkeypatch.setattr(maker._further, "_of_picture", (check,))
    outcomes = maker(ShardTask("animal/r00-00000", requests=tuple(requests))).outcomes
    kept = [outcome for outcome in outcomes if not hasattr(outcome, "reason")]
    dropped = [outcome for outcome in outcomes if hasattr(outcome, "reason")]
    assert {outcome.num_repaints for outcome in kept} == {1}
    assert kept[0].verdicts[-1].filter_name == "changing_mind"
    assert {(outcome.keyword, outcome.reason) for outcome in dropped} == {(never, "looks_wrong")}
    # All drafts of the shard are looked at together: once per attempt.
    assert check.num_calls == 1 + config.synthesis.max_repaints


class Interrupted:
    """A painter that has no answer to the first calls of a draft."""

    def __init__(self, painter: Painter, reason: str) -> None:
        self.name, self.attribution, self.revision = painter.name, painter.attribution, painter.revision
        self._painter, self._reason = painter, reason
        self._is_first = True

    def paint(self, jobs: Sequence[PaintJob]) -> list[Painted | PaintRefusal]:
        is_first, self._is_first = self._is_first, False
        if is_first:
            return [PaintRefusal(painting_id=job.painting_id, reason=self._reason) for job in jobs]
        return self._painter.paint(jobs)


@pytest.mark.parametrize(("reason", "num_kept"), [("timed_out", 6), ("unsafe_image", 0)])
def test_a_picture_that_did_not_come_is_painted_again_unless_it_never_will(
    tmp_path: Path, reason: str, num_kept: int
) -> None:
    config = config_with()
    material = load_material(["animal"])
    requests = training_planner(config, material.capabilities[0]).plan_round(0, 6, Tally())
    maker = ShardMaker(MakerSetup(tmp_path, config.synthesis, material.lexicon))
    assert maker._painter is not None
    maker._painter = Interrupted(maker._painter, reason)
    outcomes = maker(ShardTask("animal/r00-00000", requests=tuple(requests))).outcomes
    assert [isinstance(outcome, Sample) for outcome in outcomes].count(True) == num_kept


def test_an_unscored_sample_is_kept_or_dropped_as_the_settings_say(tmp_path: Path) -> None:
    scripted = {"check": "judge", "backend": {"backend": "fake-chat", "options": {"broken_share": 1.0}}}
    lenient = synthesize(config_with({"checks": [scripted]}, max_rounds=1), RunLayout(tmp_path / "lenient"))
    assert lenient.num_accepted == 6
    sample = next(read_samples(RunLayout(tmp_path / "lenient").data_dir))
    judged = next(verdict for verdict in sample.verdicts if verdict.filter_name == "picture_judge")
    assert (judged.score, judged.detail.startswith("unscored")) == (None, True)
    strict = {"checks": [scripted], "drop_unscored": True}
    report = synthesize(config_with(strict, max_rounds=1), RunLayout(tmp_path / "strict"))
    assert report.rejected_by_reason == {"picture_judge_unscored": 6}
    assert next(read_rejected(RunLayout(tmp_path / "strict").data_dir)).paintings


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"check": "length", "threshold": 3}, "takes no threshold, only options"),
        ({"check": "not_blank", "threshold": 0.5}, "takes no threshold, only its name"),
        ({"check": "not_blank", "options": {"least": 3}}, "takes no options, only its name"),
        ({"check": "pixels", "backend": {"backend": "image-text"}}, "'pixels' takes no backend"),
        ({"check": "judge", "backend": {"backend": "fake-chat"}, "threshold": 0.0}, "'judge' takes no threshold"),
        ({"check": "judge", "backend": {"backend": "fake-chat"}, "thresholds": {"animal": 0.5}}, "no thresholds, only"),
        ({"check": "length", "options": {"min_words": 3}}, "does not take these options"),
        ({"check": "image_text"}, "needs a backend"),
        ({"check": "judge"}, "needs a backend"),
        ({"check": "pixels", "threshold": 1.0}, "needs options.model, no other option, and a threshold"),
        ({"check": "language", "options": {"language": "xx"}}, "'xx' is not known"),
    ],
)
def test_a_check_that_cannot_work_is_refused_when_it_is_built(
    tmp_path: Path, check: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        FurtherChecks(VerifySettings.model_validate({"checks": [check]}), tmp_path)


def test_a_fitted_check_that_is_not_there_is_named(tmp_path: Path) -> None:
    check = {"check": "pixels", "threshold": 1.0, "options": {"model": str(tmp_path / "none.npz")}}
    with pytest.raises(RecordError, match=r"none\.npz"):
        FurtherChecks(VerifySettings.model_validate({"checks": [check]}), tmp_path)


def test_how_painter_and_judge_are_reached_does_not_make_the_data_others() -> None:
    def settings_at(port: int, steps: int) -> dict[str, Any]:
        reached = {"base_url": f"http://127.0.0.1:{port}/v1", "max_in_flight": port, "key_env": f"KEY_{port}"}
        judge = {"check": "judge", "backend": {"backend": "openai", "options": {"model": "m", **reached}}}
        painter = BackendSettings(backend="openai-images", options={"extra_body": {"steps": steps}, **reached})
        return data_settings(config_with({"checks": [judge]}, painter=painter).synthesis)

    assert settings_at(1, 20) == settings_at(2, 20)
    assert settings_at(1, 20) != settings_at(1, 30)
    assert "model" in settings_at(1, 20)["verify"]["checks"][0]["backend"]["options"]
