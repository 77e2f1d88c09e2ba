"""What answers and judges a task: built from the options of evaluate, within limits, and told to the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablellava.cli.options import read_options

if TYPE_CHECKING:
    from stablellava.backends.protocols import Answerer, ChatModel
    from stablellava.cli.benchmarking import TaskRequest
    from stablellava.config.tree import RunConfig
    from stablellava.evaluation.benchmarks.base import Judge, Task

_CHAT_GROUP = 256
"""Questions handed to an endpoint at once; how many are open at a time is the endpoint's own limit."""
_MODEL_OPTIONS = frozenset({"prompt_style", "device", "dtype", "num_threads"})


def load_task_settings(request: "TaskRequest") -> "RunConfig":
    """Return the settings with the request's overrides and limits."""
    from stablellava.config.loading import load_config

    limits = (("max_calls", request.max_calls), ("max_cost", request.max_cost))
    limited = [f"synthesis.spending.{name}={value}" for name, value in limits if value is not None]
    return load_config(None, None, [*request.overrides, *limited])


def max_new_tokens_of(request: "TaskRequest", task: "Task") -> int:
    """Return how long answers may be: as LLaVA-1.5's scripts have it, unless that is overridden."""
    is_set = any(override.startswith("evaluation.max_new_tokens=") for override in request.overrides)
    settings = load_task_settings(request).evaluation
    return settings.max_new_tokens if is_set or task.max_new_tokens is None else task.max_new_tokens


@contextmanager
def open_answerer(request: "TaskRequest", task: "Task") -> "Iterator[tuple[Answerer, int]]":
    """Yield what answers, and how many questions it is handed at once."""
    config = load_task_settings(request)
    max_new_tokens = max_new_tokens_of(request, task)
    if request.model is not None:
        batch_size = config.evaluation.batch_size
        yield _build_local(request.model, max_new_tokens, batch_size, request), batch_size
        return
    from stablellava.evaluation.chat_answerer import ChatAnswerer

    chat = _build_chat(str(request.chat), read_options(request.chat_options, "--chat-option"), config)
    answerer = ChatAnswerer(chat, name=request.name, max_tokens=max_new_tokens)
    try:
        yield answerer, _CHAT_GROUP
    finally:
        answerer.close()


@contextmanager
def open_judge(request: "TaskRequest") -> "Iterator[Judge]":
    """Yield the judge; what it said once is not asked again, in whichever log it is wanted.

    Answers of an endpoint are not kept so: a server may give another model the same name.
    """
    from stablellava.backends.remembering import RememberingChat
    from stablellava.backends.response_cache import ResponseCache
    from stablellava.evaluation.judging.chat_judge import ChatJudge
    from stablellava.evaluation.judging.wording import own_wording, read_wording
    from stablellava.synthesis.chat_drafting.room import answers_path

    wording = read_wording(request.judge_prompts) if request.judge_prompts else own_wording()
    options = read_options(request.judge_options, "--judge-option")
    chat = _build_chat(str(request.judge), options, load_task_settings(request))
    cache = ResponseCache(answers_path())
    # Published figures stand beside those of the same judge in the same words only, and go by this name.
    name = ", ".join(filter(None, (str(options.get("model", "")) or chat.name, wording.describe(request.task))))
    judge = ChatJudge(RememberingChat(chat, cache), name=name, wording=wording)
    try:
        yield judge
    finally:
        judge.close()
        cache.close()


def describe_asking(request: "TaskRequest", task: "Task") -> dict[str, str]:
    """Return what the log says of how answers were got, apart from prompts and weights."""
    told: dict[str, Any] = {}
    if request.model is not None:
        told |= {"batch_size": load_task_settings(request).evaluation.batch_size}
        told |= read_options(request.model_options, "--model-option")
    if request.chat is not None:
        told |= {"chat": request.chat, **read_options(request.chat_options, "--chat-option")}
    if request.answers is None:
        told["max_new_tokens"] = max_new_tokens_of(request, task)
    if request.judge is not None:
        options = {"": request.judge, "runs": request.judge_runs}
        options |= read_options(request.judge_options, "--judge-option")
        told |= {f"judge.{name}".rstrip("."): value for name, value in options.items()}
    return {name: str(told[name]) for name in sorted(told) if "key" not in name}


def _build_local(folder: Path, max_new_tokens: int, batch_size: int, request: "TaskRequest") -> "Answerer":
    from stablellava.core.errors import ConfigError

    options = read_options(request.model_options, "--model-option")
    unknown = sorted(options.keys() - _MODEL_OPTIONS)
    if unknown:
        raise ConfigError(f"--model-option {unknown[0]}: known are {', '.join(sorted(_MODEL_OPTIONS))}")
    from stablellava.model.answering import LocalAnswerer

    return LocalAnswerer(folder, max_new_tokens, batch_size, **options)


def _build_chat(name: str, options: dict[str, Any], config: "RunConfig") -> "ChatModel":
    """Return a chat model that counts its calls and stops at the limits that evaluate was given."""
    from stablellava.backends.catalog import build_backend
    from stablellava.backends.keys import refuse_keys
    from stablellava.synthesis.chat_drafting.spending import MeteredChat, SpendingMeter, look_up_prices

    refuse_keys(options)  # before they are told to the log
    spending = look_up_prices(config.synthesis.spending, str(options.get("model", "")))
    return MeteredChat(build_backend("chat", name, options), SpendingMeter(spending))
