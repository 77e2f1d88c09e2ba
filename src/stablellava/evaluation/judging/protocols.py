"""How each kind of judging is built up, called and read, after the benchmarks' own tools; words are a ``Wording``'s.

MM-Vet: github.com/yuweihao/MM-Vet mm-vet_evaluator.py. LLaVA-Bench: github.com/haotian-liu/LLaVA
eval_gpt_review_bench.py. MMBench: github.com/open-compass/VLMEvalKit multiple_choice.py.

Departs: where the official tools score a reply that cannot be read (0 in MM-Vet, -1 twice in LLaVA-Bench) or draw a
letter (MMBench), there is no score; such a reply is asked for again in LLaVA-Bench too, and hotter in MMBench.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stablellava.core.chat import ChatMessage
from stablellava.evaluation.benchmarks.base import CHINESE, JudgeKind, JudgeRequest, format_options
from stablellava.evaluation.benchmarks.capability_suites import parse_grade
from stablellava.evaluation.judging.wording import Wording
from stablellava.evaluation.official import llavabench, mmvet
from stablellava.evaluation.official.mmbench import can_infer

Messages = tuple[ChatMessage, ...]


@dataclass(frozen=True)
class JudgeProtocol:
    """One kind of judging."""

    phrase: Callable[[JudgeRequest, Wording], Messages]
    is_readable: Callable[[str, JudgeRequest], bool]
    """Whether a reply holds what is looked for, by the rule that scores it."""
    max_tokens: int
    temperatures: tuple[float, ...] = (0.0, 0.5, 1.0)
    """Of every try: replies that cannot be read are asked for again, and a judge asked the same way says the same."""
    retry_suffix: str = ""
    """What every try after the first has at its end."""


def _phrase_mmvet(request: JudgeRequest, wording: Wording) -> Messages:
    query = mmvet.format_query(request.question, request.reference, request.prediction)
    return (ChatMessage(role="user", text=wording.prompts["mmvet"] + query),)


_REVIEWER = "You are a helpful and precise assistant for checking the quality of the answer."


def _phrase_llavabench(request: JudgeRequest, wording: Wording) -> Messages:
    rule = wording.prompts["llavabench"]
    first, second = request.reference, request.prediction
    if request.is_swapped:
        first, second = second, first
    text = (
        f"[Context]\n{request.context}\n\n[Question]\n{request.question}\n\n"
        f"[Assistant 1]\n{first}\n\n[End of Assistant 1]\n\n"
        f"[Assistant 2]\n{second}\n\n[End of Assistant 2]\n\n"
        f"[System]\n{rule}\n\n"
    )
    return ChatMessage(role="system", text=_REVIEWER), ChatMessage(role="user", text=text)


def _phrase_mmbench(request: JudgeRequest, wording: Wording) -> Messages:
    is_chinese = "mmbench_cn" in wording.prompts and CHINESE.search(request.question)
    text = wording.prompts["mmbench_cn" if is_chinese else "mmbench"].format(
        question=request.question,
        options=f"There are several options: \n{format_options(request.options)}\n",
        prediction=request.prediction,
    )
    return (ChatMessage(role="user", text=text),)


_GRADING = """\
Grade an answer to a question about one picture or several. You do not see the pictures; what is right is given.

Question: {question}
What is right: {reference}
Answer to grade: {prediction}

Grades: 5 says what is right, with nothing wrong beside it. 4 says it with a small slip. 3 says a good part of it. \
2 says a little of it, or says it beside something wrong. 1 is about the matter and wrong. 0 says nothing of use, or \
denies what is right. Words may differ as long as the meaning is the same.

Begin your reply with the grade, a single number from 0 to 5."""


def _phrase_capability(request: JudgeRequest, _: Wording) -> Messages:
    text = _GRADING.format(
        question=request.question, reference=request.reference, prediction=request.prediction or "(nothing)"
    )
    return (ChatMessage(role="user", text=text),)


PROTOCOLS: Mapping[JudgeKind, JudgeProtocol] = MappingProxyType(
    {
        "mmvet": JudgeProtocol(
            phrase=_phrase_mmvet,
            is_readable=lambda text, request: mmvet.parse_score(text) is not None,
            max_tokens=3,
            temperatures=(0.0, 0.0, 0.5, 1.0, 1.5),
            retry_suffix=mmvet.RETRY_SUFFIX,
        ),
        "llavabench": JudgeProtocol(
            phrase=_phrase_llavabench,
            is_readable=lambda text, request: llavabench.parse_score(text) is not None,
            max_tokens=1024,
            temperatures=(0.2, 0.7, 1.2),
        ),
        "mmbench": JudgeProtocol(
            phrase=_phrase_mmbench,
            is_readable=lambda text, request: bool(can_infer(text.strip(), request.options)),
            max_tokens=16,
        ),
        "capability": JudgeProtocol(
            phrase=_phrase_capability,
            is_readable=lambda text, request: parse_grade(text) is not None,
            max_tokens=64,
        ),
    }
)
