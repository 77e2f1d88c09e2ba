import pytest

from stablellava.core.errors import RecordError
from stablellava.evaluation.official.textvqa import (
    eval_pred_list,
    prompt_processor,
    score_textvqa,
    score_textvqa_vqa,
)
from stablellava.evaluation.official.vizwiz import (
    score_vizwiz,
    score_vizwiz_evalai,
    submission_answer,
    vizwiz_accuracy,
)
from stablellava.evaluation.official.vqa import (
    compute_answer_scores,
    evalai_accuracy,
    normalize_evalai,
    normalize_vqa,
    process_punctuation,
    process_punctuation_evalai,
    vqa_accuracy,
    word_tokenize,
)


def _annotations(num_cats: int) -> list[str]:
    return ["cat"] * num_cats + [f"other {place}" for place in range(10 - num_cats)]


@pytest.mark.parametrize(
    ("num_matches", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0), (10, 1.0)]
)
def test_three_of_ten_matches_give_nine_tenths(num_matches: int, accuracy: float) -> None:
    assert vqa_accuracy("cat", _annotations(num_matches)) == pytest.approx(accuracy)
    assert evalai_accuracy("cat", _annotations(num_matches)) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("answer", "annotations", "official", "evalai"),
    [
        ("Yes", ["yes"] * 10, 0.0, 1.0),
        ("yes", ["Yes"] * 10, 0.0, 1.0),
        ("the dog", ["dog"] * 10, 0.0, 1.0),
        (" yes\n", ["yes\t"] * 10, 1.0, 1.0),
        ("Yes", ["yes"] * 9 + ["no"], 1.0, 1.0),
        ("two", ["2"] * 5 + ["Two"] * 5, 1.0, 1.0),
        ("1,000", ["1,000"] * 9 + ["x"], 1.0, 1.0),
        ("red, blue", ["red blue"] * 9 + ["x"], 1.0, 1.0),
        ("red,blue", ["red blue"] * 9 + ["x"], 1.0, 0.0),
    ],
)
def test_the_official_rule_normalises_only_when_the_annotators_differ(
    answer: str, annotations: list[str], official: float, evalai: float
) -> None:
    assert vqa_accuracy(answer, annotations) == pytest.approx(official)
    assert evalai_accuracy(answer, annotations) == pytest.approx(evalai)


@pytest.mark.parametrize(
    ("text", "official", "evalai"),
    [
        ("The Cat", "cat", "cat"),
        ("a an the", "", ""),
        ("", "", ""),
        ("none zero ten eleven", "0 0 10 eleven", "0 0 10 eleven"),
        ("dont", "don't", "don't"),
        ("couldnt've couldn'tve", "couldn't've couldn't've", "couldn't've couldn't've"),
        ("somebody'd", "somebodyd", "somebodyd"),
        ("twas", "'twas", "'twas"),
        ("Im", "im", "im"),
        ("dog's", "dog's", "dog 's"),
        ("x-ray", "x ray", "x ray"),
        ("x- ray", "x ray", "x ray"),
        ("a/b", "b", "b"),
        ("x/y 1,000", "xy 1000", "x y 1000"),
        ("really?", "really", "really"),
        ("5.", "5", "5"),
        ("5.5", "5.5", "5.5"),
        (".5", ".5", ".5"),
        ("u.s.a.", "usa", "usa"),
        ("v1.", "v1", "v1"),
        (".5.", ".5", ".5"),
        ("1,,000", "1 000", "1000"),
        ("1,000.50", "1000.50", "1000.50"),
        ("-5", "5", "5"),
        ("5%", "5%", "5%"),
        ("a-b -c", "ab c", "ab c"),
        ("its the one's", "its one's", "its 1 's"),
        ("don't've", "don't've", "don't've"),
        ("wheres shes", "where's shes", "where's shes"),
        ("I'dve Id've", "i'dve id've", "i'dve id've"),
        ("One,two", "1 2", "onetwo"),
        ("?,", "", ""),
        ("the-cat", "cat", "cat"),
        ("a\u00a0b", "b", "b"),
        ("wait:", "wait:", "wait:"),
        ("it'll", "it'll", "it'll"),
        ("caf\u00e9 \u2019", "caf\u00e9 \u2019", "caf\u00e9 \u2019"),
        ("." * 40, "." * 8, "." * 8),
        (" a\tb\nc ", "b c", "b c"),
    ],
)
def test_both_normalisers_keep_their_quirks(text: str, official: str, evalai: str) -> None:
    assert normalize_vqa(text) == official
    assert normalize_evalai(text) == evalai


def test_only_evalai_sees_a_number_in_digits_with_several_commas_between() -> None:
    assert (process_punctuation("a/b 1,,000"), process_punctuation_evalai("a/b 1,,000")) == ("a b 1  000", "ab 1000")
    assert process_punctuation("a/b 1,000") == process_punctuation_evalai("a/b 1,000") == "ab 1000"
    assert word_tokenize(" The Dog's, isn't it? ") == "the dog 's isn't it"


def test_an_annotation_scores_what_an_answer_like_it_would() -> None:
    scores = compute_answer_scores(["A cat", "cat", "cat."] + ["dog"] * 4 + ["x"] * 3)
    assert scores == {"cat": pytest.approx(0.9), "dog": 1.0, "x": pytest.approx(0.9)}
    assert eval_pred_list(
        [
            {"pred_answer": "The cat", "gt_answers": ["cat"] * 3 + ["dog"] * 7},
            {"pred_answer": "", "gt_answers": ["x"] * 10},
        ]
    ) == pytest.approx(0.45)
    with pytest.raises(RecordError, match="'0' has 9 answers"):
        eval_pred_list([{"pred_answer": "cat", "gt_answers": ["cat"] * 9}])
    with pytest.raises(ValueError, match="at least one entry"):
        eval_pred_list([])


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        ("What brand?\nAnswer the question.", "what brand?"),
        ("What brand?\nReference OCR token: Nokia, x\nAnswer.", "what brand?"),
        ("Reference OCR token: Nokia\nWhat brand?\nAnswer.", "what brand?"),
        ("OCR tokens: a, b. Question: What\nbrand? Short answer:", "what\nbrand?"),
        ("OCR tokens: a\nWhat brand?", None),
        ("What brand?", None),
        ("What brand?\nOf phone\nAnswer.", None),
    ],
)
def test_a_prompt_of_llava_leads_back_to_its_question(prompt: str, question: str | None) -> None:
    if question is not None:
        assert prompt_processor(prompt) == question
        return
    with pytest.raises(RecordError, match="none of LLaVA's"):
        prompt_processor(prompt)


def test_an_accuracy_without_annotators_is_refused() -> None:
    with pytest.raises(ValueError, match="got none"):
        vqa_accuracy("cat", [])


def test_vizwiz_scores_by_the_official_rule_and_uploads_normalised_answers() -> None:
    assert score_vizwiz("q", "Unanswerable", ["unanswerable"] * 10).value == 0.0
    assert score_vizwiz_evalai("q", "Unanswerable", ["unanswerable"] * 10).value == 1.0
    assert submission_answer("The Dog's bowl.") == "dog 's bowl"


def test_vizwiz_own_api_normalises_the_answer_and_never_the_annotations() -> None:
    assert vizwiz_accuracy("Yes.", ["yes"] * 10) == 1.0
    assert vizwiz_accuracy("Yes", ["Yes"] * 10) == 0.0
    assert vizwiz_accuracy("The dog", ["the dog"] * 7 + ["dog"] * 3) == pytest.approx(0.9)
    with pytest.raises(ValueError, match="got none"):
        vizwiz_accuracy("cat", [])


def test_textvqa_normalises_always_and_takes_ten_answers() -> None:
    assert score_textvqa("q", "Coca-Cola", ["coca cola"] * 10).value == 1.0
    assert score_textvqa_vqa("q", "Coca-Cola", ["coca cola"] * 10).value == 0.0
    with pytest.raises(RecordError, match="9 answers"):
        score_textvqa("q", "x", ["x"] * 9)
