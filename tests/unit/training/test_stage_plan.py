"""The plan's figures against calculations by hand, those of docs/training-plan.md."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import tiny_vlm
from stablellava.config.loading import load_config
from stablellava.config.training import ModelSettings
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.model.assembling import assemble
from stablellava.model.sketching import count_image_tokens, sketch_llava
from stablellava.store.layout import RunLayout
from stablellava.training.counting import count_tokens
from stablellava.training.stage_plan import Cluster, StagePlan, TokenCounts, plan_stage

COUNTS = TokenCounts(665_298, 900, 180, is_counted=False)
LLAVA = [
    "training.precision=bfloat16",
    "training.speed.gradient_checkpointing=true",
    "training.model.tower=openai/clip-vit-large-patch14-336",
    "training.model.image_size_px=336",
    "training.model.projector=mlp2x_gelu",
    "training.model.chat_template=vicuna_v1",
]


def settings(size: str, batch_size: int, lora: bool = False, *more: str) -> RunConfig:
    overrides = [
        *LLAVA,
        f"training.model.language_model=lmsys/vicuna-{size}-v1.5",
        f"training.instruct.batch_size={batch_size}",
        *(["training.instruct.lora={rank: 128}"] if lora else []),
        *more,
    ]
    return load_config(None, None, overrides)


def gigabytes(plan: StagePlan) -> dict[str, float]:
    return {part.name: part.bytes_per_device / 1e9 for part in plan.memory}


def test_full_training_of_13b_on_eight_gpus_is_what_a_hand_calculation_says() -> None:
    plan = plan_stage(settings("13b", 16), "instruct", Cluster(8, 80, "fsdp", 2500), COUNTS)
    by_hand = {
        "frozen weights": 0.1518,
        "trained weights": 6.52,
        "gradients": 6.52,
        "optimizer": 13.05,
        "gathered layers": 1.924,
        "layer inputs kept": 5.898,
        "one layer computed again": 2.772,
        "logits of supervised tokens": 0.55296,
        "context and buffers (assumed)": 2.0,
    }
    assert gigabytes(plan) == pytest.approx(by_hand, rel=0.01)
    assert plan.fits
    assert (plan.samples_per_step, plan.num_steps) == (128, 5198)
    assert plan.hours == pytest.approx(665_298 * 900 / (2500 * 8) / 3600)


def test_lora_of_7b_on_one_gpu_is_what_a_hand_calculation_says() -> None:
    plan = plan_stage(settings("7b", 1, lora=True), "instruct", Cluster(1, 24, "ddp"), COUNTS, global_batch=128)
    assert plan.num_adapter_parameters == 32 * 128 * (4 * 8192 + 3 * 15104)
    assert plan.num_trained == plan.num_adapter_parameters + 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    assert gigabytes(plan)["frozen weights"] == pytest.approx(14.69, rel=0.01)
    assert plan.total_gb == pytest.approx(23.25, rel=0.01)
    assert plan.fits
    assert plan.hours is None


def test_what_cannot_fit_comes_with_what_would() -> None:
    plan = plan_stage(settings("7b", 16, lora=True), "instruct", Cluster(1, 24, "ddp"), COUNTS)
    assert not plan.fits
    assert plan.advice == ("batch_size=2 gradient_accumulation=8 takes 23.6 GB",)


def test_nothing_that_fits_is_said_plainly() -> None:
    plan = plan_stage(settings("13b", 1), "instruct", Cluster(1, 24, "ddp"), COUNTS)
    assert plan.advice == ("nothing tried fits: use LoRA, more devices, or a smaller model",)


def test_align_trains_the_projector_alone() -> None:
    plan = plan_stage(settings("7b", 16), "align", Cluster(8, 80, "fsdp"), COUNTS)
    assert plan.num_trained == 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    assert [module.num_trainable > 0 for module in plan.modules] == [False, True, False]


@pytest.mark.parametrize(
    ("devices", "wanted", "message"),
    [
        (8, 100, r"cannot be cut into passes of 16 on 8 devices.*a global batch of 128 would divide"),
        (8, 120, "batch_size=15 with gradient_accumulation=1 would divide"),
    ],
)
def test_a_batch_that_cannot_be_divided_is_refused(devices: int, wanted: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_stage(settings("7b", 16), "instruct", Cluster(devices, 80, "fsdp"), COUNTS, wanted)


def test_a_batch_that_divides_sets_the_accumulation() -> None:
    plan = plan_stage(settings("7b", 16), "instruct", Cluster(2, 80, "fsdp"), COUNTS, global_batch=128)
    assert (plan.samples_per_step, plan.num_steps) == (128, 5198)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("zero2", {"trained weights": 2 + 4 / 8, "gradients": 2 / 8, "optimizer": 8 / 8}),
        ("zero3", {"trained weights": 6 / 8, "gradients": 2 / 8, "optimizer": 8 / 8}),
        ("ddp", {"trained weights": 4, "gradients": 4, "optimizer": 8}),
    ],
)
def test_each_strategy_shards_what_it_says(strategy: str, expected: dict[str, float]) -> None:
    plan = plan_stage(settings("7b", 1), "instruct", Cluster(8, 80, strategy), COUNTS)  # type: ignore[arg-type]
    found = gigabytes(plan)
    for name, bytes_per_parameter in expected.items():
        assert found[name] == pytest.approx(bytes_per_parameter * plan.num_trained / 1e9)


@pytest.mark.parametrize(
    ("tower", "size_px", "tokens"),
    [
        ("openai/clip-vit-large-patch14-336", 336, 576),
        ("openai/clip-vit-large-patch14", 224, 256),
        ("google/siglip-so400m-patch14-384", 384, 729),
        ("efficientnet-lite0", 128, 16),
    ],
)
def test_image_tokens_are_counted_without_weights(tower: str, size_px: int, tokens: int) -> None:
    assert count_image_tokens(ModelSettings(tower=tower, image_size_px=size_px)) == tokens


def test_a_part_of_unknown_size_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"vicuna-7b-v1\.5"):
        sketch_llava(ModelSettings(language_model="lmsys/vicuna-7b-v15"))


def test_a_tower_made_for_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="was made for 336"):
        sketch_llava(ModelSettings(tower="openai/clip-vit-large-patch14-336", image_size_px=224))


@pytest.mark.parametrize(
    ("overrides", "expected"), [((), 0.0), (("training.speed.packing=false",), None)], ids=["packed", "not packed"]
)
def test_padding_is_none_where_samples_are_packed_and_unknown_without_the_data(
    overrides: tuple[str, ...], expected: float | None
) -> None:
    plan = plan_stage(settings("7b", 1, False, *overrides), "align", Cluster(8, 80, "fsdp"), COUNTS)
    assert plan.padding_share == expected


def test_padding_is_counted_in_the_stages_own_data(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    tiny_vlm.write_samples(layout.data_dir, 12)
    language_model = tiny_vlm.write_language_model(tmp_path / "lm")
    shares = []
    for overrides in ((), ("training.instruct.group_by_length=false",)):
        config = tiny_vlm.training_config(language_model, "training.speed.packing=false", *overrides)
        shares.append(count_tokens(config, layout, "instruct").padding_share)
    assert shares[0] is not None and shares[1] is not None
    assert 0 <= shares[0] < shares[1] < 0.5


def test_memory_is_counted_for_a_step_of_the_longest_samples(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    tiny_vlm.write_samples(layout.data_dir, 12)
    config = tiny_vlm.training_config(tiny_vlm.write_language_model(tmp_path / "lm"))
    counts = count_tokens(config, layout, "instruct")
    assert counts.longest_tokens is not None and counts.longest_supervised is not None
    assert counts.tokens_per_sample < counts.longest_tokens
    assert counts.supervised_per_sample < counts.longest_supervised < counts.longest_tokens
    mean = replace(counts, longest_tokens=None, longest_supervised=None)
    totals = [
        plan_stage(settings("7b", 1), "instruct", Cluster(1, 80, "ddp"), each).total_gb for each in (mean, counts)
    ]
    assert totals[0] < totals[1]


def test_adapters_beside_a_projector_that_stays_are_planned() -> None:
    config = settings("7b", 1, True, "training.instruct.train_projector=false")
    plan = plan_stage(config, "instruct", Cluster(1, 24, "ddp"), COUNTS)
    assert plan.num_trained == plan.num_adapter_parameters > 0


def test_advice_keeps_the_samples_of_a_step() -> None:
    plan = plan_stage(settings("7b", 9, lora=True), "instruct", Cluster(1, 24, "ddp"), COUNTS)
    assert plan.advice == ("batch_size=1 gradient_accumulation=9 takes 23.2 GB",)


def write_rows(path: Path, answer: str, count: int) -> str:
    said = [{"from": "human", "value": "Is it?"}, {"from": "gpt", "value": answer}]
    path.write_text(json.dumps([{"id": str(index), "conversations": said} for index in range(count)]))
    return str(path)


def test_what_is_drawn_of_several_sources_is_counted(tmp_path: Path) -> None:
    short = write_rows(tmp_path / "short.json", "Yes.", 10)
    long = write_rows(tmp_path / "long.json", "Yes, very much so, indeed.", 20)
    language_model = tiny_vlm.write_language_model(tmp_path / "lm")

    def count(*sources: dict[str, object]) -> TokenCounts:
        overrides = (f"training.instruct.sources={json.dumps(sources)}", "training.instruct.num_samples=null")
        config = tiny_vlm.training_config(language_model, *overrides)
        return count_tokens(config, RunLayout(tmp_path / "run"), "instruct")

    alone = [count({"path": path}) for path in (short, long)]
    assert [(counts.num_samples, counts.num_drawn) for counts in alone] == [(10, 10), (20, 20)]
    both = count({"path": short, "epochs": 3}, {"path": long, "samples": 5})
    plan = plan_stage(settings("7b", 1), "instruct", Cluster(1, 80, "ddp"), both)
    assert (plan.num_samples, plan.num_steps) == (35, 35)
    assert plan.num_tokens == 30 * alone[0].tokens_per_sample + 5 * alone[1].tokens_per_sample
    assert plan.num_supervised == 30 * alone[0].supervised_per_sample + 5 * alone[1].supervised_per_sample


def test_a_stage_that_goes_on_from_a_checkpoint_is_counted_with_its_tokenizer(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    tiny_vlm.write_samples(layout.data_dir, 3)
    language_model = tiny_vlm.write_language_model(tmp_path / "lm")
    assemble(tiny_vlm.tiny_settings(language_model), seed=0).save(tmp_path / "start")
    expected = count_tokens(tiny_vlm.training_config(language_model), layout, "instruct")
    elsewhere = tiny_vlm.training_config(Path("nowhere"), f"training.model.start={tmp_path / 'start'}")
    assert count_tokens(elsewhere, layout, "instruct") == expected
    with pytest.raises(ConfigError, match=r"training\.model\.start='gone' is not a model's folder"):
        count_tokens(tiny_vlm.training_config(language_model, "training.model.start=gone"), layout, "instruct")
