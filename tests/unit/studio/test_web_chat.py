import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

import tiny_vlm
from stablellava.core.draft import Turn
from stablellava.model.answering import LocalAnswerer
from stablellava.model.assembling import assemble
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.shards import read_samples
from stablellava.studio.web.serving import build_studio


@pytest.fixture
def trained_run(tmp_path: Path) -> RunLayout:
    """A run with one picture and one tiny model."""
    layout = RunLayout(tmp_path / "run")
    tiny_vlm.write_samples(layout.data_dir, 1)
    assemble(tiny_vlm.tiny_settings(tiny_vlm.write_language_model(tmp_path / "lm")), seed=0).save(
        layout.model_dir("instruct")
    )
    return layout


def test_a_model_of_the_run_answers_and_remembers_the_dialogue(trained_run: RunLayout) -> None:
    sha256 = next(read_samples(trained_run.data_dir)).paintings[0].sha256
    turns = [
        Turn(speaker="user", text="Which color?", images=(0,)),
        Turn(speaker="assistant", text="Red."),
        Turn(speaker="user", text="Sure?"),
    ]
    picture = image_path(trained_run.data_dir, sha256)
    expected = LocalAnswerer(trained_run.model_dir("instruct"), max_new_tokens=64).reply(turns, [picture])

    async def run() -> None:
        async with TestClient(TestServer(build_studio(trained_run, None, ()), host="127.0.0.1")) as client:
            headers = {"Origin": f"http://{client.host}:{client.port}"}
            page = await (await client.get("/chat", params={"picture": sha256})).text()
            assert "instruct" in page
            form = [("picture", sha256), ("stage", "instruct"), ("question", "Sure?")]
            said = [("said", "Which color?"), ("said", "Red.")]
            response = await client.post("/chat", data=[*form, *said], headers=headers)
            assert response.status == 200
            assert f'<input type="hidden" name="said" value="{expected}">' in (await response.text()) or not expected
            for wrong, words in (
                ([*form, said[0]], "the dialogue is broken"),
                ([form[0], ("stage", "../lm"), form[2]], "no model"),
                (form[:2], "question is empty"),
            ):
                response = await client.post("/chat", data=wrong, headers=headers)
                assert response.status == 400
                assert words in await response.text()
            unknown = [("picture", "0" * 64), *form[1:]]
            assert (await client.post("/chat", data=unknown, headers=headers)).status == 404

    asyncio.run(run())
