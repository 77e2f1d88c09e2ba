"""Which pairs people are shown: drawn evenly over capabilities, mixed, some with planted foreign pictures.

Everything comes from the seed, so the same settings give the same study.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.rating import CheckSaid, KeyedPair, Origin, PairToRate, RatingKey
from stablellava.core.sample import Rejected, Sample, Verdict
from stablellava.store.images import image_path, resolve_inside
from stablellava.store.imports import ImportedRow, read_rows
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_painted_samples, read_rejected
from stablellava.synthesis.planting import swap_pictures

_ID_LENGTH = 16
_T = TypeVar("_T")


@dataclass(frozen=True)
class OtherSource:
    """Pairs to mix in: the directory of a run, or LLaVA JSON whose pictures lie below ``images``."""

    path: Path
    images: Path | None = None
    """By default beside the file."""


@dataclass(frozen=True)
class DrawnStudy:
    """What raters see, and the key that they do not."""

    key: RatingKey
    pairs: tuple[PairToRate, ...]


@dataclass(frozen=True)
class _Drawn:
    origin: Origin
    source: str
    sample_id: str
    capability: str
    turns: tuple[Turn, ...]
    pictures: tuple[Path, ...]
    said: tuple[CheckSaid, ...] = ()


def draw_study(
    layout: RunLayout,
    num: int,
    *,
    num_planted: int = 0,
    num_refused: int = 0,
    others: Sequence[OtherSource] = (),
    seed: int = 0,
) -> DrawnStudy:
    """Draw pairs of a run, and as many of each other source.

    Args:
        layout: the run that is studied.
        num: pairs of every source, evenly over its capabilities as far as they reach.
        num_planted: further dialogues of the run that are shown with the pictures of another keyword.
        num_refused: pairs that the run's checks refused after they were painted.
        others: what to mix in.
        seed: decides which pairs, and their order.

    Raises: RecordError if a source holds no pairs or lacks a picture; ConfigError if nothing can be planted.
    """
    own = layout.root.resolve().name
    drawn = [
        *_draw_kept(layout.data_dir, own, num, num_planted, seed),
        *_draw_refused(layout.data_dir, own, num_refused, seed),
    ]
    names = {own}
    for other in others:
        name = other.path.resolve().name if other.path.resolve().name not in names else str(other.path.resolve())
        if name in names:
            raise ConfigError(f"{other.path} is named twice; every source can be mixed in once")
        names.add(name)
        drawn += _draw_other(other, name, num, seed)
    return _shuffle(drawn, seed)


def sample_evenly(
    entries: Iterable[_T], num: int, seed: int, group: Callable[[_T], str], identify: Callable[[_T], str]
) -> list[_T]:
    """Return ``num`` entries, in turn one of each group until they are found; holds ``num`` per group at most."""
    heaps: dict[str, list[tuple[int, int, _T]]] = {}
    for place, entry in enumerate(entries):
        heap = heaps.setdefault(group(entry), [])
        ranked = (-seed_from(seed, "draw", identify(entry)), place, entry)
        if len(heap) < num:
            heapq.heappush(heap, ranked)
        elif num:
            heapq.heappushpop(heap, ranked)
    names = sorted(heaps, key=lambda name: seed_from(seed, "group", name))
    queues = [[entry for _, _, entry in sorted(heaps[name], reverse=True, key=lambda one: one[:2])] for name in names]
    turns = [queue[index] for index in range(num) for queue in queues if index < len(queue)]
    return turns[:num]


def _draw_kept(data_dir: Path, source: str, num: int, num_planted: int, seed: int) -> list[_Drawn]:
    samples = _sample_kept(data_dir, num + num_planted, seed)
    shown, rest = samples[:num], samples[num:]
    # Any of the drawn pairs may lend its pictures.
    planted = swap_pictures([*rest, *shown], 1.0, seed)[: len(rest)] if rest else []
    return [
        *(_drawn(sample, data_dir, "kept", source) for sample in shown),
        *(_drawn(one.sample, data_dir, "planted", source) for one in planted),
    ]


def _sample_kept(data_dir: Path, num: int, seed: int) -> list[Sample]:
    return sample_evenly(
        read_painted_samples(data_dir),
        num,
        seed,
        lambda sample: sample.draft.capability,
        lambda sample: sample.sample_id,
    )


def _drawn(sample: Sample, data_dir: Path, origin: Origin, source: str) -> _Drawn:
    return _Drawn(
        origin=origin,
        source=source,
        sample_id=sample.sample_id,
        capability=sample.draft.capability,
        turns=sample.draft.turns,
        pictures=tuple(image_path(data_dir, painting.sha256) for painting in sample.paintings),
        # What the checks said of a dialogue's own pictures says nothing of foreign ones.
        said=_said(sample.verdicts) if origin != "planted" else (),
    )


def _draw_refused(data_dir: Path, source: str, num: int, seed: int) -> list[_Drawn]:
    if not num:
        return []
    rejects = sample_evenly(
        _painted_rejects(data_dir), num, seed, lambda one: one[0].capability, lambda one: one[0].draft_id
    )
    return [
        _Drawn(
            origin="refused",
            source=source,
            sample_id=rejected.draft_id,
            capability=rejected.capability,
            turns=rejected.draft.turns if rejected.draft else (),
            pictures=pictures,
            said=_said(rejected.verdicts),
        )
        for rejected, pictures in rejects
    ]


def _painted_rejects(data_dir: Path) -> Iterator[tuple[Rejected, tuple[Path, ...]]]:
    """Yield rejects that are whole pairs: a dialogue and all its pictures, still there."""
    for rejected in read_rejected(data_dir):
        if rejected.draft is None or not rejected.paintings:
            continue
        if len(rejected.paintings) < len(rejected.draft.prompts):
            continue
        try:
            pictures = tuple(image_path(data_dir, painting.sha256) for painting in rejected.paintings)
        except RecordError:
            continue  # cleaned away; there is nothing to show
        yield rejected, pictures


def _said(verdicts: Iterable[Verdict]) -> tuple[CheckSaid, ...]:
    return tuple(
        CheckSaid(filter_name=verdict.filter_name, score=verdict.score, kept=verdict.kept)
        for verdict in verdicts
        if verdict.score is not None
    )


def _draw_other(other: OtherSource, source: str, num: int, seed: int) -> list[_Drawn]:
    if other.path.is_dir():
        data_dir = RunLayout(other.path).data_dir
        return [_drawn(sample, data_dir, "other", source) for sample in _sample_kept(data_dir, num, seed)]
    imported = read_rows(other.path, "")
    rows = [row for row in imported.rows if isinstance(row, ImportedRow)]
    if imported.form != "llava" or not rows:
        raise RecordError(f"{other.path}: no rows with pictures; mix in LLaVA JSON (image, conversations) or a run")
    folder = other.images or other.path.parent
    return [
        _Drawn(
            origin="other",
            source=source,
            sample_id=row.draft.draft_id,
            capability="",
            turns=row.draft.turns,
            pictures=tuple(resolve_inside(folder, name, f"{other.path}: row {row.number}") for name in row.images),
        )
        for row in sample_evenly(rows, num, seed, lambda row: row.draft.capability, lambda row: row.draft.draft_id)
    ]


def _shuffle(drawn: Sequence[_Drawn], seed: int) -> DrawnStudy:
    named = [[one.origin, one.source, one.sample_id] for one in drawn]
    study_id = hash_id("rating", seed, named)[:_ID_LENGTH]
    with_ids = [(hash_id(study_id, name)[:_ID_LENGTH], one) for name, one in zip(named, drawn, strict=True)]
    with_ids.sort(key=lambda entry: entry[0])
    return DrawnStudy(
        RatingKey(
            study_id=study_id,
            seed=seed,
            pairs=tuple(
                KeyedPair(
                    pair_id=pair_id,
                    origin=one.origin,
                    source=one.source,
                    sample_id=one.sample_id,
                    capability=one.capability,
                    said=one.said,
                )
                for pair_id, one in with_ids
            ),
        ),
        tuple(PairToRate(pair_id, one.turns, one.pictures) for pair_id, one in with_ids),
    )
