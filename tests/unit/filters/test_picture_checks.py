from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stablellava.core.capability import Keyword
from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.errors import ConfigError, RecordError
from stablellava.filters.base import Candidate
from stablellava.filters.calibrating import measure_threshold, pick_threshold
from stablellava.filters.claims import split_claims
from stablellava.filters.image_text_score import ImageTextScore
from stablellava.filters.pixel_agreement import AgreementModel, PixelAgreement, fit_agreement

THINGS = ("dog", "cat", "car", "boat")
PLACES = ("beach", "forest", "street")


def draft(thing: str = "dog", place: str = "beach", *turns: str, num_images: int = 1) -> Draft:
    texts = turns or ("What is there?", f"A {thing} is on the {place}.")
    return Draft(
        draft_id=f"{thing}-{place}",
        capability="animal",
        keyword=thing,
        setting=place,
        prompts=(PaintPrompt(text=f"{thing}, on the {place}"),) * num_images,
        turns=tuple(Turn(speaker="assistant" if index % 2 else "user", text=text) for index, text in enumerate(texts)),
        stamp=CallStamp(backend="x"),
    )


def candidate(*turns: str, num_images: int = 1) -> Candidate:
    return Candidate(draft("dog", "beach", *turns, num_images=num_images), Keyword(name="dog"))


def test_claims_are_sentences_and_short_answers_carry_their_question() -> None:
    turns = draft(
        "dog", "beach", "What do you see?", 'A dog runs. "Nice!" says a sign; the sea is calm.', "Is it big?", "Yes."
    ).turns
    assert [(claim.turn, claim.text) for claim in split_claims(turns)] == [
        (1, "Asked 'What do you see?', the answer is 'A dog runs.'"),
        (1, '"Nice!" says a sign'),
        (1, "the sea is calm."),
        (3, "Asked 'Is it big?', the answer is 'Yes.'"),
    ]


class TableScorer:
    """A scorer whose scores are in a table by (picture, text)."""

    name = "table"
    revision = "1"

    def __init__(self, table: dict[tuple[bytes, str], float]) -> None:
        self.table = table
        self.asked: list[str] = []

    def score(self, images: Sequence[bytes], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        self.asked += [text for of_image in texts for text in of_image]
        return [[self.table[image, text] for text in of_image] for image, of_image in zip(images, texts, strict=True)]


def test_a_statement_may_speak_of_any_picture_but_each_prompt_of_its_own() -> None:
    sentence = "There is a small brown dog."
    table = {
        (b"one", "dog, on the beach"): 30.0,
        (b"two", "dog, on the beach"): 10.0,
        (b"one", sentence): 26.0,
        (b"two", sentence): 2.0,
    }
    check = ImageTextScore(TableScorer(table), threshold=22.5)
    several = candidate("What?", sentence, num_images=2)
    verdict = check.judge_all([several], [(b"one", b"two")])[0]
    assert (verdict.kept, verdict.score, verdict.reason) == (False, pytest.approx(22.0), "low_image_text_score")


def test_long_dialogues_are_scored_sentence_by_sentence_and_thresholds_go_by_capability() -> None:
    sentences = [f"Sentence number {number} says a thing." for number in range(40)]
    table = {(b"p", text): 20.0 for text in (*sentences, "dog, on the beach")}
    scorer = TableScorer(table)
    check = ImageTextScore(scorer, threshold=25.0, thresholds={"animal": 15.0})
    assert check.judge_all([candidate("What?", " ".join(sentences))], [(b"p",)])[0].kept
    assert scorer.asked == ["dog, on the beach", *sentences]


def test_an_imported_pair_without_prompts_is_scored_by_what_its_dialogue_says() -> None:
    sentence = "There is a small brown dog."
    imported = Candidate(draft("dog", "beach", "What?", sentence, num_images=0), Keyword(name=""))
    silent = Candidate(draft("dog", "beach", "What?", " ", num_images=0), Keyword(name=""))
    check = ImageTextScore(TableScorer({(b"p", sentence): 26.0}), threshold=30.0)

    judged = check.judge_all([silent, imported], [(b"p",), (b"p",)])

    assert [(verdict.kept, verdict.score) for verdict in judged] == [(True, None), (False, 26.0)]
    assert judged[0].detail.startswith("unscored")


class NamedFeatures:
    """Features in which a thing and a place each have a direction, with noise."""

    name = "named"
    revision = "1"

    def read(self, images: Sequence[bytes]) -> np.ndarray:
        rows = []
        for image in images:
            thing, place, seed = image.decode().split()
            noise = np.random.default_rng(int(seed)).normal(0, 0.5, 40)
            noise[THINGS.index(thing)] += 4
            noise[10 + PLACES.index(place)] += 4
            rows.append(noise)
        return np.array(rows, dtype=np.float32)


READER = NamedFeatures()


def pictures_and_drafts(num: int, seed: int) -> tuple[list[bytes], list[Draft]]:
    draw = np.random.default_rng(seed)
    chosen = [(THINGS[draw.integers(4)], PLACES[draw.integers(3)]) for _ in range(num)]
    images = [f"{thing} {place} {seed * 10_000 + index}".encode() for index, (thing, place) in enumerate(chosen)]
    return images, [draft(thing, place) for thing, place in chosen]


@pytest.fixture(scope="module")
def model() -> AgreementModel:
    images, drafts = pictures_and_drafts(400, 1)
    return fit_agreement(READER.read(images), drafts)


def test_swapped_pictures_score_below_their_own(model: AgreementModel) -> None:
    images, drafts = pictures_and_drafts(400, 2)
    own = model.score(READER.read(images), drafts)
    swapped = model.score(READER.read(images[7:] + images[:7]), drafts)
    differs = [first.keyword != second.keyword for first, second in zip(drafts, drafts[-7:] + drafts[:-7], strict=True)]
    is_mismatch = [first != second for first, second in zip(images, images[7:] + images[:7], strict=True)]
    assert any(differs) and all(is_mismatch)
    bad = [
        score
        for score, own_draft, other in zip(swapped, drafts, drafts[7:] + drafts[:7], strict=True)
        if own_draft.keyword != other.keyword
    ]
    calibration = pick_threshold([*own, *bad], [True] * len(own) + [False] * len(bad), 0.05)
    assert calibration.recall > 0.9
    assert calibration.false_drops <= 0.05


def test_a_saved_check_gives_the_same_scores(model: AgreementModel, tmp_path: Path) -> None:
    images, drafts = pictures_and_drafts(20, 3)
    model.save(tmp_path / "check.npz")
    loaded = AgreementModel.load(tmp_path / "check.npz")
    assert loaded.score(READER.read(images), drafts) == model.score(READER.read(images), drafts)


def test_a_damaged_check_is_named(model: AgreementModel, tmp_path: Path) -> None:
    path = tmp_path / "check.npz"
    model.save(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100] = bytes(100)
    path.write_bytes(bytes(data))
    with pytest.raises(RecordError, match=r"check\.npz: not a fitted pixel check"):
        AgreementModel.load(path)


@pytest.mark.parametrize("data", [b"no archive", b"", b"PK\x03\x04torn"], ids=["other", "empty", "torn"])
def test_a_file_that_is_no_check_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "check.npz").write_bytes(data)
    with pytest.raises(RecordError, match=r"check\.npz: not a fitted pixel check"):
        AgreementModel.load(tmp_path / "check.npz")


def test_pictures_that_cannot_be_scored_pass_and_are_said_to_be_unscored(model: AgreementModel) -> None:
    check = PixelAgreement(model, READER, threshold=0.0)
    known = Candidate(draft("dog", "beach"), Keyword(name="dog"))
    verdicts = check.judge_all([known, known, known], [(b"dog beach 1",), (b"cat forest 2",), (b"a", b"b")])
    assert [(verdict.kept, verdict.reason) for verdict in verdicts] == [
        (True, ""),
        (False, "picture_disagrees"),
        (True, ""),
    ]
    assert verdicts[2].score is None
    assert verdicts[2].detail.startswith("unscored")


def test_too_few_pictures_cannot_be_fitted() -> None:
    images, drafts = pictures_and_drafts(2, 4)
    with pytest.raises(ConfigError, match="too few"):
        fit_agreement(READER.read(images), drafts)


def test_a_threshold_keeps_false_drops_below_what_was_asked() -> None:
    good = [float(number) for number in range(100)]
    bad = [-5.0, -1.0, 3.0, 50.0, None]
    calibration = pick_threshold([*good, *bad], [True] * 100 + [False] * 5, 0.05)
    assert calibration.threshold == 5.0
    assert calibration.false_drops == 0.05
    assert calibration.recall == 3 / 5
    assert calibration.precision == 3 / 8
    assert calibration.num_unscored == 1


def test_a_threshold_needs_both_kinds_of_pairs() -> None:
    with pytest.raises(ConfigError, match="both kinds"):
        pick_threshold([1.0, 2.0], [True, True])


def test_nothing_dropped_has_no_precision() -> None:
    calibration = measure_threshold([1.0, 2.0], [True, False], threshold=0.0)
    assert calibration.precision is None
    assert calibration.recall_interval[0] == 0.0
