"""Options of evaluate, apart from the verb so that the verb can be read."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class SuiteName(StrEnum):
    """What the items are: held-out drawn pictures, or a folder of photos."""

    generated = "generated"
    photos = "photos"


AnyModelOption = Annotated[
    Path | None, typer.Option("--model", "-m", help="Directory of a trained model.", metavar="DIR")
]
ModelOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--model-option",
        help="How a task's model runs here: prompt_style (own, llava-1.5), device, dtype, num_threads.",
        metavar="KEY=VALUE",
    ),
]
SuiteOption = Annotated[
    SuiteName | None, typer.Option("--suite", help="Which pictures are asked about; by default generated.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", "-d", help="The task's files, or a folder with items.jsonl; else the run's suite.", metavar="PATH"
    ),
]
TaskOption = Annotated[str | None, typer.Option("--task", "-t", help="A benchmark; see stablellava tasks list.")]
HubOption = Annotated[
    str | None,
    typer.Option(
        "--hub",
        help="Fetch the task's files from the Hugging Face hub instead of --data: 'default' or another dataset.",
        metavar="DATASET[:CONFIG][@SPLIT]",
    ),
]
VariantOption = Annotated[str, typer.Option("--variant", help="Prompt and protocol; by default LLaVA-1.5's.")]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Where the task's pictures lie, if elsewhere.", metavar="DIR")
]
LimitOption = Annotated[int | None, typer.Option("--limit", help="Ask only so many of the first questions.")]
KeepGoingOption = Annotated[
    bool, typer.Option("--keep-going", help="List and skip rows that cannot be used instead of stopping.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for the task's log and pictures.", metavar="DIR")
]
ChatOption = Annotated[
    str | None, typer.Option("--chat", help="Ask this chat backend (openai, ...) instead of a model here.")
]
ChatOptions = Annotated[
    list[str] | None,
    typer.Option("--chat-option", help="Option of the chat backend; repeat for several.", metavar="KEY=VALUE"),
]
JudgeOption = Annotated[str | None, typer.Option("--judge", help="Chat backend that grades free answers.")]
JudgeOptions = Annotated[
    list[str] | None,
    typer.Option("--judge-option", help="Option of the judge's backend; repeat for several.", metavar="KEY=VALUE"),
]
JudgePromptsOption = Annotated[
    Path | None,
    typer.Option(
        "--judge-prompts", help="Words for the judge (YAML, name: prompt), as the benchmark's own.", metavar="FILE"
    ),
]
JudgeRunsOption = Annotated[int, typer.Option("--judge-runs", min=1, help="How often each answer is judged.")]
MaxCallsOption = Annotated[
    int | None, typer.Option("--max-calls", min=0, help="Stop before the endpoint or the judge is called more often.")
]
MaxCostOption = Annotated[
    float | None, typer.Option("--max-cost", min=0, help="Stop before either's calls cost more; needs prices.")
]
AnswersOption = Annotated[
    Path | None, typer.Option("--answers", help="Score the answers in this file instead of asking.", metavar="FILE")
]
FormatOption = Annotated[str, typer.Option("--format", help="Who wrote the answers: llava, lmms-eval or vlmevalkit.")]
RescoreOption = Annotated[
    Path | None, typer.Option("--rescore", help="Score a task's log again, without a model.", metavar="LOG")
]
SubmissionOption = Annotated[
    Path | None, typer.Option("--submission", help="Also write the file to upload.", metavar="FILE")
]
LogOption = Annotated[
    list[Path] | None,
    typer.Option("--log", help="Also show this log of a benchmark; repeat for several.", metavar="FILE"),
]
