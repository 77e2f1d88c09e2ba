import random

import pytest

from stablellava.filters.text_near_duplicates import NearDuplicateTexts, measure_overlap, shingle
from stablellava.store.look_alikes import HashIndex

WORDS = [f"word{number}" for number in range(3000)]


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
