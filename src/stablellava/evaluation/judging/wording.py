"""The words in which judges are asked: ours, or a file's.

The benchmarks' own words are not part of this package. Who has them from the tools named below hands them over in a
file, and is told whether they are those: published figures compare only where they are.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import yaml

from stablellava.core.errors import ConfigError
from stablellava.core.suggesting import suggest_name

OFFICIAL_SHA256: Mapping[str, str] = MappingProxyType(
    {
        # github.com/yuweihao/MM-Vet mm-vet_evaluator.py
        "mmvet": "0a8b318f3b92c4bbac086139b5122f22d2ca991c272867e77bce5ed611f07d1a",
        # github.com/haotian-liu/LLaVA llava/eval/table/rule.json, the same for all three categories
        "llavabench": "4f81857a1c543b9d63c5a5349cad2f6df533d00062ba1a80d44a974b39df2e13",
        # github.com/open-compass/VLMEvalKit multiple_choice.py, build_prompt and build_prompt_cn
        "mmbench": "542a6908ecaa23cd78f382ebbea7edef42d82e04307be088012a10511ebb9bc6",
        "mmbench_cn": "70c348494346a55d7f83a32c6dfa7817378ccf0cea4aa77fa67fd3794ed5fd7f",
    }
)
"""Name -> digest of the official words, every run of white space taken as one space."""
_FILLED_IN = ("question", "options", "prediction")


@dataclass(frozen=True)
class Wording:
    """Prompts by name.

    Attributes:
        prompts: mmvet, llavabench and mmbench; mmbench_cn for Chinese questions where there is one.
        source: the file that changes them; empty for our own words.
    """

    prompts: Mapping[str, str]
    source: str = ""

    def describe(self, task: str) -> str:
        """Return whose words a task's judge is asked in; empty for the official ones, and where there are none."""
        name = task.replace("-", "_")
        if name not in OFFICIAL_SHA256 or _digest(self.prompts.get(name, "")) == OFFICIAL_SHA256[name]:
            return ""
        return f"in the words of {self.source}" if self.source else "in our words"


@cache
def own_wording() -> Wording:
    """Return our own words."""
    text = files("stablellava.evaluation.judging").joinpath("own_prompts.yaml").read_text(encoding="utf-8")
    return Wording(MappingProxyType(yaml.safe_load(text)))


def read_wording(path: Path) -> Wording:
    """Return our own words with those of a YAML file (name: prompt) in their place.

    Raises: ConfigError naming the file and what is wrong with it.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        problem = " ".join(str(exc).split())
        raise ConfigError(f"--judge-prompts {path}: cannot be read as YAML ({problem})") from exc
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"--judge-prompts {path}: a mapping of names to prompts is needed, as mmvet: ...")
    for name, text in found.items():
        if name not in OFFICIAL_SHA256:
            raise ConfigError(
                f"--judge-prompts {path}: no prompt named {name!r}. {suggest_name(name, OFFICIAL_SHA256)}"
            )
        if problem := _find_problem(text, _FILLED_IN if name.startswith("mmbench") else ()):
            raise ConfigError(f"--judge-prompts {path}: {name} {problem}")
    return Wording(MappingProxyType({**own_wording().prompts, **found}), path.name)


def _find_problem(text: object, filled_in: Sequence[str]) -> str:
    """Return what is wrong with a prompt that has to name what is filled in, and no other; empty if nothing."""
    missing = [f"{{{name}}}" for name in filled_in if f"{{{name}}}" not in str(text)]
    if not isinstance(text, str) or missing:
        return f"has to be a text with {', '.join(missing)}" if missing else "has to be a text"
    if filled_in:
        try:
            text.format(**dict.fromkeys(filled_in, ""))
        except (AttributeError, IndexError, KeyError, ValueError) as exc:
            return f"has other braces than {', '.join(filled_in)} ({exc!r}); double those that are text"
    return ""


def _digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
