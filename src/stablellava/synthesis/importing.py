"""Rows that others made, painted and verified like our own drafts.

Rows with pictures (LLaVA) keep them: each is decoded, stored by content and the dialogue's form is checked.
Rows without (the released StableLLaVA files) are painted from their prompts. Nothing is drafted anew for what
falls out; the report says how much did and why.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stablellava.capabilities import list_capabilities
from stablellava.config.tree import RunConfig
from stablellava.core.capability import Capability, Keyword
from stablellava.core.errors import ConfigError
from stablellava.core.record import Record
from stablellava.core.sample import Rejected
from stablellava.core.suggesting import suggest_name
from stablellava.store.imports import ImportedFile, ImportedRow, read_rows
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import DATA_SCHEMA_VERSION, DataManifest, lock_folder, open_manifest, write_manifest
from stablellava.store.shard_counts import read_reject_reasons
from stablellava.store.shards import find_shard, forget_shard, list_shards, read_rejected, read_samples
from stablellava.synthesis.making import MakerSetup, ShardTask
from stablellava.synthesis.painting import build_painter
from stablellava.synthesis.reporting import ProgressCallback, SynthesisReport
from stablellava.synthesis.rounds import RoundLoop
from stablellava.synthesis.synthesizing import Material, data_settings, load_material
from stablellava.synthesis.taking import GivenDraft

_COLORS = frozenset(
    {"red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "grey"}
)


class ImportReport(Record):
    """What became of the rows."""

    synthesis: SynthesisReport
    num_rows: int
    num_exact_duplicates: int
    """Rows that repeat the content of an earlier row of their file."""
    num_keywords: int
    """Distinct bracketed keywords of the good rows; 0 for rows that came with pictures."""
    num_drawable_keywords: int
    """Of these, how many the painter drew at least once so that the check agreed."""
    not_drawable: dict[str, tuple[str, ...]]
    """Reason -> keywords, sorted."""


@dataclass(frozen=True)
class _Source:
    capability: Capability
    file: ImportedFile


def import_rows(
    paths: Sequence[Path],
    config: RunConfig,
    layout: RunLayout,
    capability: str | None = None,
    image_dir: Path | None = None,
    progress: ProgressCallback | None = None,
    material: Material | None = None,
) -> ImportReport:
    """Take the rows of the files into ``layout.data_dir``.

    Args:
        paths: .json or .json.gz files; a file named after a capability belongs to it.
        config: seed, painter, picture size and processes of the run.
        layout: the run; its data folder must be empty or of this very import.
        capability: overrides what the files' names say.
        image_dir: where LLaVA rows' pictures are; the file's own folder if None.
        progress: called after every shard.
        material: capability tables; the built-in ones if None.

    Raises: RecordError (unreadable file, folder of another run, full disk), ConfigError, BackendMissing,
        BackendFailed.
    """
    names = [capability or _capability_of(path) for path in paths]
    material = material or load_material(names)
    _refuse_equal_names(paths)
    tables = {entry.name: entry for entry in material.capabilities}
    sources = [_Source(tables[name], read_rows(path, name)) for path, name in zip(paths, names, strict=True)]
    inputs, attribution = _describe_inputs(paths, names, config, image_dir)
    with lock_folder(layout.data_dir):
        manifest = open_manifest(layout.data_dir, inputs, attribution)
        _forget_incomplete(layout.data_dir, manifest)
        tasks = [task for source in sources for task in _tasks_of(source, config.synthesis.shard_size, image_dir)]
        setup = MakerSetup(layout.data_dir, config.synthesis, material.lexicon, has_writer=False)
        num_rows = sum(len(source.file.rows) for source in sources)
        loop = RoundLoop(manifest, setup, material.capabilities, num_rows, progress)
        report = loop.run_once(tasks)
    return _report(report, sources, layout)


def _describe_inputs(
    paths: Sequence[Path], names: Sequence[str], config: RunConfig, image_dir: Path | None
) -> tuple[dict[str, Any], str]:
    """Return everything that has a say in the imported data, and the painter's licence line."""
    painter = build_painter(config.synthesis)
    # Only what was said otherwise than files say it themselves.
    capabilities = {path.name: name for path, name in zip(paths, names, strict=True) if name != _stem_of(path)}
    inputs = {
        "schema_version": DATA_SCHEMA_VERSION,
        "purpose": "import",
        "seed": config.seed,
        "settings": data_settings(config.synthesis),
        "sources": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        "painter_revision": painter.revision if painter is not None else None,
        **({"capability_of": capabilities} if capabilities else {}),
        **({"image_dir": str(image_dir)} if image_dir else {}),
    }
    return inputs, painter.attribution if painter is not None else ""


def _forget_incomplete(data_dir: Path, manifest: DataManifest) -> None:
    """Take rows anew whose pictures were not there: by now they may be."""
    incomplete = [
        shard_id
        for shard_id in list_shards(data_dir)
        if find_shard(data_dir, shard_id) and "image_missing" in read_reject_reasons(data_dir, shard_id)
    ]
    if incomplete:
        write_manifest(data_dir, manifest.model_copy(update={"complete": False}))
    for shard_id in incomplete:
        forget_shard(data_dir, shard_id)


def _capability_of(path: Path) -> str:
    name = _stem_of(path)
    if name not in list_capabilities():
        raise ConfigError(
            f"{path.name} is not named after a capability; name one. {suggest_name(name, list_capabilities())}"
        )
    return name


def _refuse_equal_names(paths: Sequence[Path]) -> None:
    names = Counter(_stem_of(path) for path in paths)
    repeated = sorted(name for name, count in names.items() if count > 1)
    if repeated:
        raise ConfigError(f"several files are named {repeated[0]!r}; rename them or import them one by one")


def _stem_of(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".json")


def _tasks_of(source: _Source, shard_size: int, image_dir: Path | None) -> list[ShardTask]:
    path, rows = source.file.path, source.file.rows
    folder = image_dir or path.parent
    tasks = []
    for start in range(0, len(rows), shard_size):
        entries = tuple(
            row if isinstance(row, Rejected) else _give(row, source.capability, folder)
            for row in rows[start : start + shard_size]
        )
        shard_id = f"{source.capability.name}/{_stem_of(path)}-{start // shard_size:05d}"
        tasks.append(ShardTask(shard_id, imported=entries))
    return tasks


def _give(row: ImportedRow, capability: Capability, image_dir: Path) -> GivenDraft:
    keyword = find_keyword(capability, row.draft.keyword)
    return GivenDraft(row.draft, keyword, row.images, image_dir, f"row {row.number}")


def find_keyword(capability: Capability, name: str) -> Keyword:
    """Return the capability's keyword of that name or synonym, else one made from the phrase."""
    for keyword in capability.keywords:
        if name in (keyword.name, *keyword.synonyms):
            return keyword
    first, _, rest = name.partition(" ")
    if rest and first in _COLORS:
        return Keyword(name=name, subject=rest, answer=first)
    return Keyword(name=name)


def _report(report: SynthesisReport, sources: Sequence[_Source], layout: RunLayout) -> ImportReport:
    rows = [row for source in sources for row in source.file.rows]
    wanted = {(row.draft.capability, row.draft.keyword) for row in rows if isinstance(row, ImportedRow)}
    wanted = {pair for pair in wanted if pair[1]}
    drawn = {(sample.draft.capability, sample.draft.keyword) for sample in read_samples(layout.data_dir)}
    reasons: dict[tuple[str, str], Counter[str]] = {}
    for rejected in read_rejected(layout.data_dir):
        pair = (rejected.capability, rejected.keyword)
        if any(verdict.filter_name == "keyword_drawn" and verdict.kept for verdict in rejected.verdicts):
            # Something else was wrong with it; the keyword itself was drawn.
            drawn.add(pair)
        elif pair in wanted:
            reasons.setdefault(pair, Counter())[rejected.reason] += 1
    not_drawable: dict[str, list[str]] = {}
    for pair in sorted(wanted - drawn):
        counts = reasons.get(pair, Counter({"unknown": 1}))
        reason = min(counts, key=lambda name: (-counts[name], name))
        not_drawable.setdefault(reason, []).append(pair[1])
    return ImportReport(
        synthesis=report,
        num_rows=len(rows),
        num_exact_duplicates=sum(source.file.num_exact_duplicates for source in sources),
        num_keywords=len(wanted),
        num_drawable_keywords=len(wanted & drawn),
        not_drawable={reason: tuple(names) for reason, names in sorted(not_drawable.items())},
    )
