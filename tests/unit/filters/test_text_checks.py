import re
from typing import Any

import pytest

from stablellava.core.capability import Keyword
from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.errors import ConfigError
from stablellava.filters.base import Candidate
from stablellava.filters.boilerplate import NoBoilerplate
from stablellava.filters.keyword_in_prompt import KeywordInPrompt
from stablellava.filters.language import InLanguage
from stablellava.filters.text_length import TextLength
from stablellava.filters.unsafe_prompt import SafePrompt


def candidate(
    answer: str = "A dog runs on the beach.",
    *prompts: str,
    keyword: Keyword | None = None,
    is_evaluation: bool = False,
) -> Candidate:
    prompts = prompts or ("dog, on the beach",)
    draft = Draft(
        draft_id="d",
        capability="animal",
        keyword="dog",
        setting="beach",
        prompts=tuple(PaintPrompt(text=text) for text in prompts),
        turns=(Turn(speaker="user", text="What is there?"), Turn(speaker="assistant", text=answer)),
        form="wh" if is_evaluation else None,
        stamp=CallStamp(backend="x"),
    )
    return Candidate(draft, keyword or Keyword(name="dog"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("As an AI language model, I cannot see pictures.", "refusal_text"),
        ("I\u2019m sorry, but there is nothing I can say.", "refusal_text"),
        ("I can't view images.", "refusal_text"),
        ("Sure! The picture shows a dog.", "boilerplate_text"),
        ("Here is a dialogue about the dog.", "boilerplate_text"),
        ("The dog is brown. Let me know if you want more.", "boilerplate_text"),
        ("The prompt describes a dog.", "boilerplate_text"),
        ("The dog is [insert color].", "boilerplate_text"),
    ],
)
def test_talk_about_the_model_or_the_task_is_refused(answer: str, reason: str) -> None:
    assert NoBoilerplate().judge(candidate(answer)).reason == reason


@pytest.mark.parametrize(
    "answer",
    [
        "The dog makes sure that the ball stays close.",
        "A woman is an assistant at a dentist's.",
        "He cannot see the ball behind the rock.",
        "Here is a dog that sleeps.",
        "The actor waits for a prompt from the wings.",
    ],
)
def test_plain_sentences_are_no_boilerplate(answer: str) -> None:
    assert NoBoilerplate().judge(candidate(answer)).kept


def test_lengths_count_words_and_evaluation_answers_may_be_one_word() -> None:
    check = TextLength(min_answer_words=3, max_answer_words=8, min_prompt_words=2, max_prompt_words=6)
    assert check.judge(candidate("A small dog runs.")).kept
    assert check.judge(candidate("A dog.")).reason == "answer_too_short"
    assert check.judge(candidate("Dog.", is_evaluation=True)).kept
    assert check.judge(candidate("A dog runs on and on and on and on.")).reason == "answer_too_long"
    assert check.judge(candidate("A small dog runs.", "dog")).reason == "prompt_too_short"
    too_long = check.judge(candidate("A small dog runs.", "dog, beach, soft light, film grain, sea, sun"))
    assert (too_long.reason, too_long.score, too_long.threshold) == ("prompt_too_long", 8, 6)


def test_unsuitable_prompts_are_refused_by_whole_words_only() -> None:
    assert SafePrompt().judge(candidate("A dog.", "nude woman, beach")).reason == "unsafe_prompt"
    assert SafePrompt().judge(candidate("A dog.", "woman, pool of blood")).detail.startswith("'pool of blood' (gore)")
    assert SafePrompt().judge(candidate("A dog.", "sussex sheep, denuded hill, torturous road")).kept


def test_terms_can_be_added_and_allowed() -> None:
    check = SafePrompt(extra_terms=("casino",), allowed_terms=("corpse",))
    assert check.judge(candidate("A dog.", "corpse flower, garden")).kept
    assert not check.judge(candidate("A dog.", "casinos at night")).kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"extra_terms": "gun"}, "extra_terms='gun': give a list, as [gun]"),
        ({"allowed_terms": "corpse"}, "allowed_terms='corpse': give a list, as [corpse]"),
        ({"allowed_terms": ("corpses",)}, "no term 'corpses' to allow. Did you mean 'corpse'?"),
    ],
)
def test_terms_that_would_change_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        SafePrompt(**options)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("The dog runs on the beach and looks for its ball in the warm sand.", True),
        ("Ein kleiner Hund l\u00e4uft am Strand entlang und sucht seinen Ball im warmen Sand.", False),
        ("El perro corre por la playa y busca su pelota en la arena caliente.", False),
        ("Yes.", True),
    ],
)
def test_another_language_is_told_apart(answer: str, kept: bool) -> None:
    assert InLanguage("en").judge(candidate(answer)).kept is kept


def test_an_unknown_language_is_refused_before_any_work() -> None:
    with pytest.raises(ConfigError, match="'xx' is not known"):
        InLanguage("xx")


@pytest.mark.parametrize(
    ("keyword", "prompts", "kept"),
    [
        (Keyword(name="dog", synonyms=("puppy",)), ("puppy, beach",), True),
        (Keyword(name="dog"), ("cat, beach",), False),
        (Keyword(name="elephant on a bicycle"), ("elephant that rides a bicycle, street",), True),
        (Keyword(name="elephant on a bicycle"), ("elephant, street",), False),
        (Keyword(name="day and night", parts=("sun", "moon")), ("sun, hills", "moon, hills"), True),
        (Keyword(name="day and night", parts=("sun", "moon")), ("sun, hills", "stars, hills"), False),
    ],
)
def test_the_prompt_must_ask_for_the_keyword(keyword: Keyword, prompts: tuple[str, ...], kept: bool) -> None:
    assert KeywordInPrompt().judge(candidate("A dog.", *prompts, keyword=keyword)).kept is kept
