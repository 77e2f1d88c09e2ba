"""What every writer keeps to, checked on the capabilities that come with the package."""

import random
import re
from collections import Counter
from functools import cache

import pytest

from stablellava.backends.catalog import build_backend, list_backends
from stablellava.backends.protocols import Writer
from stablellava.capabilities import list_capabilities, load_capability, load_places
from stablellava.core.capability import Capability
from stablellava.core.draft import Draft, DraftRefusal, DraftRequest
from stablellava.core.ids import seed_from
from stablellava.core.matching import contains_phrase
from stablellava.filters.lexicon import Lexicon
from stablellava.synthesis.vocabulary import build_lexicon

WRITERS = sorted(name.removeprefix("writer.") for name in list_backends() if name.startswith("writer."))
CAPABILITIES = list_capabilities()
NUM_DRAFTS = 150
_DOUBLED = re.compile(r"\b(\w+) \1\b")
_UNTIDY = re.compile(r"[\[\]{}<>|]|  | [.,;:?!]|[.,;:?!]{2}|^[a-z]")
_WRONG_ARTICLE = re.compile(r"\ba (?=[aei]|u(?!ni|s|f)|o(?!ne))|\ban (?=[^aeiouhx])")


def make_requests(capability: Capability, count: int, form: str | None = None) -> list[DraftRequest]:
    requests = []
    for number in range(count):
        rng = random.Random(seed_from(capability.name, number, form))
        keyword = rng.choice(capability.keywords)
        requests.append(
            DraftRequest.model_validate(
                {
                    "draft_id": f"{capability.name}-{form}-{number}", "seed": rng.getrandbits(62),
                    "capability": capability, "keyword": keyword,
                    "setting": rng.choice(keyword.settings or capability.settings),
                    "purpose": "evaluate" if form else "train", "form": form,
                }
            )
        )  # fmt: skip
    return requests


@cache
def grammar_drafts(name: str) -> tuple[Draft, ...]:
    writer: Writer = build_backend("writer", "grammar")
    results = writer.write(make_requests(load_capability(name), NUM_DRAFTS))
    refusals = [result for result in results if isinstance(result, DraftRefusal)]
    assert not refusals
    return tuple(result for result in results if isinstance(result, Draft))


@cache
def load_lexicon() -> Lexicon:
    return build_lexicon([load_capability(name) for name in CAPABILITIES], load_places())


@pytest.mark.parametrize("writer_name", WRITERS)
def test_results_stand_in_the_order_of_the_requests(writer_name: str) -> None:
    requests = make_requests(load_capability("animal"), 20)
    results = build_backend("writer", writer_name).write(requests)
    assert [result.draft_id for result in results] == [request.draft_id for request in requests]


@pytest.mark.parametrize("writer_name", WRITERS)
@pytest.mark.parametrize("form", [None, "wh", "yes_no", "either_or"])
def test_a_result_depends_on_its_request_alone(writer_name: str, form: str | None) -> None:
    requests = make_requests(load_capability("color"), 12, form)
    together = build_backend("writer", writer_name).write(requests)
    apart = [build_backend("writer", writer_name).write([request])[0] for request in reversed(requests)]
    assert together == apart[::-1]


@pytest.mark.parametrize("writer_name", WRITERS)
@pytest.mark.parametrize("name", ["animal", "difference"])
def test_turns_alternate_and_show_every_picture_once(writer_name: str, name: str) -> None:
    for draft in build_backend("writer", writer_name).write(make_requests(load_capability(name), 30)):
        assert isinstance(draft, Draft)
        assert [turn.speaker for turn in draft.turns] == ["user", "assistant"] * (len(draft.turns) // 2)
        shown = [image for turn in draft.turns for image in turn.images]
        assert sorted(shown) == list(range(len(draft.prompts)))


@pytest.mark.parametrize("name", CAPABILITIES)
def test_texts_are_whole_and_tidy(name: str) -> None:
    for draft in grammar_drafts(name):
        assert 2 <= len(draft.turns) <= 8
        for turn in draft.turns:
            assert not _UNTIDY.search(turn.text), turn.text
            assert not _DOUBLED.search(turn.text.lower()), turn.text
            assert not _WRONG_ARTICLE.search(turn.text.lower()), turn.text
            assert turn.text[-1] in ".?!", turn.text


@pytest.mark.parametrize("name", CAPABILITIES)
def test_no_question_is_asked_twice_in_a_dialogue(name: str) -> None:
    for draft in grammar_drafts(name):
        questions = [turn.text for turn in draft.turns if turn.speaker == "user"]
        assert len(set(questions)) == len(questions), questions


@pytest.mark.parametrize("name", CAPABILITIES)
def test_the_keyword_opens_the_prompt_and_the_first_answer_names_it(name: str) -> None:
    capability = load_capability(name)
    for draft in grammar_drafts(name):
        keyword = capability.find_keyword(draft.keyword)
        assert keyword is not None
        for prompt, phrase in zip(draft.prompts, keyword.parts or (keyword.name,), strict=True):
            assert contains_phrase(prompt.text.partition(",")[0], phrase.partition(",")[0])
            assert prompt.emphasis[0][0] == prompt.text.partition(",")[0]
        if not keyword.parts:
            answer = draft.turns[1].text
            assert any(contains_phrase(answer, name) for name in (keyword.name, *keyword.synonyms)), answer


@pytest.mark.parametrize("name", [name for name in CAPABILITIES if name != "story"])
def test_first_answers_are_neither_curt_nor_long_winded(name: str) -> None:
    lengths = [len(draft.turns[1].text.split()) for draft in grammar_drafts(name)]
    assert min(lengths) >= 8
    assert sum(length > 25 for length in lengths) <= 0.02 * len(lengths)


@pytest.mark.parametrize("name", CAPABILITIES)
def test_answers_claim_only_what_the_prompt_holds(name: str) -> None:
    capability = load_capability(name)
    claims: Counter[str] = Counter()
    for draft in grammar_drafts(name):
        keyword = capability.find_keyword(draft.keyword)
        assert keyword is not None
        held = "; ".join(prompt.text for prompt in draft.prompts)
        # The note of a keyword is the capability's own text; what it says is checked with its folder.
        known = [held, keyword.name, *keyword.synonyms, keyword.group, keyword.note, *keyword.accepted_answers]
        for turn in draft.turns[1::2]:
            for claim in load_lexicon().find_claims(turn.text):
                phrases = (claim.phrase, *claim.equivalents)
                if not any(contains_phrase(text, phrase) for text in known for phrase in phrases):
                    claims[f"{claim.phrase}: {turn.text} ({held})"] += 1
    assert not claims


@pytest.mark.parametrize("name", CAPABILITIES)
def test_every_form_can_be_asked_of_every_keyword(name: str) -> None:
    capability = load_capability(name)
    writer: Writer = build_backend("writer", "grammar")
    for form in ("wh", "yes_no", "either_or"):
        for draft in writer.write(make_requests(capability, 120, form)):
            assert isinstance(draft, Draft), draft
            assert len(draft.turns) == 2
            assert not _UNTIDY.search(draft.turns[0].text), draft.turns[0].text
            right, other = draft.accepted_answers, dict(draft.attributes).get("other", "")
            assert contains_phrase(draft.turns[1].text, right[0])
            if other and form == "either_or":
                assert not any(contains_phrase(other, answer) for answer in right)
                assert not any(contains_phrase(prompt.text, other) for prompt in draft.prompts)
            if form == "yes_no":
                assert (right == ("no",)) == bool(other)


@pytest.mark.parametrize("name", CAPABILITIES)
def test_training_teaches_yes_as_often_as_no(name: str) -> None:
    answers = Counter(
        turn.text.lower().split()[0].strip(".,") for draft in grammar_drafts(name) for turn in draft.turns[1::2]
    )
    share = answers["yes"] / (answers["yes"] + answers["no"])
    assert 0.3 < share < 0.7, answers


ABOUT_STYLES = {"style", "difference"}


@pytest.mark.parametrize("name", [name for name in CAPABILITIES if name not in ABOUT_STYLES])
def test_styles_stay_an_exception(name: str) -> None:
    styled = sum("style" in dict(draft.attributes) for draft in grammar_drafts(name))
    assert styled <= 0.25 * NUM_DRAFTS
    if name in ("color", "hair"):
        assert styled == 0


@pytest.mark.parametrize("name", CAPABILITIES)
def test_drafts_differ(name: str) -> None:
    texts = Counter((draft.prompts, tuple(turn.text for turn in draft.turns)) for draft in grammar_drafts(name))
    assert max(texts.values()) == 1
