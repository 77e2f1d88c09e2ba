"""Browse: what a run kept and what it refused, by capability and reason."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from aiohttp import web

from stablellava.core.sample import Rejected, Sample
from stablellava.store.shard_counts import read_num_samples, read_reject_reasons
from stablellava.store.shards import list_shards, read_shard
from stablellava.studio.gallery import SampleView, view_sample
from stablellava.studio.web.answering import address_of, read_number, send_page

_PER_PAGE = 24
KEPT, REFUSED = "kept", "refused"


@dataclass(frozen=True)
class Page:
    """Some of what was found."""

    cards: tuple[SampleView, ...]
    num_found: int
    num_pages: int


class RunShelf:
    """The shards of a run; records are read for the page that is looked at, and nothing else."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._num_samples: dict[str, int] = {}
        self._reasons: dict[str, list[str]] = {}

    def list_capabilities(self) -> list[str]:
        """Return what there is, also what was committed since the last look."""
        return sorted({shard_id.partition("/")[0] for shard_id in list_shards(self._data_dir)})

    def count_reasons(self, capability: str) -> Counter[str]:
        """Return reasons and how often they were given; of all capabilities if none is named."""
        return Counter(reason for shard_id in self._shards(capability) for reason in self._reasons_of(shard_id))

    def find(self, show: str, capability: str, reason: str, number: int) -> Page:
        """Return page ``number`` of what was kept, or refused for a reason (empty: for any)."""
        places = {
            shard_id: range(self._count(shard_id))
            if show == KEPT
            else [place for place, why in enumerate(self._reasons_of(shard_id)) if reason in ("", why)]
            for shard_id in self._shards(capability)
        }
        num_found = sum(map(len, places.values()))
        cards = tuple(islice(self._cards(show, places, (number - 1) * _PER_PAGE), _PER_PAGE))
        return Page(cards, num_found, max(1, -(-num_found // _PER_PAGE)))

    def _cards(self, show: str, places: Mapping[str, Sequence[int]], num_skipped: int) -> Iterator[SampleView]:
        for shard_id, held in places.items():
            if num_skipped >= len(held):
                num_skipped -= len(held)
                continue
            samples, rejects = read_shard(self._data_dir, shard_id)
            for place in held[num_skipped:]:
                yield _view_kept(samples[place]) if show == KEPT else _view_refused(rejects[place])
            num_skipped = 0

    def _shards(self, capability: str) -> list[str]:
        return [one for one in list_shards(self._data_dir) if capability in ("", one.partition("/")[0])]

    def _count(self, shard_id: str) -> int:
        if shard_id not in self._num_samples:
            self._num_samples[shard_id] = read_num_samples(self._data_dir, shard_id)
        return self._num_samples[shard_id]

    def _reasons_of(self, shard_id: str) -> list[str]:
        if shard_id not in self._reasons:
            self._reasons[shard_id] = read_reject_reasons(self._data_dir, shard_id)
        return self._reasons[shard_id]


class BrowsePage:
    """The page at the root."""

    def __init__(self, shelf: RunShelf, run_name: str) -> None:
        self._shelf = shelf
        self._run_name = run_name

    async def get(self, request: web.Request) -> web.Response:
        """Answer with the cards that the query asks for."""
        show = request.query.get("show", KEPT)
        if show not in (KEPT, REFUSED):
            raise web.HTTPBadRequest(text=f"show={show!r} is neither {KEPT} nor {REFUSED}")
        capability, number = request.query.get("capability", ""), read_number(request, "page")
        reasons = self._shelf.count_reasons(capability) if show == REFUSED else Counter[str]()
        reason = request.query.get("reason", "") if show == REFUSED else ""
        return send_page(
            "web_browse.html.j2",
            title=self._run_name,
            capabilities=self._shelf.list_capabilities(),
            asked={"show": show, "capability": capability, "reason": reason},
            reasons=reasons.most_common(),
            number=number,
            page=self._shelf.find(show, capability, reason, number),
        )


def _view_kept(sample: Sample) -> SampleView:
    uris = [address_of(painting.sha256) for painting in sample.paintings]
    return view_sample(sample.draft, sample.paintings, uris, sample.verdicts)


def _view_refused(rejected: Rejected) -> SampleView:
    uris = [address_of(painting.sha256) for painting in rejected.paintings]
    if rejected.draft is not None:
        why = {"reason": rejected.reason, "detail": rejected.detail}
        return view_sample(rejected.draft, rejected.paintings, uris, rejected.verdicts, **why)
    return SampleView(
        anchor=rejected.draft_id,
        capability=rejected.capability,
        keyword=rejected.keyword,
        setting="",
        pictures=(),
        prompts=(),
        turns=(),
        verdicts=rejected.verdicts,
        reason=rejected.reason,
        detail=rejected.detail,
    )
