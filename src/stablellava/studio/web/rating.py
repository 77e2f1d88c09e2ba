"""Rate: the pairs of a study one after the other; every answer is on disk before the next pair is shown."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from stablellava.core.errors import RecordError
from stablellava.core.rating import PairToRate, Rating, RatingKey
from stablellava.core.record import first_problem
from stablellava.store.ratings import append_rating, read_ratings
from stablellava.studio.web.answering import PictureShelf, send_page

_GOOD = {"yes": True, "no": False, "": None}


class RatePage:
    """Pages of one study, drawn before the server began."""

    def __init__(self, ratings_dir: Path, key: RatingKey, pairs: Sequence[PairToRate], pictures: PictureShelf) -> None:
        self._ratings_dir = ratings_dir
        self._key = key
        self._pairs = {pair.pair_id: pair for pair in pairs}
        self._pictures = pictures

    async def get(self, request: web.Request) -> web.Response:
        """Answer with the pair that is asked for, else the first that this person did not rate."""
        rater = request.query.get("rater", "").strip()
        given = self._read(rater) if rater else {}
        open_ids = [pair_id for pair_id in self._pairs if pair_id not in given or given[pair_id].fits is None]
        shown = self._find(request.query["pair"]) if "pair" in request.query else None
        if shown is None and open_ids:
            # What was skipped comes again, after everything behind it.
            after = [*self._pairs].index(request.query.get("after", "")) if self._is_known(request) else -1
            shown = self._pairs[next((one for one in [*self._pairs][after + 1 :] if one in open_ids), open_ids[0])]
        return send_page(
            "web_rate.html.j2",
            title="Do picture and dialogue fit?",
            rater=rater,
            pair=shown,
            place=[*self._pairs].index(shown.pair_id) + 1 if shown else 0,
            uris=[self._pictures.show(path) for path in shown.pictures] if shown else [],
            given=given.get(shown.pair_id) if shown else None,
            previous=self._before(shown) if shown else "",
            num_pairs=len(self._pairs),
            num_rated=len(self._pairs) - len(open_ids),
            file=self._path(rater) if rater else "",
        )

    async def post(self, request: web.Request) -> web.Response:
        """Keep an answer and go on to the next pair."""
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        pair = self._find(form.get("pair", ""))
        rating = self._parse(form, pair)
        append_rating(self._path(rating.rater), rating)
        target = request.app.router["rate"].url_for().with_query(rater=rating.rater, after=pair.pair_id)
        raise web.HTTPSeeOther(target)

    def _parse(self, form: Mapping[str, str], pair: PairToRate) -> Rating:
        good = form.get("picture_good", "")
        if good not in _GOOD:
            raise RecordError(f"picture_good={good!r} is neither yes nor no")
        try:
            return Rating.model_validate(
                {
                    "study_id": self._key.study_id,
                    "pair_id": pair.pair_id,
                    "rater": form.get("rater", ""),
                    "fits": form.get("fits") or None,
                    "picture_good": _GOOD[good],
                    "comment": form.get("comment", ""),
                }
            )
        except ValidationError as exc:
            raise RecordError(f"this is no rating: {first_problem(exc)}") from exc

    def _read(self, rater: str) -> Mapping[str, Rating]:
        path = self._path(rater)
        return read_ratings([path], self._key).get(rater, {}) if path.is_file() else {}

    def _path(self, rater: str) -> Path:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", rater)
        return self._ratings_dir / f"{self._key.study_id}.{name}.jsonl"

    def _find(self, pair_id: str) -> PairToRate:
        if pair_id not in self._pairs:
            raise web.HTTPNotFound(text=f"no pair {pair_id!r} in this study")
        return self._pairs[pair_id]

    def _is_known(self, request: web.Request) -> bool:
        return request.query.get("after", "") in self._pairs

    def _before(self, pair: PairToRate) -> str:
        place = [*self._pairs].index(pair.pair_id)
        return [*self._pairs][place - 1] if place else ""
