import io

import pytest
from PIL import Image

from stablellava.core.capability import Keyword
from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.sample import DrawnFact, Painting
from stablellava.filters.answer_form import AnswerForm
from stablellava.filters.base import Candidate
from stablellava.filters.dialogue_grounded import DialogueGrounded
from stablellava.filters.exact_duplicate import ExactDuplicate
from stablellava.filters.image_readable import judge_bytes
from stablellava.filters.keyword_drawn import KeywordDrawn
from stablellava.filters.keyword_in_answer import KeywordInAnswer
from stablellava.filters.lexicon import Lexicon
from stablellava.filters.near_duplicate import NearDuplicate

LEXICON = Lexicon([("dog", "puppy"), ("cat",), ("beach", "seaside"), ("red",), ("red panda",), ("zebra",)])


def painting(*drawn: DrawnFact, sha256: str = "a", phash: str = "0" * 16, ignored: tuple[str, ...] = ()) -> Painting:
    return Painting(
        painting_id="p", sha256=sha256, width_px=8, height_px=8, seed=0, perceptual_hash=phash,
        drawn=drawn, ignored=ignored, stamp=CallStamp(backend="x"),
    )  # fmt: skip


def thing(name: str, said: str = "") -> DrawnFact:
    return DrawnFact(kind="thing", name=name, said=said or name)


def color(name: str, subject: str) -> DrawnFact:
    return DrawnFact(kind="color", name=name, said=name, subject=subject)


def candidate(
    answer: str = "A dog.",
    keyword: Keyword | None = None,
    paintings: tuple[Painting, ...] = (),
    prompts: tuple[str, ...] = ("dog, beach",),
    turns: tuple[Turn, ...] | None = None,
    draft_id: str = "d",
) -> Candidate:
    keyword = keyword or Keyword(name="dog")
    images = tuple(range(len(prompts)))
    draft = Draft(
        draft_id=draft_id,
        capability="animal",
        keyword=keyword.name,
        setting="beach",
        prompts=tuple(PaintPrompt(text=text) for text in prompts),
        turns=turns
        if turns is not None
        else (Turn(speaker="user", text="What?", images=images), Turn(speaker="assistant", text=answer)),
        stamp=CallStamp(backend="x"),
    )
    return Candidate(draft, keyword, paintings)


def test_a_whole_dialogue_passes() -> None:
    assert AnswerForm().judge(candidate()).kept


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ((), "no_turns"),
        ((Turn(speaker="assistant", text="A dog."),), "turns_out_of_order"),
        ((Turn(speaker="user", text="What?", images=(0,)),), "turns_out_of_order"),
        ((Turn(speaker="user", text="?", images=(0,)), Turn(speaker="assistant", text="  ")), "empty_turn"),
        ((Turn(speaker="user", text="?"), Turn(speaker="assistant", text="A dog.")), "images_mismatch"),
        ((Turn(speaker="user", text="?", images=(1,)), Turn(speaker="assistant", text="A dog.")), "images_mismatch"),
        ((Turn(speaker="user", text="?"), Turn(speaker="assistant", text="A.", images=(0,))), "images_mismatch"),
    ],
)
def test_a_broken_dialogue_is_refused_with_its_reason(turns: tuple[Turn, ...], reason: str) -> None:
    verdict = AnswerForm().judge(candidate(turns=turns))
    assert (verdict.kept, verdict.reason) == (False, reason)


@pytest.mark.parametrize("answer", ["Two dogs play.", "A puppy.", "It is a hound!"])
def test_an_answer_may_name_the_keyword_in_any_accepted_way(answer: str) -> None:
    keyword = Keyword(name="dog", synonyms=("puppy", "hound"))
    assert KeywordInAnswer().judge(candidate(answer, keyword)).kept


def test_an_answer_that_never_names_the_keyword_is_refused() -> None:
    assert KeywordInAnswer().judge(candidate("A hot dog stand and a dogma.")).reason == "keyword_not_in_answer"


def test_the_words_of_an_attribute_may_stand_apart() -> None:
    keyword = Keyword(name="red car", subject="car", answer="red")
    assert KeywordInAnswer().judge(candidate("The car is red.", keyword)).kept
    assert KeywordInAnswer().judge(candidate("Its paint is red.", keyword)).kept
    assert not KeywordInAnswer().judge(candidate("The car is fast.", keyword)).kept


def test_a_picture_of_the_keyword_passes_by_name_and_by_the_words_said() -> None:
    keyword = Keyword(name="puppy", synonyms=("dog",))
    for fact in (thing("dog"), thing("hound", said="puppy")):
        assert KeywordDrawn().judge(candidate(keyword=keyword, paintings=(painting(fact),))).kept


def test_a_picture_of_something_else_is_refused() -> None:
    verdict = KeywordDrawn().judge(candidate(paintings=(painting(thing("cat")),)))
    assert (verdict.reason, verdict.detail) == ("keyword_not_drawn", "picture 1 does not show: dog")


def test_a_color_on_the_wrong_thing_is_refused() -> None:
    keyword = Keyword(name="red car", subject="car", answer="red")
    right = painting(thing("car"), color("red", "car"))
    wrong = painting(thing("car"), thing("tree"), color("red", "tree"))
    assert KeywordDrawn().judge(candidate(keyword=keyword, paintings=(right,))).kept
    assert KeywordDrawn().judge(candidate(keyword=keyword, paintings=(wrong,))).reason == "attribute_on_wrong_thing"


def test_all_parts_of_an_abnormal_keyword_have_to_be_drawn() -> None:
    keyword = Keyword(name="elephant on a bicycle", subject="elephant", answer="elephant")
    both = painting(thing("elephant"), thing("bicycle"))
    assert KeywordDrawn().judge(candidate(keyword=keyword, paintings=(both,))).kept
    assert (
        "bicycle" in KeywordDrawn().judge(candidate(keyword=keyword, paintings=(painting(thing("elephant")),))).detail
    )


def test_each_picture_of_several_shows_its_own_part() -> None:
    keyword = Keyword(name="dog and cat", parts=("dog", "cat"))
    dog, cat = painting(thing("dog")), painting(thing("cat"))
    prompts = ("dog", "cat")
    assert KeywordDrawn().judge(candidate(keyword=keyword, paintings=(dog, cat), prompts=prompts)).kept
    verdict = KeywordDrawn().judge(candidate(keyword=keyword, paintings=(dog, dog), prompts=prompts))
    assert verdict.detail == "picture 2 does not show: cat"


@pytest.mark.parametrize(
    "answer",
    ["A dog on the beach.", "A puppy at the seaside.", "It is not a cat.", "No cat is here. A dog is.", "A quiet day."],
)
def test_claims_that_the_prompt_or_the_picture_hold_pass(answer: str) -> None:
    shown = (painting(thing("dog"), DrawnFact(kind="place", name="beach", said="beach")),)
    assert DialogueGrounded(LEXICON).judge(candidate(answer, paintings=shown)).kept


def test_a_claim_about_something_unseen_is_refused() -> None:
    verdict = DialogueGrounded(LEXICON).judge(
        candidate("A dog. A zebra stands by.", paintings=(painting(thing("dog")),))
    )
    assert verdict.reason == "claim_not_drawn"
    assert "zebra" in verdict.detail


def test_what_the_painter_ignored_may_not_be_claimed() -> None:
    shown = (painting(thing("dog"), ignored=("beach",)),)
    assert not DialogueGrounded(LEXICON).judge(candidate("A dog on the beach.", paintings=shown)).kept


def test_what_the_keywords_note_says_may_be_said() -> None:
    keyword = Keyword(name="dog", note="No cat would do that, a zebra neither.")
    shown = (painting(thing("dog")),)
    assert DialogueGrounded(LEXICON).judge(candidate("A dog, like a zebra.", keyword, shown)).kept


def test_a_longer_name_hides_the_shorter_one_in_it() -> None:
    assert [claim.phrase for claim in LEXICON.find_claims("Two red pandas.")] == ["red pandas"]
    assert [claim.phrase for claim in LEXICON.find_claims("A red dog.")] == ["red", "dog"]


def test_the_same_pair_is_dropped_once_and_the_first_stays() -> None:
    gate = ExactDuplicate()
    first = candidate(paintings=(painting(sha256="a"),), draft_id="first")
    assert gate.judge(first).kept
    gate.admit(first)
    again = gate.judge(candidate(paintings=(painting(sha256="a"),), draft_id="second"))
    assert (again.reason, again.detail) == ("exact_duplicate", "of first")
    assert gate.judge(candidate(paintings=(painting(sha256="b"),))).kept
    assert gate.judge(candidate("One dog.", paintings=(painting(sha256="a"),))).kept


def test_a_near_duplicate_needs_both_a_similar_picture_and_similar_words() -> None:
    gate = NearDuplicate()
    gate.admit(candidate("A brown dog runs along.", paintings=(painting(phash="0" * 16),)))
    near, far = painting(phash="0" * 15 + "1"), painting(phash="f" * 16)
    assert gate.judge(candidate("Along runs a brown dog!", paintings=(near,))).reason == "near_duplicate"
    assert gate.judge(candidate("Along runs a brown dog!", paintings=(far,))).kept
    assert gate.judge(candidate("Some quite different words here.", paintings=(near,))).kept
    other = candidate("A brown dog runs along.", Keyword(name="cat"), paintings=(near,))
    assert gate.judge(other).kept


def test_bytes_that_are_no_whole_picture_are_refused_with_the_reason() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG")
    data = buffer.getvalue()
    assert judge_bytes(data, 8, 8)[0].kept
    assert judge_bytes(data[:40], 8, 8)[0].reason in {"image_truncated", "image_unreadable"}
    assert judge_bytes(b"no picture", 8, 8)[0].reason == "image_unreadable"
    assert judge_bytes(data, 16, 16)[0].reason == "image_size_mismatch"
