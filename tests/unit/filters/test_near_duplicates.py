import random
from itertools import pairwise

import numpy as np
import pytest

from stablellava.core.matching import split_words
from stablellava.filters.band_index import BandIndex
from stablellava.filters.text_near_duplicates import NearDuplicateTexts, measure_overlap, shingle
from stablellava.filters.text_sketches import choose_banding, may_overlap, sketch_texts
from stablellava.store.look_alikes import HashIndex

WORDS = [f"word{number}" for number in range(3000)]
BANDING = choose_banding(0.8)


def texts_with_repeats(num_texts: int) -> tuple[list[str], dict[int, int]]:
    """Return texts and, by position, which earlier text each planted near-duplicate changes in one of 24 words."""
    draw = random.Random(5)
    texts: list[str] = []
    planted: dict[int, int] = {}
    for position in range(num_texts):
        if position > 100 and position % 10 == 0:
            first = draw.choice([other for other in range(position) if other not in planted])
            words = texts[first].split()
            words[-1] = "changed"
            planted[position] = first
        else:
            words = draw.sample(WORDS, 24)
        texts.append(" ".join(words))
    return texts, planted


def plain_recount(texts: list[str], threshold: float) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    dropped: set[int] = set()
    shingles = [shingle(text) for text in texts]
    for position in range(len(texts)):
        for first in range(position):
            if first not in dropped and measure_overlap(shingles[position], shingles[first]) >= threshold:
                found.append((position, first))
                dropped.add(position)
                break
    return found


def test_near_duplicates_are_those_of_a_plain_recount() -> None:
    texts, planted = texts_with_repeats(600)
    found = [(repeat.position, repeat.first) for repeat in NearDuplicateTexts(0.8).add(texts)]
    assert found == plain_recount(texts, 0.8)
    assert dict(found) == planted


def crowded_texts(num_texts: int, num_places: int) -> list[str]:
    """Return short texts of few words each: most overlap with many others, often by the threshold exactly."""
    draw = random.Random(3)
    places = [[f"p{place}w{word}" for word in range(3)] for place in range(num_places)]
    return [" ".join(draw.choice(words) for words in places) for _ in range(num_texts)]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("num_places", [1, 4, 12])
def test_crowds_of_texts_are_told_apart_as_in_a_plain_recount(num_places: int, threshold: float) -> None:
    texts = crowded_texts(250, num_places)
    found = [(repeat.position, repeat.first) for repeat in NearDuplicateTexts(threshold).add(texts)]
    assert found == plain_recount(texts, threshold)


def test_more_texts_than_a_chunk_holds_are_found_across_chunks_too() -> None:
    texts, planted = texts_with_repeats(4000)
    found = {repeat.position: repeat.first for repeat in NearDuplicateTexts(0.8).add(texts)}
    assert found == planted


def test_a_pair_that_overlaps_enough_is_never_ruled_out() -> None:
    texts = [split_words(text) for text in [*crowded_texts(60, 8), *crowded_texts(40, 60)]]
    sketches = sketch_texts(texts, BANDING)
    shingles = [shingle(" ".join(words)) for words in texts]
    for row, own in enumerate(shingles):
        may = may_overlap(sketches, np.full(len(texts), row), sketches, np.arange(len(texts)), 0.6)
        overlaps = [measure_overlap(own, other) for other in shingles]
        assert all(may[other] for other, overlap in enumerate(overlaps) if overlap >= 0.6)
        assert not may.all()


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_miss_hardly_any_pair_of_just_the_threshold(threshold: float) -> None:
    banding = choose_banding(threshold)
    assert (1 - threshold**banding.num_rows) ** banding.num_bands <= 1e-5


def test_sketches_do_not_depend_on_company() -> None:
    texts = [split_words(text) for text in crowded_texts(20, 5)]
    together = sketch_texts(texts, BANDING)
    alone = [sketch_texts([text], BANDING) for text in texts]
    assert all((together.bands[:, row] == own.bands[:, 0]).all() for row, own in enumerate(alone))
    assert all((together.bits[row] == own.bits[0]).all() for row, own in enumerate(alone))


def test_the_index_proposes_every_text_that_shares_a_band_whatever_was_added_together() -> None:
    draw = np.random.default_rng(4)
    bands = draw.integers(0, 50, (3, 200), dtype=np.uint32)
    bands[0, :3] = 2**32 - 1  # the greatest hash there can be
    index = BandIndex(3)
    for begin, end in pairwise((0, 0, 1, 7, 90, 93, 200)):
        index.add(np.arange(begin, end), bands[:, begin:end])
    proposed = {
        pair for rows, places in index.propose(bands) for pair in zip(rows.tolist(), places.tolist(), strict=True)
    }
    shared = (bands[:, :, None] == bands[:, None, :]).any(axis=0)
    assert proposed == set(zip(*(axis.tolist() for axis in np.nonzero(shared)), strict=True))


def test_chunks_change_nothing() -> None:
    texts, _ = texts_with_repeats(300)
    whole = list(NearDuplicateTexts(0.8).add(texts))
    index = NearDuplicateTexts(0.8)
    assert [*index.add(texts[:117]), *index.add(texts[117:])] == whole


def test_a_repeat_of_a_dropped_text_is_measured_against_the_one_that_stays() -> None:
    base = [f"w{number}" for number in range(40)]
    drifting = [
        " ".join([*base[:step], *(f"x{step}{n}" for n in range(step)), *base[2 * step :]]) for step in (0, 2, 4)
    ]
    found = list(NearDuplicateTexts(0.75).add(drifting))
    assert all(repeat.first == 0 and repeat.overlap >= 0.75 for repeat in found)


def test_texts_without_words_are_no_duplicates() -> None:
    assert list(NearDuplicateTexts().add(["...", "!!!", ""])) == []


@pytest.mark.parametrize("max_distance", [0, 4, 12])
def test_hashes_are_found_exactly_within_their_distance(max_distance: int) -> None:
    draw = random.Random(1)
    index = HashIndex(max_distance)
    hashes = {f"p{number}": draw.getrandbits(64) for number in range(300)}
    for name, bits in hashes.items():
        index.add(f"{bits:016x}", name)
    for name, bits in list(hashes.items())[:50]:
        near = bits
        for bit in draw.sample(range(64), max_distance + 1)[:max_distance]:
            near ^= 1 << bit
        expected = {
            other: (near ^ value).bit_count()
            for other, value in hashes.items()
            if (near ^ value).bit_count() <= max_distance
        }
        assert dict(index.find(f"{near:016x}")) == expected
        assert name in expected


def test_a_distance_that_could_not_be_searched_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 31"):
        HashIndex(32)
