"""Whole runs drafted by a chat model: interrupted, limited, faulty, without a painter."""

from pathlib import Path
from typing import Any

import pytest

from stablellava.config.base import BackendSettings
from stablellava.config.synthesis import DraftingSettings, PoolSettings, SpendingSettings
from stablellava.config.tree import RunConfig
from stablellava.core.errors import BackendFailed, RecordError
from stablellava.core.sample import Sample
from stablellava.store.exports import export_samples
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import read_manifest
from stablellava.store.shards import read_rejected, read_samples
from stablellava.synthesis.reporting import SynthesisReport
from stablellava.synthesis.splitting import held_out_settings
from stablellava.synthesis.synthesizing import synthesize
from toys import toy_config, toy_material, tree_digest


def chat_config(options: dict[str, Any] | None = None, **settings: Any) -> RunConfig:
    fields = {"held_out_share": 0.1, "max_rounds": 20, **settings}
    backends = {
        "writer": BackendSettings(backend="fake-chat", options=options or {}),
        "painter": fields.pop("painter", None),
    }
    config = toy_config(**fields)
    return config.model_copy(update={"synthesis": config.synthesis.model_copy(update=backends)})


def run(folder: Path, config: RunConfig) -> SynthesisReport:
    return synthesize(config, RunLayout(folder), material=toy_material())


def samples_of(folder: Path) -> list[Sample]:
    return list(read_samples(RunLayout(folder).data_dir))


def test_a_run_has_exactly_the_samples_asked_for_and_none_of_a_held_out_place(tmp_path: Path) -> None:
    report = run(tmp_path, chat_config())
    assert report.unfilled == {}
    assert report.spending is not None
    assert report.spending.num_calls >= 2 * report.num_accepted == 80
    tables = {capability.name: capability for capability in toy_material().capabilities}
    for sample in samples_of(tmp_path):
        capability = tables[sample.draft.capability]
        keyword = capability.find_keyword(sample.draft.keyword)
        assert keyword is not None
        assert sample.draft.setting not in held_out_settings(capability, keyword, 0.1)
        assert sample.paintings == ()
    assert {rejected.reason for rejected in read_rejected(RunLayout(tmp_path).data_dir)} >= {"held_out_combination"}


@pytest.mark.parametrize(
    ("painter", "num_workers"),
    [(None, 2), (BackendSettings(backend="fake-painter"), 1), (BackendSettings(backend="fake-painter"), 2)],
    ids=["no painter", "one process", "two processes"],
)
def test_a_run_stopped_by_its_limit_goes_on_to_the_same_bytes(
    tmp_path: Path, painter: BackendSettings | None, num_workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"painter": painter, "num_workers": num_workers, "samples_per_capability": 12}
    monkeypatch.setenv("STABLELLAVA_CACHE", str(tmp_path / "one"))
    whole = run(tmp_path / "whole", chat_config(**settings))
    monkeypatch.setenv("STABLELLAVA_CACHE", str(tmp_path / "two"))
    limited = chat_config(**settings, spending=SpendingSettings(max_calls=24))
    reports = [run(tmp_path / "parts", limited)]
    while reports[-1].stopped:
        assert not read_manifest(RunLayout(tmp_path / "parts").data_dir).complete
        reports.append(run(tmp_path / "parts", limited))
    assert len(reports) > 2
    data = (RunLayout(tmp_path / name).data_dir for name in ("whole", "parts"))
    first, second = map(tree_digest, data)
    assert first == second
    assert whole.spending is not None
    assert sum(report.spending.num_calls for report in reports if report.spending) == whole.spending.num_calls
    assert reports[-1].total_spending is not None
    assert reports[-1].total_spending.num_calls == whole.spending.num_calls


def test_the_same_run_elsewhere_is_free(tmp_path: Path) -> None:
    run(tmp_path / "one", chat_config())
    again = run(tmp_path / "two", chat_config())
    assert again.spending is not None
    assert again.spending.num_calls == 0
    assert tree_digest(tmp_path / "one" / "data") == tree_digest(tmp_path / "two" / "data")


def test_drafts_made_without_a_painter_are_painted_later_for_free(tmp_path: Path) -> None:
    run(tmp_path / "drafts", chat_config())
    painted = run(tmp_path / "painted", chat_config(painter=BackendSettings(backend="fake-painter")))
    assert painted.spending is not None
    assert painted.spending.num_from_cache >= 80, "the checks of pictures drop some, which are drafted anew"
    assert all(sample.paintings for sample in samples_of(tmp_path / "painted"))


def test_drafts_without_pictures_cannot_be_exported(tmp_path: Path) -> None:
    run(tmp_path, chat_config())
    with pytest.raises(RecordError, match="without a picture"):
        export_samples(RunLayout(tmp_path).data_dir, tmp_path / "out", "llava")


def test_faults_cost_calls_but_no_samples(tmp_path: Path) -> None:
    faults = {"broken_share": 0.1, "truncated_share": 0.1, "fail_share": 0.02}
    report = run(tmp_path, chat_config(faults))
    assert report.unfilled == {}
    assert report.num_accepted == 40
    assert report.spending is not None
    assert report.spending.num_failed > 0
    assert "server_error" in report.rejected_by_reason


def test_drafts_may_share_calls(tmp_path: Path) -> None:
    report = run(tmp_path, chat_config(drafting=DraftingSettings(drafts_per_call=4)))
    assert report.num_accepted == 40


def test_where_the_server_stands_does_not_matter_to_the_data_but_its_faults_do(tmp_path: Path) -> None:
    run(tmp_path, chat_config({"max_in_flight": 4}))
    assert run(tmp_path, chat_config({"max_in_flight": 32, "seconds": 0.001})).num_resumed_shards > 0
    with pytest.raises(RecordError, match="writer_revision"):
        run(tmp_path, chat_config({"broken_share": 0.5}))
    with pytest.raises(RecordError, match="temperature"):
        run(tmp_path, chat_config(drafting=DraftingSettings(temperature=0.5)))


def test_a_model_that_gives_out_keeps_what_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stablellava.backends.adapters.fake_chat import FakeChat

    ask = FakeChat.ask

    async def ask_a_while(self: FakeChat, request: Any) -> Any:
        if self.num_answers >= 40:
            raise BackendFailed("no credit is left; add some and run again")
        return await ask(self, request)

    with monkeypatch.context() as patch:
        patch.setattr(FakeChat, "ask", ask_a_while)
        with pytest.raises(BackendFailed, match="no credit"):
            run(tmp_path, chat_config({"max_in_flight": 2}))
        before = tree_digest(RunLayout(tmp_path).data_dir / "shards")
        assert before
    report = run(tmp_path, chat_config())
    assert report.num_resumed_shards == sum(name.endswith(".json") for name in before)
    assert report.num_accepted == 40
    after = tree_digest(RunLayout(tmp_path).data_dir / "shards")
    assert before.items() <= after.items()


def test_a_pool_evolves_between_rounds_and_a_resumed_run_shows_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"pool": PoolSettings(round_size=36, min_novelty=0.1), "samples_per_capability": 72}
    whole = run(tmp_path / "whole", chat_config(**settings))
    assert whole.unfilled == {}
    assert {sample.draft.depth for sample in samples_of(tmp_path / "whole")} > {1}
    monkeypatch.setenv("STABLELLAVA_CACHE", str(tmp_path / "another"))
    limited = chat_config(**settings, spending=SpendingSettings(max_calls=150))
    while run(tmp_path / "parts", limited).stopped:
        pass
    assert tree_digest(tmp_path / "parts" / "data") == tree_digest(tmp_path / "whole" / "data")
