"""What evaluate does with a task: asks a model, or scores what there is, and writes log, table and submission."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stablellava.cli.options import JsonOption, read_options
from stablellava.cli.task_chats import describe_asking, open_answerer, open_judge

if TYPE_CHECKING:
    from stablellava.core.score import TaskLog
    from stablellava.evaluation.benchmarks.base import Judge, Task
    from stablellava.evaluation.benchmarks.loading import LoadedTask

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class TaskRequest:
    """The options of evaluate that are about a task."""

    task: str
    data: Path | None
    hub: str | None = None
    variant: str = ""
    images: Path | None = None
    limit: int | None = None
    keep_going: bool = False
    model: Path | None = None
    model_options: Sequence[str] = ()
    chat: str | None = None
    chat_options: Sequence[str] = ()
    judge: str | None = None
    judge_options: Sequence[str] = ()
    judge_prompts: Path | None = None
    judge_runs: int = 1
    answers: Path | None = None
    answers_format: str = "llava"
    out: Path | None = None
    max_calls: int | None = None
    max_cost: float | None = None
    overrides: Sequence[str] = field(default_factory=tuple)

    @property
    def options_of_tasks(self) -> dict[str, object]:
        """What only a task takes, by the options' names; None: not given."""
        return {
            "--variant": self.variant or None, "--images": self.images, "--limit": self.limit, "--hub": self.hub,
            "--keep-going": self.keep_going or None, "--out": self.out, "--chat": self.chat, "--judge": self.judge,
            "--answers": self.answers, **{name: value for name, (_, value) in self.details.items()},
        }  # fmt: skip

    @property
    def details(self) -> dict[str, tuple[Sequence[str], object]]:
        """What says more about other options, one of which must be there: option -> (those, its value)."""
        called = ("--chat", "--judge")
        return {
            "--model-option": (("--model",), self.model_options or None),
            "--chat-option": (("--chat",), self.chat_options or None),
            "--judge-option": (("--judge",), self.judge_options or None),
            "--judge-prompts": (("--judge",), self.judge_prompts),
            "--judge-runs": (("--judge",), self.judge_runs if self.judge_runs != 1 else None),
            "--format": (("--answers",), self.answers_format if self.answers_format != "llava" else None),
            "--max-calls": (called, self.max_calls),
            "--max-cost": (called, self.max_cost),
        }

    @property
    def name(self) -> str:
        """What reports and files call what answered."""
        if self.model is not None:
            return self.model.resolve().name
        if self.answers is not None:
            return _UNSAFE.sub("-", self.answers.stem)
        return _UNSAFE.sub("-", str(read_options(self.chat_options, "--chat-option").get("model", self.chat)))


def list_tasks(as_json: JsonOption = False) -> None:
    """List benchmarks by name: what files each needs, and its variants, the first being the default.

    Example: stablellava tasks list
    """
    from stablellava.cli.output import note, print_result
    from stablellava.cli.tables import text_table
    from stablellava.core.errors import StableLlavaError
    from stablellava.evaluation.benchmarks.hub import SOURCES
    from stablellava.evaluation.benchmarks.registry import find_task, list_tasks

    tasks = []
    for name in list_tasks():
        try:
            tasks.append(find_task(name))
        except StableLlavaError as exc:  # a package whose task cannot be used hides no other
            note(f"left out: {exc}")
    on_hub = {name: source.name.words for name, source in SOURCES.items()}
    rows = [
        (
            task.name,
            task.needs + (f"\n--hub default: {on_hub[task.name]}" if task.name in on_hub else ""),
            "\n".join(f"{name}: {about}" for name, about in task.variants.items()),
        )
        for task in tasks
    ]
    result = {
        "tasks": [
            {
                "name": task.name,
                "title": task.title,
                "needs": task.needs,
                "hub": on_hub.get(task.name),
                "variants": dict(task.variants),
                "judged": task.judge_requests is not None,
                "submission": task.submission.about if task.submission else None,
            }
            for task in tasks
        ]
    }
    print_result(result, as_json, text_table(("task", "--data", "--variant"), rows))


def run_request(request: TaskRequest) -> "TaskLog":
    """Do what is asked; return the log, which is on disk then.

    Raises: ConfigError for options that do not go together, and what reading, asking and judging raise.
    """
    from stablellava.cli.output import note
    from stablellava.core.errors import BackendFailed
    from stablellava.evaluation.benchmarks.hub import fetch_task
    from stablellava.evaluation.benchmarks.loading import load_task
    from stablellava.evaluation.benchmarks.registry import find_task
    from stablellava.synthesis.chat_drafting.spending import LimitReached

    task = find_task(request.task)
    _check_sources(request, task)
    out = request.out or _default_folder(request)
    loaded = load_task(
        task,
        request.data or fetch_task(task.name, str(request.hub)),
        out,
        variant=request.variant,
        images_dir=request.images,
        limit=request.limit,
        keep_going=request.keep_going,
    )
    loaded = _check_contamination(request.model, loaded)
    log_path = out / f"{task.name}.{loaded.variant}.{request.name}.jsonl"
    with ExitStack() as stack:
        judge = stack.enter_context(open_judge(request)) if request.judge else None
        get_log = _score_file if request.answers else _ask
        try:
            log = get_log(request, loaded, log_path, judge)
        except LimitReached as exc:
            raise BackendFailed(f"stopped: {exc}; what was said is kept, and the same command goes on from it") from exc
    note(f"log: {log_path}")
    return log


def _check_sources(request: TaskRequest, task: "Task") -> None:
    """Raise ConfigError unless it is clear where files and answers come from, and a judge has something to judge."""
    from stablellava.core.errors import ConfigError

    if request.data is None and request.hub is None:
        raise ConfigError(f"--task {task.name} needs --data: {task.needs}; or --hub default")
    if request.data is not None and request.hub is not None:
        raise ConfigError("--data and --hub both say where the files are; give one of them")
    sources = {"--model": request.model, "--chat": request.chat, "--answers": request.answers}
    named = [name for name, value in sources.items() if value is not None]
    if len(named) != 1:
        given = " and ".join(named) or "none of them"
        raise ConfigError(f"one of {', '.join(sources)} says where answers come from; got {given}")
    for name, (about, value) in request.details.items():
        if value is not None and not {*about} & {*named, *(["--judge"] if request.judge else [])}:
            raise ConfigError(f"{name} does not go here: it is about {' and '.join(about)}")
    if request.judge and task.judge_requests is None:
        raise ConfigError(f"task {task.name!r} is scored by rules; leave out --judge")


def _check_contamination(model: Path | None, loaded: "LoadedTask") -> "LoadedTask":
    """Return the task with what it shares with the data of the run that the model was trained in."""
    from stablellava.cli.runs import load_settings_of
    from stablellava.evaluation.contamination import note_contamination
    from stablellava.store.layout import RunLayout
    from stablellava.store.manifest import manifest_path

    if model is None or model.resolve().parent.name != "model":
        return loaded
    layout = RunLayout(model.resolve().parent.parent)
    if not manifest_path(layout.data_dir).is_file():
        return loaded
    training = load_settings_of(layout, None).training
    stages = (training.align, training.instruct)
    others = dict.fromkeys(source.path for stage in stages for source in stage.sources if source.path)
    return replace(
        loaded, contamination=note_contamination(loaded.items, loaded.image_dir, layout.data_dir, list(others))
    )


def write_submission(log: "TaskLog", path: Path) -> list[Path]:
    """Write the files to upload; return their paths.

    Raises: ConfigError if the task has none, BackendMissing without what its format needs.
    """
    from stablellava.core.errors import ConfigError
    from stablellava.evaluation.benchmarks.registry import find_task
    from stablellava.evaluation.benchmarks.scoring import answers_of
    from stablellava.store.files import write_atomic

    task = find_task(log.header.task)
    if task.submission is None:
        raise ConfigError(f"task {task.name!r} has no file to upload; its scores are made here")
    suffix = task.submission.suffix
    if suffix and path.suffix != suffix:
        raise ConfigError(f"--submission {path}: {task.submission.about}; name a file that ends in {suffix}")
    files = task.submission.render(answers_of(log))
    written = []
    for name, data in files.items():
        target = path / name if name else path
        write_atomic(target, data)
        written.append(target)
    return written


def _ask(request: TaskRequest, loaded: "LoadedTask", log_path: Path, judge: "Judge | None") -> "TaskLog":
    from stablellava.cli.progress import show_progress
    from stablellava.evaluation.benchmarks.running import run_task

    with show_progress(f"evaluate {loaded.task.name}") as bar, open_answerer(request, loaded.task) as (answerer, size):
        return run_task(
            loaded,
            answerer,
            log_path,
            judge=judge,
            judge_runs=request.judge_runs,
            group_size=size,
            progress=bar.show_answers,
            asked_with=describe_asking(request, loaded.task),
        )


def _score_file(request: TaskRequest, loaded: "LoadedTask", log_path: Path, judge: "Judge | None") -> "TaskLog":
    from stablellava.cli.output import note
    from stablellava.evaluation.answer_files import match_answers, read_answers
    from stablellava.evaluation.benchmarks.running import score_recorded

    path = Path(str(request.answers))
    matched = match_answers(read_answers(path, request.answers_format), loaded.items, keep_going=request.keep_going)
    for message in matched.left_out:
        note(f"left out: {message}")
    return score_recorded(
        loaded,
        matched.texts,
        log_path,
        model=request.name,
        answers_from=request.answers_format,
        judge=judge,
        judge_runs=request.judge_runs,
        asked_with=describe_asking(request, loaded.task),
    )


def _default_folder(request: TaskRequest) -> Path:
    """Return where logs go: into the run that the model was trained in, else into one of its own name."""
    model = request.model
    if model is not None and model.resolve().parent.name == "model":
        return model.resolve().parent.parent / "evaluation"
    return Path("runs") / request.name / "evaluation"
