import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from stablellava.capabilities import load_capability, load_known
from stablellava.config.loading import load_config
from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.matching import contains_phrase
from stablellava.core.sample import Rejected, Sample, Verdict
from stablellava.filters.base import Candidate
from stablellava.filters.benchmark_items import BenchmarkIndex
from stablellava.filters.boilerplate import NoBoilerplate
from stablellava.store.images import decode_picture, image_path, store_image
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import read_manifest
from stablellava.store.shards import read_rejected, read_samples
from stablellava.synthesis.derived_data import commit_data
from stablellava.synthesis.duplicates import DuplicateFinder, TextPair, count_kinds
from stablellava.synthesis.filtering import FilterPolicy, filter_data
from stablellava.synthesis.hard_negatives import _presumes, make_hard_negatives, write_hard_negatives
from stablellava.synthesis.synthesizing import synthesize

CAPABILITIES = ("animal", "color", "scene")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    overrides = ["synthesis.samples_per_capability=14", "synthesis.capabilities=[animal,color,scene]"]
    config = load_config(None, "demo", [*overrides, "synthesis.num_workers=1", "synthesis.size_px=96"])
    layout = RunLayout(tmp_path_factory.mktemp("run"))
    synthesize(config, layout)
    return layout.data_dir


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> list[Sample]:
    return list(read_samples(data_dir))


def plant(data_dir: Path, target: Path, changed: dict[str, Sample]) -> None:
    """Write the data anew with some samples changed."""
    shards: dict[str, list[Sample | Rejected]] = {}
    for sample in read_samples(data_dir):
        shards.setdefault(f"{sample.draft.capability}/r00", []).append(changed.get(sample.sample_id, sample))
    commit_data(data_dir, target, read_manifest(data_dir), sorted(shards.items()), load_known())


def reworded(sample: Sample, question: str, answer: str) -> Sample:
    turns = (Turn(speaker="user", text=question, images=(0,)), Turn(speaker="assistant", text=answer))
    return sample.model_copy(update={"draft": sample.draft.model_copy(update={"turns": turns})})


def test_duplicates_of_words_are_named_by_kind_and_first_row() -> None:
    rows = [
        TextPair("a", "red car, on the beach, soft light, sharp focus, film grain", "What color? The car is red."),
        TextPair("b", "red car, on the beach, soft light, sharp focus, film grain", "Where is it? On the beach."),
        TextPair("c", "Red car; on the beach; soft light; sharp focus; film grain", "What color? The car is red."),
        TextPair("d", "red car, on the beach, soft light, sharp focus, film", "What color? The car is red."),
        TextPair("e", "blue boat, at sea", "What is it? A boat."),
    ]
    found = DuplicateFinder(0.8).add(rows)
    assert [(entry.kind, entry.name, entry.first) for entry in found] == [
        ("exact_prompt", "b", "a"),
        ("exact_prompt", "c", "a"),
        ("exact_dialogue", "c", "a"),
        ("exact_pair", "c", "a"),
        ("near_prompt", "d", "a"),
        ("exact_dialogue", "d", "a"),
        ("near_pair", "d", "a"),
    ]
    assert count_kinds(found)["exact_prompt"] == 2


def test_untouched_data_pass_and_keep_their_bytes(data_dir: Path, samples: list[Sample], tmp_path: Path) -> None:
    report = filter_data(data_dir, FilterPolicy(), tmp_path / "out")
    assert (report.num_kept, report.dropped) == (len(samples), {})
    assert list(read_samples(tmp_path / "out")) == samples
    assert all(image_path(tmp_path / "out", p.sha256).is_file() for s in samples for p in s.paintings)
    assert read_manifest(tmp_path / "out").attribution == read_manifest(data_dir).attribution


def test_planted_faults_are_dropped_with_their_reasons(data_dir: Path, samples: list[Sample], tmp_path: Path) -> None:
    first, second, third = samples[0], samples[1], samples[2]
    changed = {
        second.sample_id: first.model_copy(update={"sample_id": second.sample_id}),
        third.sample_id: reworded(third, "What is there?", "As an AI, I cannot see pictures."),
    }
    plant(data_dir, tmp_path / "planted", changed)
    report = filter_data(tmp_path / "planted", FilterPolicy(checks=(NoBoilerplate(),)), tmp_path / "out")
    assert report.dropped == {"exact_pair": 1, "refusal_text": 1}
    assert {rejected.reason for rejected in read_rejected(tmp_path / "out")} == {"exact_pair", "refusal_text"}


class NotThis:
    """A check that refuses one draft."""

    name = "not_this"
    is_cured_by_repainting = False

    def __init__(self, draft_id: str) -> None:
        self._draft_id = draft_id

    def judge(self, candidate: Candidate) -> Verdict:
        kept = candidate.draft.draft_id != self._draft_id
        return Verdict(filter_name=self.name, kept=kept, reason="" if kept else "this_one")


def test_what_a_check_drops_makes_no_later_sample_a_duplicate(
    data_dir: Path, samples: list[Sample], tmp_path: Path
) -> None:
    first, second = samples[0], samples[1]
    said = first.draft.model_copy(update={"draft_id": second.draft.draft_id})
    plant(data_dir, tmp_path / "planted", {second.sample_id: second.model_copy(update={"draft": said})})
    report = filter_data(tmp_path / "planted", FilterPolicy(checks=(NotThis(first.draft.draft_id),)))
    assert report.dropped == {"this_one": 1}


def test_benchmark_items_are_found_by_picture_and_by_question(
    data_dir: Path, samples: list[Sample], tmp_path: Path
) -> None:
    by_picture, by_question = samples[3], samples[4]
    question = "What is the man in the red jacket holding in his left hand?"
    index = BenchmarkIndex()
    (tmp_path / "item.jpg").write_bytes(shrink(image_path(data_dir, by_picture.paintings[0].sha256).read_bytes()))
    index.add_image("bench/1", tmp_path / "item.jpg")
    index.add_question("bench/2", question)
    asked_lightly = reworded(by_question, "What does the man in the red jacket hold in his left hand?", "A cup.")
    plant(data_dir, tmp_path / "planted", {by_question.sample_id: asked_lightly})
    report = filter_data(tmp_path / "planted", FilterPolicy(benchmarks=index))
    assert [match[:3] for match in report.benchmark_matches] == [
        (by_picture.sample_id, "benchmark_image", "bench/1"),
        (by_question.sample_id, "benchmark_question", "bench/2"),
    ]
    assert report.num_kept == len(samples) - 2


def test_a_question_that_the_data_ask_of_many_pictures_is_no_benchmarks(
    data_dir: Path, samples: list[Sample], tmp_path: Path
) -> None:
    question = "Which large and friendly animal stands quietly beside the wooden fence?"
    index = BenchmarkIndex()
    index.add_question("bench/1", question)
    plant(data_dir, tmp_path / "planted", {s.sample_id: reworded(s, question, s.draft.turns[1].text) for s in samples})
    assert filter_data(tmp_path / "planted", FilterPolicy(benchmarks=index)).benchmark_matches == ()


def test_filtered_data_of_other_settings_are_not_mixed(data_dir: Path, tmp_path: Path) -> None:
    filter_data(data_dir, FilterPolicy(min_overlap=0.8), tmp_path / "out")
    with pytest.raises(RecordError, match="min_overlap"):
        filter_data(data_dir, FilterPolicy(min_overlap=0.9), tmp_path / "out")


def shrink(data: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize((80, 80)).save(buffer, "JPEG", quality=70)
    return buffer.getvalue()


def negatives_of(samples: list[Sample], share: float = 0.2) -> Iterator[Sample]:
    return make_hard_negatives(samples, [load_capability(name) for name in CAPABILITIES], share, seed=0)


def test_negatives_ask_for_what_the_picture_lacks_and_say_so(samples: list[Sample]) -> None:
    negatives = list(negatives_of(samples))
    assert len(negatives) == round(len(samples) * 0.25)
    for negative in negatives:
        thing = negative.verdicts[-1].detail.removeprefix("no ").rpartition(" in ")[0]
        drawn = [fact.name for fact in negative.paintings[0].drawn or ()]
        question, answer = (turn.text for turn in negative.draft.turns)
        assert contains_phrase(question, thing)
        assert contains_phrase(answer, thing)
        assert not any(contains_phrase(name, thing) for name in drawn)
        assert not any(contains_phrase(prompt.text, thing) for prompt in negative.draft.prompts)


def test_negatives_are_of_both_kinds_and_ask_nothing_that_has_an_answer(samples: list[Sample]) -> None:
    negatives = list(negatives_of(samples, 0.4))
    kinds = Counter(dict(negative.draft.attributes)["hard_negative"] for negative in negatives)
    assert kinds["image_swapped"] >= len(negatives) // 3
    for negative in negatives:
        question = negative.draft.turns[0].text.lower()
        assert not question.startswith(("is there", "are there", "can you see a", "does the picture show"))


@pytest.mark.parametrize(
    ("question", "presumes"),
    [
        ("What color is the apple?", True),
        ("Is the ripe red apple on the table?", True),
        ("Where are these apples?", True),
        ("Does the picture show an apple?", False),
        ("Is the plant in this image an apple?", False),
        ("Is there an apple?", False),
        ("Is the apple red or green?", False),
        ("Are there three apples?", False),
    ],
)
def test_only_questions_that_take_a_thing_for_granted_are_asked_elsewhere(question: str, presumes: bool) -> None:
    assert _presumes(question, "apple") is presumes


def test_negatives_do_not_depend_on_the_order_of_the_samples(samples: list[Sample]) -> None:
    assert list(negatives_of(samples)) == list(negatives_of(samples[::-1]))


def test_negatives_make_a_data_folder_of_their_own(data_dir: Path, samples: list[Sample], tmp_path: Path) -> None:
    report = write_hard_negatives(data_dir, tmp_path / "out", 0.1, seed=0)
    written = list(read_samples(tmp_path / "out"))
    assert report.num_negatives == len(written) == round(len(samples) / 9)
    for sample in written:
        data = image_path(tmp_path / "out", sample.paintings[0].sha256).read_bytes()
        assert decode_picture(data, "x").sha256 == sample.paintings[0].sha256


@pytest.mark.parametrize("share", [0.0, 0.5, -1.0])
def test_a_share_that_cannot_be_is_refused(samples: list[Sample], share: float) -> None:
    with pytest.raises(ConfigError, match=r"below 0\.5"):
        list(negatives_of(samples, share))


def test_too_few_things_are_said_plainly(samples: list[Sample]) -> None:
    scenes = [sample for sample in samples if sample.draft.capability == "scene"]
    with pytest.raises(ConfigError, match="only 0 of"):
        list(negatives_of(scenes))


def test_a_picture_repeated_under_another_dialogue_is_a_near_image(
    data_dir: Path, samples: list[Sample], tmp_path: Path
) -> None:
    first, other = samples[0], samples[-1]
    smaller = shrink(image_path(data_dir, first.paintings[0].sha256).read_bytes())
    picture = decode_picture(smaller, "x")
    store_image(data_dir, smaller, picture)
    painting = other.paintings[0].model_copy(
        update={"sha256": picture.sha256, "perceptual_hash": picture.perceptual_hash}
    )
    plant(data_dir, tmp_path / "planted", {other.sample_id: other.model_copy(update={"paintings": (painting,)})})
    report = filter_data(tmp_path / "planted", FilterPolicy())
    assert report.dropped == {"near_image": 1}
    assert report.examples[-1].first == first.sample_id
