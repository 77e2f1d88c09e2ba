"""Evaluation questions: what is asked for, and whether what was written has the one right answer.

Paper: 2308.10253v1, section 4 (a third instruction: yes/no, wh- and either-or questions with short answers).
"""

from stablellava.core.capability import Keyword
from stablellava.core.draft import DraftRequest, Turn
from stablellava.core.ids import seed_from, share_of
from stablellava.core.matching import contains_phrase
from stablellava.synthesis.chat_drafting.answers import AnswerUnfit, QuestionText

_NUM_OTHERS = 4
_LEADING = ("a ", "an ", "the ")


def asks_for_no(request: DraftRequest) -> bool:
    """Tell whether a yes-or-no question is to name what is not there; half of them do."""
    return request.form == "yes_no" and share_of(request.draft_id, "no") < 0.5


def right_answer(request: DraftRequest) -> str:
    """Return the short answer that the question must have."""
    if request.form == "yes_no":
        return "no" if asks_for_no(request) else "yes"
    return request.keyword.short_answer


def draw_others(request: DraftRequest) -> list[str]:
    """Return wrong answers to choose from, where the form names one: rivals, else keywords of other groups."""
    if request.form != "either_or" and not asks_for_no(request):
        return []
    return [keyword.short_answer for keyword in _rivals(request)[:_NUM_OTHERS]]


def choose_pattern(request: DraftRequest) -> str:
    """Return one of the capability's questions of that form, its slots still open."""
    forms = [form.question for form in request.capability.evaluation_forms if form.kind == request.form]
    return forms[seed_from(request.draft_id, "form") % len(forms)]


def hold_to_form(request: DraftRequest, written: QuestionText) -> tuple[tuple[str, ...], str]:
    """Return the accepted answers and the wrong alternative of a question that can be scored.

    Raises: AnswerUnfit ("answer_off_key", "question_off_form").
    """
    keyword = request.keyword
    answer = _bare(written.answer)
    is_named = any(contains_phrase(written.question, name) for name in (keyword.name, *keyword.accepted_answers))
    if request.form == "yes_no":
        if answer != right_answer(request):
            raise AnswerUnfit("answer_off_key", f"the answer is {answer!r}, asked for was {right_answer(request)!r}")
        wanted = written.other if asks_for_no(request) else ""
        if asks_for_no(request):
            _check_other(request, written)
        elif not is_named:
            raise AnswerUnfit("question_off_form", f"the question does not name {keyword.name!r}")
        return (answer,), wanted
    if not any(_bare(accepted) == answer for accepted in keyword.accepted_answers):
        raise AnswerUnfit("answer_off_key", f"the answer is {answer!r}, right is {keyword.short_answer!r}")
    if request.form == "wh":
        if is_named:
            raise AnswerUnfit("question_off_form", f"the question gives {keyword.name!r} away")
        return keyword.accepted_answers, ""
    if not is_named:
        raise AnswerUnfit("question_off_form", f"the question does not name {keyword.short_answer!r}")
    _check_other(request, written)
    return keyword.accepted_answers, written.other


def write_turns(written: QuestionText, num_images: int) -> tuple[Turn, ...]:
    """Return the question and its answer as a dialogue."""
    answer = written.answer[:1].upper() + written.answer[1:]
    return (
        Turn(speaker="user", text=written.question, images=tuple(range(num_images))),
        Turn(speaker="assistant", text=answer if answer.endswith(".") else f"{answer}."),
    )


def _check_other(request: DraftRequest, written: QuestionText) -> None:
    others = {name for rival in _rivals(request) for name in (rival.name, *rival.accepted_answers)}
    if _bare(written.other) not in {_bare(name) for name in others}:
        raise AnswerUnfit("question_off_form", f"{written.other!r} is not one of the wrong answers to choose from")
    if not contains_phrase(written.question, written.other):
        raise AnswerUnfit("question_off_form", f"the question does not name {written.other!r}")


def _rivals(request: DraftRequest) -> list[Keyword]:
    own = request.keyword
    if own.rivals:
        rivals = [keyword for keyword in request.capability.keywords if keyword.name in own.rivals]
    else:
        rivals = [
            keyword
            for keyword in request.capability.keywords
            if keyword.name != own.name and (not own.group or keyword.group != own.group)
        ]
    rivals = [keyword for keyword in rivals if keyword.short_answer != own.short_answer]
    return sorted(rivals, key=lambda keyword: seed_from(request.draft_id, keyword.name))


def _bare(text: str) -> str:
    text = " ".join(text.lower().split()).rstrip(".!")
    for article in _LEADING:
        text = text.removeprefix(article)
    return text
