"""What evaluate does with a task: asks a model, or scores what there is, and writes log, table and submission."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablellava.cli.options import JsonOption

if TYPE_CHECKING:
    from stablellava.backends.protocols import Answerer
    from stablellava.core.score import TaskLog
    from stablellava.evaluation.benchmarks.base import Judge, Task
    from stablellava.evaluation.benchmarks.loading import LoadedTask

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_CHAT_GROUP = 256
"""Questions handed to an endpoint at once; how many are open at a time is the endpoint's own limit."""
_MODEL_OPTIONS = frozenset({"prompt_style", "device", "dtype", "num_threads"})


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
    judge_runs: int = 1
    answers: Path | None = None
    answers_format: str = "llava"
    out: Path | None = None
    overrides: Sequence[str] = field(default_factory=tuple)


def list_tasks(as_json: JsonOption = False) -> None:
    """List benchmarks by name: what files each needs, and its variants, the first being the default.

    Example: stablellava tasks list
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.tables import text_table
    from stablellava.evaluation.benchmarks.hub import SOURCES
    from stablellava.evaluation.benchmarks.registry import find_task, list_tasks

    tasks = [find_task(name) for name in list_tasks()]
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
    from stablellava.core.errors import ConfigError
    from stablellava.evaluation.benchmarks.hub import fetch_task
    from stablellava.evaluation.benchmarks.loading import load_task
    from stablellava.evaluation.benchmarks.registry import find_task

    task = find_task(request.task)
    if request.data is None and request.hub is None:
        raise ConfigError(f"--task {task.name} needs --data: {task.needs}; or --hub default")
    if request.data is not None and request.hub is not None:
        raise ConfigError("--data and --hub both say where the files are; give one of them")
    sources = {"--model": request.model, "--chat": request.chat, "--answers": request.answers}
    named = [name for name, value in sources.items() if value is not None]
    if len(named) != 1:
        given = " and ".join(named) or "none of them"
        raise ConfigError(f"one of {', '.join(sources)} says where answers come from; got {given}")
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
    log_path = out / f"{task.name}.{loaded.variant}.{_name_of(request)}.jsonl"
    with ExitStack() as stack:
        judge = stack.enter_context(_open_judge(request)) if request.judge else None
        if judge is not None and task.judge_requests is None:
            raise ConfigError(f"task {task.name!r} is scored by rules; leave out --judge")
        log = (
            _score_file(request, loaded, log_path, judge) if request.answers else _ask(request, loaded, log_path, judge)
        )
    note(f"log: {log_path}")
    return log


def _check_contamination(model: Path | None, loaded: "LoadedTask") -> "LoadedTask":
    """Return the task with what it shares with the data of the run that the model was trained in."""
    from stablellava.evaluation.contamination import note_contamination
    from stablellava.store.layout import RunLayout
    from stablellava.store.manifest import manifest_path

    if model is None or model.resolve().parent.name != "model":
        return loaded
    data_dir = RunLayout(model.resolve().parent.parent).data_dir
    if not manifest_path(data_dir).is_file():
        return loaded
    return replace(loaded, contamination=note_contamination(loaded.items, loaded.image_dir, data_dir))


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

    with show_progress(f"evaluate {loaded.task.name}") as bar, _open_answerer(request, loaded.task) as (answerer, size):
        return run_task(
            loaded,
            answerer,
            log_path,
            judge=judge,
            judge_runs=request.judge_runs,
            group_size=size,
            progress=bar.show_answers,
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
        model=_name_of(request),
        answers_from=request.answers_format,
        judge=judge,
        judge_runs=request.judge_runs,
    )


@contextmanager
def _open_answerer(request: TaskRequest, task: "Task") -> "Iterator[tuple[Answerer, int]]":
    """Yield what answers, and how many questions it is handed at once."""
    from stablellava.config.loading import load_config

    settings = load_config(None, None, request.overrides).evaluation
    is_set = any(override.startswith("evaluation.max_new_tokens=") for override in request.overrides)
    max_new_tokens = settings.max_new_tokens if is_set or task.max_new_tokens is None else task.max_new_tokens
    if request.model is not None:
        yield _build_local(request.model, max_new_tokens, settings.batch_size, request), settings.batch_size
        return
    from stablellava.evaluation.chat_answerer import ChatAnswerer

    chat = _build_chat(str(request.chat), request.chat_options)
    answerer = ChatAnswerer(chat, name=_name_of(request), max_tokens=max_new_tokens)
    try:
        yield answerer, _CHAT_GROUP
    finally:
        answerer.close()


def _build_local(folder: Path, max_new_tokens: int, batch_size: int, request: TaskRequest) -> "Answerer":
    from stablellava.core.errors import ConfigError

    options = _read_options(request.model_options, "--model-option")
    unknown = sorted(options.keys() - _MODEL_OPTIONS)
    if unknown:
        raise ConfigError(f"--model-option {unknown[0]}: known are {', '.join(sorted(_MODEL_OPTIONS))}")
    from stablellava.model.answering import LocalAnswerer

    return LocalAnswerer(folder, max_new_tokens, batch_size, **options)


@contextmanager
def _open_judge(request: TaskRequest) -> "Iterator[Judge]":
    from stablellava.evaluation.judging.chat_judge import ChatJudge

    options = _read_options(request.judge_options, "--judge-option")
    judge = ChatJudge(_build_chat(str(request.judge), request.judge_options), name=str(options.get("model", "")))
    try:
        yield judge
    finally:
        judge.close()


def _build_chat(name: str, options: Sequence[str]) -> Any:
    from stablellava.backends.catalog import build_backend

    return build_backend("chat", name, _read_options(options, "--chat-option or --judge-option"))


def _read_options(options: Sequence[str], option: str) -> dict[str, Any]:
    """Return KEY=VALUE pairs, values read as YAML has them.

    Raises: ConfigError for a text without an equals sign.
    """
    import yaml

    from stablellava.core.errors import ConfigError

    pairs = {}
    for text in options:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise ConfigError(f"{option} {text!r}: KEY=VALUE is needed, as base_url=http://localhost:8000/v1")
        pairs[key] = yaml.safe_load(value)
    return pairs


def _default_folder(request: TaskRequest) -> Path:
    """Return where logs go: into the run that the model was trained in, else into one of its own name."""
    model = request.model
    if model is not None and model.resolve().parent.name == "model":
        return model.resolve().parent.parent / "evaluation"
    return Path("runs") / _name_of(request) / "evaluation"


def _name_of(request: TaskRequest) -> str:
    """Return what reports and files call what answered."""
    if request.model is not None:
        return request.model.resolve().name
    if request.answers is not None:
        return _UNSAFE.sub("-", request.answers.stem)
    model = _read_options(request.chat_options, "--chat-option").get("model", request.chat)
    return _UNSAFE.sub("-", str(model))
