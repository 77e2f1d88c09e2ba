"""How each kind of judging is phrased, called and read, after the benchmarks' own tools.

MM-Vet: github.com/yuweihao/MM-Vet mm-vet_evaluator.py. LLaVA-Bench: github.com/haotian-liu/LLaVA
eval_gpt_review_bench.py. MMBench: github.com/open-compass/VLMEvalKit multiple_choice.py.

Departs: instructions and worked examples are our own words in the official structure. Where the official tools
score a reply that cannot be read (0 in MM-Vet, -1 twice in LLaVA-Bench) or draw a letter (MMBench), there is no score.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stablellava.core.chat import ChatMessage
from stablellava.evaluation.benchmarks.base import JudgeKind, JudgeRequest, format_options
from stablellava.evaluation.benchmarks.capability_suites import parse_grade
from stablellava.evaluation.official import llavabench, mmvet
from stablellava.evaluation.official.mmbench import NO_OPTION, can_infer

Messages = tuple[ChatMessage, ...]


@dataclass(frozen=True)
class JudgeProtocol:
    """One kind of judging."""

    phrase: Callable[[JudgeRequest], Messages]
    is_readable: Callable[[str, JudgeRequest], bool]
    """Whether a reply holds what is looked for, by the rule that scores it."""
    max_tokens: int
    temperature: float = 0.0
    max_tries: int = 3
    """Replies that cannot be read are asked for again, so often in all."""
    temperature_step: float = 0.5
    """Added for every try after the first: a judge that is asked the same way says the same."""
    retry_suffix: str = ""
    """What every further try adds to the last message, once more each time."""


_MMVET_TABLE = """\
Score how correct a model's prediction is, given the ground truth. Where parts of the ground truth are joined by \
<AND>, a prediction is fully correct only with all of them; where they are joined by <OR>, any one of them is enough. \
Scores go from 0.0 (all wrong) over 0.1, 0.2 and so on to 1.0 (all right). Fill in the last cell of the table and \
write nothing else.

Question | Ground truth | Prediction | Correctness
--- | --- | --- | ---
Which values solve the equation? | -2 <AND> -7 | x = 4 | 0.0
Which values solve the equation? | -2 <AND> -7 | x = -2 | 0.5
Which values solve the equation? | -2 <AND> -7 | x = -2 or x = 7 | 0.5
Which values solve the equation? | -2 <AND> -7 | x = -2 or 7, but only -7 with the sign turned around | 0.5
Which values solve the equation? | -2 <AND> -7 | The solutions are -7 and -2. | 1.0
What is the joke of this picture? | It praises a neat desk in the words of a travel guide, while the photo shows \
heaps of paper and old cups that nobody would want to visit. | The picture jokes about how people see their own \
desks. The words call it a quiet place, and the photo shows a desk. | 0.4
What is the joke of this picture? | It praises a neat desk in the words of a travel guide, while the photo shows \
heaps of paper and old cups that nobody would want to visit. | The text speaks of a tidy desk as a guide book speaks \
of a resort. It is funny because the photo below shows the contrary: piles of paper and dirty cups, a place to stay \
away from. | 1.0
"""


def _phrase_mmvet(request: JudgeRequest) -> Messages:
    query = mmvet.format_query(request.question, request.reference, request.prediction)
    return (ChatMessage(role="user", text=_MMVET_TABLE + query),)


_REVIEWER = "You are a helpful and precise assistant for checking the quality of the answer."
_REVIEW_RULE = """\
Two AI assistants have answered the question above about an image, which you know by its description in the context. \
Judge both answers by how helpful, relevant, accurate and detailed they are. Give each assistant one score from 1 to \
10; a higher score means a better answer overall. The first line of your reply holds nothing but the two scores, that \
of Assistant 1 and that of Assistant 2, with a space between them. From the second line on, explain your scores. Let \
neither the order of the answers nor their length sway you."""


def _phrase_llavabench(request: JudgeRequest) -> Messages:
    first, second = request.reference, request.prediction
    if request.is_swapped:
        first, second = second, first
    text = (
        f"[Context]\n{request.context}\n\n[Question]\n{request.question}\n\n"
        f"[Assistant 1]\n{first}\n\n[End of Assistant 1]\n\n"
        f"[Assistant 2]\n{second}\n\n[End of Assistant 2]\n\n"
        f"[System]\n{_REVIEW_RULE}\n\n"
    )
    return ChatMessage(role="system", text=_REVIEWER), ChatMessage(role="user", text=text)


_EXTRACTION = """\
Match an answer to one of the options of a multiple-choice question. Reply with a single capital letter: that of the \
option whose meaning is closest to the answer's, or {none} if the answer means none of them or several.

Example 1:
Question: Which object lies on the table?
Options:
A. a teddy bear
B. a rabbit
C. a cat
D. a dog
Answer: It looks like a small bear made of cloth
Your reply: A

Example 2:
Question: Which object lies on the table?
Options:
A. a teddy bear
B. a rabbit
C. a cat
D. a dog
Answer: a spider
Your reply: {none}

Now this one:
Question: {question}
Options:
{options}
Answer: {prediction}
Your reply: """


def _phrase_mmbench(request: JudgeRequest) -> Messages:
    text = _EXTRACTION.format(
        none=NO_OPTION,
        question=request.question,
        options=format_options(request.options),
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


def _phrase_capability(request: JudgeRequest) -> Messages:
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
            max_tries=5,
            retry_suffix=mmvet.RETRY_SUFFIX,
        ),
        "llavabench": JudgeProtocol(
            phrase=_phrase_llavabench,
            is_readable=lambda text, request: llavabench.parse_score(text) is not None,
            max_tokens=1024,
            temperature=0.2,
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
