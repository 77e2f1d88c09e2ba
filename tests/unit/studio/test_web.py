import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from stablellava.core.sample import Rejected, Sample
from stablellava.store.images import decode_picture, store_image
from stablellava.store.layout import RunLayout
from stablellava.store.ratings import read_ratings
from stablellava.store.shards import commit_shard
from stablellava.studies.pair_sampling import DrawnStudy, draw_study
from stablellava.studio.web.serving import build_studio

Client = TestClient[Any, Any]
SampleBuilder = Callable[..., tuple[Sample, list[bytes]]]


@pytest.fixture
def study(full_run: RunLayout) -> DrawnStudy:
    """Three pairs of the small run."""
    return draw_study(full_run, 3)


def _visit(layout: RunLayout, study: DrawnStudy, steps: Callable[[Client], Awaitable[None]]) -> None:
    """Run the steps against a server on loopback."""

    async def run() -> None:
        app = build_studio(layout, study.key, study.pairs)
        async with TestClient(TestServer(app, host="127.0.0.1")) as client:
            await steps(client)

    asyncio.run(run())


async def _send(client: Client, path: str, **form: str) -> ClientResponse:
    """Post a form as a browser does from a page of ours."""
    origin = f"http://{client.host}:{client.port}"
    return await client.post(path, data=form, headers={"Origin": origin}, allow_redirects=False)


def test_every_page_renders_and_allows_no_script(full_run: RunLayout, study: DrawnStudy) -> None:
    async def steps(client: Client) -> None:
        pages = {
            "/": "3 found",
            "/?show=refused&reason=keyword_not_drawable": "no glyph",
            "/?capability=animal&page=2": "Nothing found",
            "/rate": "Your name",
            "/rate?rater=ann": "0 of 3 rated",
            "/compare": "<option selected>generated.instruct.json</option>",
            "/compare?before=generated.align.json&after=generated.instruct.json&outcome=gained": "a tractor",
            "/chat": "no trained model yet",
        }
        for path, words in pages.items():
            response = await client.get(path)
            assert response.status == 200, path
            page = await response.text()
            assert words in page, path
            assert "<script" not in page
            policy = response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "script-src" not in policy
        assert "--paper" in await (await client.get("/style.css")).text()

    _visit(full_run, study, steps)


def test_what_models_wrote_is_escaped(full_run: RunLayout, build_sample: SampleBuilder) -> None:
    sample, (data,) = build_sample(9, keyword="<script>alert(1)</script>", answer="<img src=x onerror=alert(2)>")
    store_image(full_run.data_dir, data, decode_picture(data, "test"))
    refused = Rejected(draft_id="x", capability="food", keyword="<b>", stage="draft", reason="bad", detail="<i>")
    commit_shard(full_run.data_dir, "food/000", [sample, refused])

    async def steps(client: Client) -> None:
        page = await (await client.get("/?capability=food")).text()
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        rate = await (await client.get("/rate?rater=%3Cscript%3E")).text()
        assert "&lt;script&gt;" in rate
        problem = await (await _send(client, "/chat", question="<script>")).text()
        for text in (page, rate, problem, await (await client.get("/?show=refused&capability=food")).text()):
            assert "<script" not in text
            assert "<img src=x" not in text
            assert "<b>&lt;" not in text

    _visit(full_run, draw_study(full_run, 4), steps)


def test_ratings_are_kept_line_by_line_and_gone_on_with(full_run: RunLayout, study: DrawnStudy) -> None:
    first, second, _ = study.pairs
    path = full_run.root / "ratings" / f"{study.key.study_id}.ann_b_.jsonl"

    async def rate_two(client: Client) -> None:
        answer = {"rater": "ann b.", "fits": "partly", "picture_good": "no", "comment": '"odd"\n<'}
        response = await _send(client, "/rate", pair=first.pair_id, **answer)
        assert response.status == 303
        assert len(path.read_bytes().splitlines()) == 1
        assert second.pair_id in await (await client.get(response.headers["Location"])).text()
        await _send(client, "/rate", pair=second.pair_id, rater="ann b.", fits="yes")

    async def go_on(client: Client) -> None:
        page = await (await client.get("/rate?rater=ann+b.")).text()
        assert "2 of 3 rated" in page
        assert study.pairs[2].pair_id in page
        again = await (await client.get(f"/rate?rater=ann+b.&pair={first.pair_id}")).text()
        assert 'value="partly" required checked' in again
        await _send(client, "/rate", pair=first.pair_id, rater="ann b.", fits="no")
        await _send(client, "/rate", pair=study.pairs[2].pair_id, rater="ann b.", fits="no")
        assert "All pairs are rated" in await (await client.get("/rate?rater=ann+b.")).text()

    _visit(full_run, study, rate_two)
    _visit(full_run, study, go_on)
    said = read_ratings([path], study.key)["ann b."]
    assert [said[pair.pair_id].fits for pair in study.pairs] == ["no", "yes", "no"]
    assert len(path.read_bytes().splitlines()) == 4


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"fits": "perhaps", "rater": "ann"}, 400),
        ({"fits": "yes", "rater": ""}, 400),
        ({"fits": "yes", "rater": "ann", "picture_good": "maybe"}, 400),
        ({"fits": "yes", "rater": "ann", "pair": "none"}, 404),
    ],
)
def test_a_form_that_is_no_rating_is_refused_and_not_kept(
    form: dict[str, str], status: int, full_run: RunLayout, study: DrawnStudy
) -> None:
    async def steps(client: Client) -> None:
        response = await _send(client, "/rate", **{"pair": study.pairs[0].pair_id, **form})
        assert response.status == status

    _visit(full_run, study, steps)
    assert not (full_run.root / "ratings").exists()


def test_pictures_are_reached_by_their_content_alone(full_run: RunLayout, study: DrawnStudy) -> None:
    sha256 = study.pairs[0].pictures[0].stem

    async def steps(client: Client) -> None:
        response = await client.get(f"/picture/{sha256}")
        assert (response.status, response.headers["Content-Type"]) == (200, "image/png")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert (await client.get(f"/picture/{'0' * 64}")).status == 404
        for name in ("..%2F..%2Fconfig.yaml", "../manifest.json", sha256.upper(), f"{sha256}.png", "%2Fetc%2Fpasswd"):
            assert (await client.get(f"/picture/{name}")).status == 404, name

    _visit(full_run, study, steps)


def test_logs_are_those_of_the_run_and_their_pictures_must_be_pictures(full_run: RunLayout, study: DrawnStudy) -> None:
    evaluation = full_run.root / "evaluation"
    log = json.loads((evaluation / "generated.align.json").read_bytes())
    secret = full_run.root / "secret.txt"
    secret.write_text("not a picture")
    for entry in log["entries"]:
        entry["item"]["images"] = ["secret.txt"]
    log["suite"], log["suite_dir"] = "evil", str(full_run.root)
    (evaluation / "evil.one.json").write_text(json.dumps(log))
    (evaluation / "evil.two.json").write_text(json.dumps(log))

    async def steps(client: Client) -> None:
        page = await (await client.get("/compare?before=evil.one.json&after=evil.two.json")).text()
        assert "no picture kept" in page
        assert "/picture/" not in page
        for name in ("../config.yaml", "/etc/passwd", "none.json"):
            response = await client.get("/compare", params={"before": name, "after": "evil.one.json"})
            assert response.status == 404, name

    _visit(full_run, study, steps)


def test_foreign_hosts_and_forms_of_foreign_pages_are_refused(full_run: RunLayout, study: DrawnStudy) -> None:
    form = {"pair": study.pairs[0].pair_id, "rater": "eve", "fits": "yes"}

    async def steps(client: Client) -> None:
        for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:80", "[", ""):
            response = await client.get("/", headers={"Host": host})
            assert response.status in (400, 421), host
        assert (await client.get("/", headers={"Host": f"localhost:{client.port}"})).status == 200
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{(client.port or 0) + 1}"):
            assert (await client.post("/rate", data=form, headers={"Origin": origin})).status == 403
        assert (await client.post("/rate", data=form)).status == 403
        for path in ("/", "/compare"):
            assert (await _send(client, path)).status == 405
        await client.get("/rate", params=form)

    _visit(full_run, study, steps)
    assert not (full_run.root / "ratings").exists()


def test_queries_that_cannot_be_are_told(full_run: RunLayout, study: DrawnStudy) -> None:
    async def steps(client: Client) -> None:
        for path, words in {
            "/?page=0": "page='0' is no page",
            "/?page=x": "page='x' is no page",
            "/?show=all": "neither kept nor refused",
            "/compare?outcome=better": "'better' is none of",
            "/compare?before=generated.align.json&after=photos.align.json&page=-1": "is no page",
        }.items():
            response = await client.get(path)
            assert response.status == 400, path
            assert words in await response.text()
        assert (await client.get("/rate?rater=ann&pair=none")).status == 404

    _visit(full_run, study, steps)


def test_new_shards_and_changed_logs_are_seen_while_the_server_runs(
    full_run: RunLayout, study: DrawnStudy, build_sample: SampleBuilder
) -> None:
    async def steps(client: Client) -> None:
        assert "3 found" in await (await client.get("/")).text()
        commit_shard(full_run.data_dir, "animal/001", [build_sample(7)[0], build_sample(8)[0]])
        assert "5 found" in await (await client.get("/")).text()
        query = "/compare?before=generated.align.json&after=generated.instruct.json"
        assert "a tractor" in await (await client.get(query)).text()
        path: Path = full_run.eval_log_path("generated", "instruct")
        path.write_text(path.read_text().replace("a tractor", "a combine harvester"))
        assert "a combine harvester" in await (await client.get(query + "&outcome=both+wrong")).text()

    _visit(full_run, study, steps)
