"""Tasks by name, third-party ones included."""

import importlib
from importlib.metadata import entry_points

from stablellava.core.errors import BackendMissing, ConfigError
from stablellava.core.suggesting import suggest_name
from stablellava.evaluation.benchmarks.base import Task

ENTRY_POINT_GROUP = "stablellava.tasks"

_HERE = "stablellava.evaluation.benchmarks"
_BUILT_IN = {
    "mmbench": f"{_HERE}.mmbench:TASK",
    "mmbench-cn": f"{_HERE}.mmbench:TASK_CN",
    "mmmu": f"{_HERE}.mmmu:TASK",
    "ai2d": f"{_HERE}.ai2d:TASK",
    "seedbench": f"{_HERE}.seedbench:TASK",
    "mme": f"{_HERE}.mme:TASK",
    "mmvet": f"{_HERE}.mmvet:TASK",
    "vizwiz": f"{_HERE}.vizwiz:TASK",
    "pope": f"{_HERE}.pope:TASK",
    "llavabench": f"{_HERE}.llavabench:TASK",
    "scienceqa": f"{_HERE}.scienceqa:TASK",
    "textvqa": f"{_HERE}.textvqa:TASK",
    "generated": f"{_HERE}.capability_suites:GENERATED",
    "photos": f"{_HERE}.capability_suites:PHOTOS",
    "multi-image": f"{_HERE}.capability_suites:MULTI_IMAGE",
}


def list_tasks() -> dict[str, str]:
    """Return "module:attribute" by name; built-in tasks first, and never displaced by a third party's."""
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**_BUILT_IN, **{name: found[name] for name in sorted(found) if name not in _BUILT_IN}}


def find_task(name: str) -> Task:
    """Import a task.

    Raises: ConfigError for an unknown name or an entry point to something else, BackendMissing when a package is
    not installed.
    """
    known = list_tasks()
    if name not in known:
        raise ConfigError(f"no task named {name!r}. {suggest_name(name, known)}")
    module_name, _, attribute = known[name].partition(":")
    try:
        task = getattr(importlib.import_module(module_name), attribute, None)
    except ImportError as exc:
        raise BackendMissing(f"task {name!r} needs the package {exc.name!r}: pip install {exc.name}") from exc
    if not isinstance(task, Task):
        raise ConfigError(f"task {name!r} points to {known[name]}, which is no Task of {_HERE}.base")
    return task
