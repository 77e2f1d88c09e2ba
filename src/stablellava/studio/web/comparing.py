"""Compare: what two models said to the same question, side by side."""

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from stablellava.core.errors import RecordError
from stablellava.core.score import EvalLog, EvalLogEntry
from stablellava.evaluation.capability_benchmark import read_log
from stablellava.store.images import resolve_inside
from stablellava.store.layout import RunLayout
from stablellava.studio.gallery import PictureView
from stablellava.studio.results import AnswerView, ExampleView
from stablellava.studio.web.answering import PictureShelf, read_number, send_page

_PER_PAGE = 12
_Pair = tuple[EvalLogEntry, EvalLogEntry]
_OUTCOMES: dict[str, Callable[[float | None, float | None], bool]] = {
    "all": lambda before, after: True,
    "gained": lambda before, after: before is not None and after is not None and after > before,
    "lost": lambda before, after: before is not None and after is not None and after < before,
    "both right": lambda before, after: before == after == 1,
    "both wrong": lambda before, after: before == after == 0,
    "not scored": lambda before, after: before is None or after is None,
}


class ComparePage:
    """Logs of the run, two at a time; a log is read anew when its file changed."""

    def __init__(self, layout: RunLayout, pictures: PictureShelf) -> None:
        self._layout = layout
        self._pictures = pictures
        self._held: dict[Path, tuple[int, EvalLog]] = {}

    async def get(self, request: web.Request) -> web.Response:
        """Answer with the items that the query asks for."""
        names = self._list_logs()
        before, after = (request.query.get(name, "") for name in ("before", "after"))
        outcome, number = request.query.get("outcome", "all"), read_number(request, "page")
        if outcome not in _OUTCOMES:
            raise web.HTTPBadRequest(text=f"outcome={outcome!r} is none of {', '.join(_OUTCOMES)}")
        capability = request.query.get("capability", "")
        pairs = self._join(names, before, after) if before and after else []
        held = [pair for pair in pairs if capability in ("", pair[0].item.capability)]
        counts = {name: sum(_has(pair, name) for pair in held) for name in _OUTCOMES}
        found = [pair for pair in held if _has(pair, outcome)]
        start = (number - 1) * _PER_PAGE
        return send_page(
            "web_compare.html.j2",
            title="Two models, one question",
            names=sorted(names),
            asked={"before": before, "after": after, "capability": capability, "outcome": outcome},
            capabilities=sorted({pair[0].item.capability for pair in pairs}),
            counts=counts,
            examples=[self._view(pair, names, before, after) for pair in found[start : start + _PER_PAGE]],
            number=number,
            num_pages=max(1, -(-len(found) // _PER_PAGE)),
        )

    def _list_logs(self) -> dict[str, Path]:
        folder = self._layout.root / "evaluation"
        return {path.name: path for path in sorted([*folder.glob("*.json"), *folder.glob("*.jsonl")])}

    def _join(self, names: dict[str, Path], before: str, after: str) -> list[_Pair]:
        logs = []
        for name in (before, after):
            if name not in names:
                raise web.HTTPNotFound(text=f"no log {name!r} in this run; there are {', '.join(names) or 'none'}")
            logs.append(self._read(names[name]))
        earlier = {entry.item.item_id: entry for entry in logs[0].entries}
        pairs = [(earlier[entry.item.item_id], entry) for entry in logs[1].entries if entry.item.item_id in earlier]
        if not pairs:
            raise RecordError(f"{before} and {after} have no item in common; choose two logs of one suite")
        return pairs

    def _read(self, path: Path) -> EvalLog:
        changed = path.stat().st_mtime_ns
        held = self._held.get(path)
        if held is None or held[0] != changed:
            held = self._held[path] = (changed, read_log(path))
        return held[1]

    def _view(self, pair: _Pair, names: dict[str, Path], before: str, after: str) -> ExampleView:
        item = pair[1].item
        log = self._read(names[after])
        return ExampleView(
            item=item,
            pictures=tuple(
                PictureView(self._address(name, log), f"Asked about: {item.question}") for name in item.images
            ),
            answers=tuple(
                AnswerView(name, entry.answer.text, entry.score.value, entry.score.why)
                for name, entry in zip(_short(before, after), pair, strict=True)
            ),
            is_right=pair[1].score.value == 1,
        )

    def _address(self, image: str, log: EvalLog) -> str:
        folders = [self._layout.suite_dir(log.suite), *([Path(log.suite_dir)] if log.suite_dir else [])]
        for folder in folders:
            try:
                return self._pictures.show(resolve_inside(folder, image, where=log.suite))
            except RecordError:
                continue
        return ""


def _has(pair: _Pair, outcome: str) -> bool:
    return _OUTCOMES[outcome](pair[0].score.value, pair[1].score.value)


def _short(before: str, after: str) -> tuple[str, str]:
    """Return names without what both share at their ends: "align" and "instruct"."""
    stems = [name.rpartition(".")[0].rpartition(".")[2] for name in (before, after)]
    return (stems[0], stems[1]) if all(stems) and stems[0] != stems[1] else (before, after)
