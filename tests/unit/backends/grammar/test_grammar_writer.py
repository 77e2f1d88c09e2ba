"""The writer on a capability of a third party: tables only, hardly any rules."""

from stablellava.backends.adapters.grammar import GrammarWriter
from stablellava.core.capability import Capability, EvaluationForm, Keyword
from stablellava.core.draft import Draft, DraftRefusal, DraftRequest
from stablellava.core.ids import seed_from
from stablellava.core.matching import contains_phrase

KEYWORDS = (
    Keyword(name="violin", synonyms=("fiddle",), group="strings"),
    Keyword(name="cello", group="strings"),
    Keyword(name="accordion", group="keys"),
    Keyword(name="tuba", group="brass"),
)
FORMS = (
    EvaluationForm(kind="wh", question="Which instrument is it?"),
    EvaluationForm(kind="yes_no", question="Is there a {keyword}?"),
    EvaluationForm(kind="yes_no", question="Can a {other} be seen?"),
    EvaluationForm(kind="either_or", question="Is it a {first} or a {second}?"),
)


def _capability(**changes: object) -> Capability:
    fields = {
        "name": "instrument", "title": "Instruments", "group": "man-made", "brief": "One instrument.", "cautions": (),
        "answer_form": "short", "paper": "", "settings": ("stage", "street", "planetarium"),
        "visual_features": ("soft light", "highly detailed"), "keywords": KEYWORDS, "prompt_exemplars": (),
        "dialogue_exemplars": (), "description_questions": ("Describe the picture.",), "evaluation_forms": FORMS,
        "grammar": {},
    }  # fmt: skip
    return Capability.model_validate({**fields, **changes})


def _requests(capability: Capability, count: int, **changes: object) -> list[DraftRequest]:
    return [
        DraftRequest.model_validate(
            {
                "draft_id": f"draft-{number}", "seed": seed_from("draft", number), "capability": capability,
                "keyword": capability.keywords[number % len(capability.keywords)],
                "setting": capability.settings[number % len(capability.settings)], **changes,
            }
        )
        for number in range(count)
    ]  # fmt: skip


def _drafts(capability: Capability, count: int = 300, **changes: object) -> list[Draft]:
    results = GrammarWriter().write(_requests(capability, count, **changes))
    assert not [result for result in results if isinstance(result, DraftRefusal)]
    return [result for result in results if isinstance(result, Draft)]


def test_a_folder_without_rules_is_written_from_its_tables() -> None:
    for draft in _drafts(_capability()):
        prompt = draft.prompts[0]
        assert contains_phrase(prompt.text.partition(",")[0], draft.keyword)
        assert contains_phrase(draft.turns[1].text, draft.keyword)
        assert draft.turns[0].text == "Describe the picture."


def test_an_unknown_place_is_said_plainly() -> None:
    texts = [draft.prompts[0].text for draft in _drafts(_capability()) if draft.setting == "planetarium"]
    assert texts
    assert all("in the planetarium" in text for text in texts)


def test_the_decisive_phrase_is_emphasised() -> None:
    for draft in _drafts(_capability()):
        (phrase, weight) = draft.prompts[0].emphasis[0]
        assert draft.prompts[0].text.startswith(phrase)
        assert 1 < weight < 2


def test_own_rules_replace_shared_ones() -> None:
    capability = _capability(grammar={"description": ("Nothing but a {keyword} is to be seen in this very picture.",)})
    for draft in _drafts(capability, 20):
        assert draft.turns[1].text.startswith("Nothing but a")


def test_own_facts_are_drawn_once_said_and_recorded() -> None:
    grammar = {
        "facts": ("color", "style"), "color": ("red", "blue"), "style": ("",),
        "description": ("This is a {color} {keyword}, and it is {color} from one end to the other.",),
    }  # fmt: skip
    for draft in _drafts(_capability(grammar=grammar), 40):
        color = dict(draft.attributes)["color"]
        assert draft.prompts[0].text.startswith(f"{color} {draft.keyword}")
        assert draft.turns[1].text.count(color) == 2


def test_wrong_alternatives_come_from_other_groups() -> None:
    groups = {keyword.name: keyword.group for keyword in KEYWORDS}
    for draft in _drafts(_capability(), purpose="evaluate", form="either_or"):
        other = dict(draft.attributes)["other"]
        assert groups[other] != groups[draft.keyword]
        assert contains_phrase(draft.turns[0].text, other)


def test_rivals_restrict_the_wrong_alternatives() -> None:
    keywords = (Keyword(name="violin", group="strings", rivals=("tuba",)), *KEYWORDS[1:])
    capability = _capability(keywords=keywords)
    drafts = _drafts(capability, purpose="evaluate", form="either_or")
    assert {dict(draft.attributes)["other"] for draft in drafts if draft.keyword == "violin"} == {"tuba"}


def test_half_of_the_yes_no_questions_are_answered_no_and_name_what_is_not_there() -> None:
    drafts = _drafts(_capability(), 600, purpose="evaluate", form="yes_no")
    denied = [draft for draft in drafts if draft.accepted_answers == ("no",)]
    assert 0.4 < len(denied) / len(drafts) < 0.6
    for draft in denied:
        assert not contains_phrase(draft.turns[0].text, draft.keyword)
    for draft in drafts:
        assert draft.turns[1].text == {"yes": "Yes.", "no": "No."}[draft.accepted_answers[0]]


def test_a_wh_question_accepts_synonyms() -> None:
    drafts = _drafts(_capability(), 20, purpose="evaluate", form="wh")
    assert drafts[0].accepted_answers == ("violin", "fiddle")
    assert len(drafts[0].turns) == 2


def test_without_another_group_there_is_no_wrong_alternative() -> None:
    capability = _capability(keywords=KEYWORDS[:2])
    for result in GrammarWriter().write(_requests(capability, 10, purpose="evaluate", form="either_or")):
        assert isinstance(result, DraftRefusal)
        assert result.reason == "no_wrong_alternative"


def test_a_missing_form_is_refused_by_name() -> None:
    capability = _capability(evaluation_forms=FORMS[:1])
    (result,) = GrammarWriter().write(_requests(capability, 1, purpose="evaluate", form="either_or"))
    assert isinstance(result, DraftRefusal)
    assert result.reason == "no_evaluation_form"
    assert "either_or" in result.detail


def test_the_stamp_names_the_rules_and_the_seed() -> None:
    plain = _drafts(_capability(), 1)[0]
    changed = _drafts(_capability(grammar={"show": ("Behold",)}), 1)[0]
    assert plain.stamp.backend == "grammar"
    assert plain.stamp.seed == seed_from("draft", 0)
    assert plain.stamp.revision != changed.stamp.revision
    assert plain.stamp.seconds is None


def test_the_same_name_with_other_tables_is_compiled_anew() -> None:
    writer = GrammarWriter()
    first, second = _capability(), _capability(description_questions=("What is it?",))
    (one,) = writer.write(_requests(first, 1))
    (two,) = writer.write(_requests(second, 1))
    assert isinstance(one, Draft)
    assert isinstance(two, Draft)
    assert (one.turns[0].text, two.turns[0].text) == ("Describe the picture.", "What is it?")
