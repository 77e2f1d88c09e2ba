import math

import numpy as np
import pytest

from stablellava.synthesis.diversity import (
    DraftText,
    distinct_share,
    embed_ngrams,
    entropy,
    measure_round,
    measure_texts,
    self_bleu,
    take_sample,
    vendi_score,
)


def draft_texts(texts: list[str], keyword: str = "dog") -> list[DraftText]:
    return [DraftText(str(index), keyword, "beach", text, text, text) for index, text in enumerate(texts)]


def bleu_by_hand(hypothesis: list[str], references: list[list[str]]) -> float:
    """BLEU-4 straight from its definition, counts of zero smoothed to 0.1."""
    logs = 0.0
    for width in range(1, 5):
        grams = [tuple(hypothesis[i : i + width]) for i in range(len(hypothesis) - width + 1)]
        others = [[tuple(one[i : i + width]) for i in range(len(one) - width + 1)] for one in references]
        matched = sum(min(grams.count(gram), max(one.count(gram) for one in others)) for gram in set(grams))
        logs += math.log((matched or 0.1) / max(1, len(grams))) / 4
    nearest = min((abs(len(one) - len(hypothesis)), len(one)) for one in references)[1]
    return math.exp(logs) * min(1.0, math.exp(1 - nearest / len(hypothesis)))


def test_self_bleu_in_one_pass_is_bleu_against_all_others() -> None:
    texts = ["a dog on the beach in soft light", "a dog in the garden", "the the the cat", "one red car on the street"]
    texts += ["a dog on the beach in warm light", "a cat on the beach"]
    words = [text.split() for text in texts]
    expected = [bleu_by_hand(own, words[:index] + words[index + 1 :]) for index, own in enumerate(words)]
    assert self_bleu(texts) == pytest.approx(sum(expected) / len(expected))


def test_equal_texts_have_no_variety_and_disjoint_texts_all_of_it() -> None:
    same = measure_texts(["a dog stands on the beach"] * 12)
    assert same.self_bleu == pytest.approx(1.0)
    assert same.vendi == pytest.approx(1.0)
    assert same.distinct == pytest.approx((6 / 72, 5 / 60, 4 / 48, 3 / 36), abs=1e-6)
    letters = "abcdefghijkl"
    apart = measure_texts([" ".join(letter * length for length in range(5, 10)) for letter in letters])
    assert apart.self_bleu < 0.05
    assert apart.vendi == pytest.approx(12, abs=1.0)
    assert apart.distinct == (1.0, 1.0, 1.0, 1.0)


def test_the_vendi_score_counts_groups_of_equal_rows() -> None:
    rows = np.repeat(np.eye(3), 4, axis=0)
    assert vendi_score(rows) == pytest.approx(3.0)
    assert vendi_score(np.repeat(np.eye(2), [9, 1], axis=0)) == pytest.approx(math.exp(entropy([9, 1])))


def test_texts_without_words_are_measured_as_equal() -> None:
    measured = measure_texts(["", "...", ""])
    assert (measured.vendi, measured.distinct) == (pytest.approx(1.0), (0.0, 0.0, 0.0, 0.0))
    assert measure_texts([]).vendi == 0.0


def test_entropy_is_the_log_of_the_number_of_equally_frequent_keywords() -> None:
    assert math.exp(entropy([5, 5, 5, 0])) == pytest.approx(3.0)
    assert entropy([]) == 0.0


def test_a_large_round_is_measured_on_a_sample_that_does_not_depend_on_order() -> None:
    texts = draft_texts([f"text number {index} of many" for index in range(500)])
    measured = measure_round(texts, max_measured=100)
    assert (measured.num_drafts, measured.num_measured) == (500, 100)
    assert measured == measure_round(texts[::-1], max_measured=100)


def test_a_sample_of_samples_is_the_sample_of_all() -> None:
    texts = draft_texts([str(index) for index in range(90)])
    parts = take_sample([*take_sample(texts[:50], 20), *texts[50:]], 20)
    assert parts == take_sample(texts, 20)


def test_a_model_may_measure_meaning() -> None:
    measured = measure_texts(["dog", "hound", "car"], embed=lambda texts: np.array([[1.0, 0], [1.0, 0], [0, 1.0]]))
    assert measured.vendi == pytest.approx(math.exp(entropy([2, 1])), abs=1e-5)


def test_distinct_share_counts_over_all_texts() -> None:
    assert distinct_share(["a b c", "a b d"], 2) == pytest.approx(3 / 4)
    assert distinct_share(["a b"], 4) == 0.0


def test_rows_of_the_default_embedding_are_never_zero() -> None:
    assert (np.linalg.norm(embed_ngrams(["", "a", "two words"]), axis=1) > 0).all()
