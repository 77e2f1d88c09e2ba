"""Verb: inspect."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stablellava.cli.options import JsonOption, RunOption

if TYPE_CHECKING:
    from stablellava.core.capability import Capability
    from stablellava.core.sample import Sample
    from stablellava.store.layout import RunLayout
    from stablellava.synthesis.lineage import ShownExemplar

_ID_LENGTH = 12
_TEXT_WIDTH = 70
CapabilityOption = Annotated[
    str | None, typer.Option("--capability", "-k", help="Only this one; by default all.", metavar="NAME")
]
SampleOption = Annotated[
    str | None,
    typer.Option("--sample", help="lineage: trace this sample; the start of its id is enough.", metavar="ID"),
]
NumOption = Annotated[int, typer.Option("-n", "--num", min=1, help="How many to show.")]


class Subject(StrEnum):
    """What to look at."""

    samples = "samples"
    rejects = "rejects"
    coverage = "coverage"
    lineage = "lineage"


def inspect(
    subject: Annotated[Subject, typer.Argument(help="What to look at.")],
    run: RunOption = None,
    capability: CapabilityOption = None,
    num: NumOption = 5,
    sample: SampleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at what a run kept, what it dropped and why, how evenly it covers what was asked for, and which examples
    its drafts were written after.

    Example: stablellava inspect rejects --run runs/demo --capability abnormal -n 10
    """
    from stablellava.cli.output import print_result
    from stablellava.cli.runs import existing_run
    from stablellava.core.errors import ConfigError
    from stablellava.core.suggesting import suggest_name
    from stablellava.synthesis.synthesizing import load_chosen

    settings, layout = existing_run(run)
    chosen = {one.name: one for one in load_chosen(settings.synthesis.capabilities).values()}
    if capability is not None and capability not in chosen:
        raise ConfigError(f"this run has no capability {capability!r}. {suggest_name(capability, chosen)}")
    if sample is not None and subject is not Subject.lineage:
        raise ConfigError(f"--sample goes with 'inspect lineage', not with {subject.value!r}")
    capabilities = {capability: chosen[capability]} if capability else chosen
    if subject is Subject.lineage:
        result, renderables = _trace(layout, sample) if sample else _influences(layout, tuple(capabilities), num)
    else:
        show = {Subject.samples: _samples, Subject.rejects: _rejects, Subject.coverage: _coverage}[subject]
        result, renderables = show(layout, capabilities, num)
    print_result(result, as_json, *renderables)


def _samples(
    layout: "RunLayout", capabilities: "Mapping[str, Capability]", num: int
) -> tuple[dict[str, Any], list[Any]]:
    from stablellava.store.images import image_path

    samples = list(islice(_in_turn(layout.data_dir, tuple(capabilities)), num))
    lines: list[str] = []
    for sample in samples:
        draft = sample.draft
        lines.append(f"{draft.capability}: {draft.keyword} ({draft.setting or 'no setting'})  {sample.sample_id}")
        lines += [f"  prompt  {prompt.bracketed}" for prompt in draft.prompts]
        lines += [f"  picture {image_path(layout.data_dir, painting.sha256)}" for painting in sample.paintings]
        lines += [f"  {turn.speaker:9} {turn.text}" for turn in draft.turns]
        lines.append("")
    return {"samples": [sample.model_dump(mode="json") for sample in samples]}, ["\n".join(lines)]


def _in_turn(data_dir: Path, capabilities: Sequence[str]) -> "Iterator[Sample]":
    """Yield a sample of each capability, then the next of each; reads no further than it is asked."""
    from stablellava.store.shards import list_shards, read_samples, read_shard

    def read(name: str) -> "Iterator[Sample]":
        for shard_id in shard_ids:
            if shard_id.split("/")[0] == name:
                yield from read_shard(data_dir, shard_id)[0]

    shard_ids = list_shards(data_dir)
    if not shard_ids:
        yield from read_samples(data_dir)  # which says what is missing
    for row in zip_longest(*map(read, capabilities)):
        yield from (sample for sample in row if sample is not None)


def _rejects(
    layout: "RunLayout", capabilities: "Mapping[str, Capability]", num: int
) -> tuple[dict[str, Any], list[Any]]:
    from stablellava.cli.tables import text_table
    from stablellava.store.shards import read_rejected

    rejects = [reject for reject in read_rejected(layout.data_dir) if reject.capability in capabilities]
    counts = _count((reject.stage, reject.reason) for reject in rejects)
    table = text_table(("stage", "reason", "count"), [(*key, f"{count:,}") for key, count in counts.items()])
    lines = [f"{r.capability}: {r.keyword}: {r.reason} {r.detail}".rstrip() for r in rejects[:num]]
    result = {
        "num_rejects": len(rejects),
        "by_reason": [{"stage": stage, "reason": reason, "count": n} for (stage, reason), n in counts.items()],
        "rejects": [reject.model_dump(mode="json") for reject in rejects[:num]],
    }
    return result, [table, "\n".join(lines)] if rejects else ["nothing was dropped"]


def _coverage(
    layout: "RunLayout", capabilities: "Mapping[str, Capability]", num: int
) -> tuple[dict[str, Any], list[Any]]:
    from stablellava.cli.tables import text_table
    from stablellava.store.shards import read_samples
    from stablellava.synthesis.coverage import measure_coverage

    entries = measure_coverage(read_samples(layout.data_dir), tuple(capabilities.values()))
    rows = [
        (
            entry.capability,
            f"{entry.num_samples:,}",
            f"{entry.num_keywords - len(entry.missing)}/{entry.num_keywords}",
            str(len(entry.settings)),
            ", ".join(f"{name} {count}" for name, count in islice(entry.keywords.items(), num)),
        )
        for entry in entries
    ]
    table = text_table(("capability", "samples", "keywords", "settings", "rarest keywords"), rows)
    return {"coverage": [entry.model_dump(mode="json") for entry in entries]}, [table]


def _trace(layout: "RunLayout", sample_id: str) -> tuple[dict[str, Any], list[Any]]:
    from rich.tree import Tree

    from stablellava.synthesis.lineage import Ancestry

    lineage = Ancestry(layout.data_dir).trace(sample_id)
    root = Tree(f"{lineage.capability}: {lineage.keyword}  {lineage.sample_id}  depth {lineage.depth}")
    _grow(root, lineage.shown)
    none = [] if lineage.shown else ["written without exemplars of a pool"]
    return lineage.model_dump(mode="json"), [root, *none]


def _grow(tree: Any, shown: "Iterable[ShownExemplar]") -> None:
    """Hang what was shown below the tree, as deep as it goes."""
    for entry in shown:
        source = f"depth {entry.depth}, from {entry.draft_id[:_ID_LENGTH]}" if entry.draft_id else "seed"
        again = " (traced above)" if entry.is_repeated else ""
        branch = tree.add(f"{entry.kind} {entry.keyword} [{source}]{again}: {_shorten(entry.text)}")
        _grow(branch, entry.shown)


def _influences(layout: "RunLayout", capabilities: tuple[str, ...], num: int) -> tuple[dict[str, Any], list[Any]]:
    from stablellava.cli.tables import text_table
    from stablellava.synthesis.lineage import Ancestry

    summary = Ancestry(layout.data_dir).summarize(num, capabilities)
    share = max(1, summary.num_samples)
    depths = [(str(depth), f"{count:,}", f"{100 * count / share:.0f} %") for depth, count in summary.depths.items()]
    rows = [
        (
            entry.capability,
            entry.kind,
            entry.keyword,
            str(entry.depth),
            f"{entry.num_shown:,}",
            f"{entry.num_descendants:,}",
            entry.draft_id[:_ID_LENGTH],
            _shorten(entry.text),
        )
        for entry in summary.most_influential
    ]
    tables: list[Any] = ["Generations from the seed exemplars", text_table(("depth", "samples", "share"), depths)]
    if rows:
        headers = ("capability", "kind", "keyword", "depth", "shown to", "ancestor of", "draft", "text")
        tables += ["Outputs that reached furthest as exemplars", text_table(headers, rows)]
    else:
        tables.append("No output was shown as an exemplar: the run has no pool, or it did not grow.")
    return summary.model_dump(mode="json"), tables


def _shorten(text: str) -> str:
    return text if len(text) <= _TEXT_WIDTH else text[: _TEXT_WIDTH - 3] + "..."


def _count(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return dict(sorted(Counter(keys).items(), key=lambda entry: (-entry[1], entry[0])))
