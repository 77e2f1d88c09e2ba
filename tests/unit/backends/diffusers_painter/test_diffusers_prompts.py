from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stablellava.backends.adapters.diffusers_painter import DiffusersPainter
from stablellava.backends.adapters.diffusers_painter.options import PainterOptions
from stablellava.backends.adapters.diffusers_painter.prompting import PlannedText, choose_reading
from stablellava.backends.adapters.diffusers_painter.reading import Reader, find_lost_words, split_windows
from stablellava.backends.picture_stamps import read_stamp
from stablellava.core.errors import ConfigError
from stablellava.core.sample import Painted, PaintJob, PaintRefusal
from tiny_diffusion import clip_tokenizer, stable_diffusion, stable_diffusion_3, stable_diffusion_xl, t5_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers

PainterBuilder = Callable[..., DiffusersPainter]
JobBuilder = Callable[..., PaintJob]
CLIP = Reader(clip_tokenizer(), limit=75, is_clip=True)
PHRASES = ["red car", "on the beach", "in soft light", "with palm trees", "under a blue sky", "very detailed"]
LONG = ", ".join(PHRASES * 3)


def embed(pipeline: Any, jobs: list[PaintJob], **options: Any) -> dict[str, torch.Tensor]:
    reading = choose_reading(pipeline, PainterOptions(**options), is_guided=True)
    plans = [reading.plan(job) for job in jobs]
    assert all(isinstance(plan, PlannedText) for plan in plans)
    with torch.no_grad():
        return reading.arguments(plans)  # type: ignore[arg-type]


@pytest.mark.parametrize("build", [stable_diffusion, stable_diffusion_xl])
def test_without_emphasis_embeddings_are_those_of_the_bare_pipeline(
    build: Callable[[], Any], make_job: JobBuilder
) -> None:
    pipeline = build()
    job = make_job(emphasis=(), negative="blurry")
    ours = embed(pipeline, [job])
    with torch.no_grad():
        theirs = pipeline.encode_prompt(
            job.text, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True, negative_prompt="blurry"
        )
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    for name, expected in zip(names, theirs, strict=False):
        assert torch.allclose(ours[name], expected, atol=1e-6)


def test_an_empty_negative_prompt_is_zeros_where_the_model_was_trained_so(make_job: JobBuilder) -> None:
    arguments = embed(stable_diffusion_xl(), [make_job(0), make_job(1, negative="blurry")])
    assert arguments["negative_prompt_embeds"][0].abs().max() == 0
    assert arguments["negative_prompt_embeds"][1].abs().max() > 0


@pytest.mark.parametrize("weight", [1.5, 0.5])
@pytest.mark.parametrize("build", [stable_diffusion, stable_diffusion_xl])
def test_emphasis_moves_the_phrase_away_from_the_empty_prompt_and_nothing_else(
    build: Callable[[], Any], weight: float, make_job: JobBuilder
) -> None:
    pipeline = build()
    plain = embed(pipeline, [make_job(text="a red car, beach", emphasis=())])
    weighted = embed(pipeline, [make_job(text="a red car, beach", emphasis=(("red car", weight),))])
    empty = embed(pipeline, [make_job(text="", emphasis=())])["prompt_embeds"]
    first, last = 2, 8  # start mark, "a", then six letters
    moved = weighted["prompt_embeds"][:, first:last] - empty[:, first:last]
    direction = plain["prompt_embeds"][:, first:last] - empty[:, first:last]
    assert torch.allclose(moved, weight * direction, atol=1e-4)
    outside = torch.ones(77, dtype=torch.bool)
    outside[first:last] = False
    assert torch.equal(weighted["prompt_embeds"][:, outside], plain["prompt_embeds"][:, outside])
    if "pooled_prompt_embeds" in plain:
        assert torch.equal(weighted["pooled_prompt_embeds"], plain["pooled_prompt_embeds"])


def test_emphasis_of_one_prompt_leaves_its_neighbour_alone(make_job: JobBuilder) -> None:
    pipeline = stable_diffusion()
    plain, strong = make_job(0, emphasis=()), make_job(1, emphasis=(("red car", 3.0),))
    together = embed(pipeline, [plain, strong])["prompt_embeds"]
    assert torch.allclose(together[:1], embed(pipeline, [plain])["prompt_embeds"], atol=1e-6)


def test_emphasis_can_be_left_as_plain_words(make_job: JobBuilder) -> None:
    pipeline = stable_diffusion()
    as_words = embed(pipeline, [make_job()], emphasis="words")["prompt_embeds"]
    assert torch.equal(as_words, embed(pipeline, [make_job(emphasis=())])["prompt_embeds"])


def test_an_emphasised_phrase_that_is_not_in_the_prompt_is_told_once(
    build_painter: PainterBuilder, make_job: JobBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    build_painter().paint([make_job(number, emphasis=(("blue dog", 1.3),)) for number in range(2)])
    assert caplog.text.count("'blue dog' is not in one piece") == 1


def test_weights_are_refused_where_t5_reads_too() -> None:
    with pytest.raises(ConfigError, match="not with StableDiffusion3Pipeline"):
        choose_reading(stable_diffusion_3(), PainterOptions(emphasis="weighted"), is_guided=True)


def test_a_long_prompt_is_cut_at_commas_into_windows_that_lose_nothing() -> None:
    windows = split_windows(LONG, CLIP)
    assert len(windows) == 3
    assert ", ".join(windows) == LONG
    assert all(CLIP.fits(window) for window in windows)


@pytest.mark.parametrize("text", ["word " * 40, "unbreakable" * 15, f"short, {'unbreakable' * 15}, end"])
def test_a_phrase_longer_than_a_window_is_cut_between_words_or_letters(text: str) -> None:
    windows = split_windows(text, CLIP)
    assert all(CLIP.fits(window) for window in windows)
    assert "".join(windows).replace(" ", "").replace(",", "") == text.replace(" ", "").replace(",", "")


def test_a_prompt_that_fits_is_not_touched() -> None:
    assert split_windows("a  red car ,beach", CLIP) == ("a  red car ,beach",)


@pytest.mark.parametrize("build", [stable_diffusion, stable_diffusion_xl])
def test_windows_are_embedded_one_by_one_and_the_negative_prompt_keeps_step(
    build: Callable[[], Any], make_job: JobBuilder
) -> None:
    pipeline = build()
    job = make_job(text=LONG, emphasis=(("very detailed", 1.4),), negative="blurry")
    arguments = embed(pipeline, [job])
    assert arguments["prompt_embeds"].shape == arguments["negative_prompt_embeds"].shape
    assert arguments["prompt_embeds"].shape[1] == 3 * 77
    parts = [embed(pipeline, [make_job(text=window, emphasis=job.emphasis)]) for window in split_windows(LONG, CLIP)]
    assert torch.allclose(
        arguments["prompt_embeds"], torch.cat([part["prompt_embeds"] for part in parts], dim=1), atol=1e-6
    )


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_long_and_short_prompts_are_painted_in_one_call_without_touching_each_other(
    family: str, build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    painter = build_painter(family)
    jobs = [make_job(0), make_job(1, text=LONG), make_job(2)]
    results = painter.paint(jobs)
    assert [result.painting_id for result in results] == ["p0", "p1", "p2"]
    assert results[1] == painter.paint(jobs[1:2])[0]
    assert [results[0], results[2]] == painter.paint([jobs[0], jobs[2]])


def test_lost_words_are_named_and_never_cut_silently(build_painter: PainterBuilder, make_job: JobBuilder) -> None:
    text = f"{'a' * 50} {'b' * 25} lost words"
    [refusal] = build_painter("sd", long_prompts="refuse").paint([make_job(text=text)])
    assert refusal == PaintRefusal(painting_id="p0", reason="prompt_too_long", phrase="lost words")


def test_where_t5_reads_too_only_what_it_does_not_reach_is_lost(
    build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    painter = build_painter("sd3", call_options={"max_sequence_length": 128})
    within, beyond = make_job(0, text=LONG[:120]), make_job(1, text=f"{'a' * 126} lost words")
    results = painter.paint([within, beyond])
    assert isinstance(results[0], Painted)
    assert isinstance(results[1], PaintRefusal)
    assert (results[1].reason, results[1].phrase) == ("prompt_too_long", "lost words")


def test_a_word_counts_as_lost_only_if_no_encoder_reads_it() -> None:
    t5 = Reader(t5_tokenizer(), limit=120, is_clip=False)
    assert find_lost_words("a" * 100, (CLIP,)) == "a" * 100
    assert find_lost_words("a" * 100, (CLIP, t5)) == ""
    assert find_lost_words(f"{'a' * 60} {'b' * 57} end", (CLIP, t5)) == "end"
    assert find_lost_words("anything at all", ()) == ""


def test_the_painters_own_negative_prompt_is_added_to_every_job(
    build_painter: PainterBuilder, make_job: JobBuilder
) -> None:
    [with_own] = build_painter(negative="blurry").paint([make_job()])
    [with_jobs] = build_painter().paint([make_job(negative="blurry")])
    assert isinstance(with_own, Painted)
    assert isinstance(with_jobs, Painted)
    stamps = read_stamp(with_own.image), read_stamp(with_jobs.image)
    assert stamps[0].pixels_sha256 == stamps[1].pixels_sha256


def test_an_unknown_argument_of_the_pipeline_is_refused(models: dict[str, Path], make_job: JobBuilder) -> None:
    painter = DiffusersPainter(model=str(models["sd"]), call_options={"guidance_rescal": 0.7})
    with pytest.raises(ConfigError, match="guidance_rescale"):
        painter.paint([make_job()])
