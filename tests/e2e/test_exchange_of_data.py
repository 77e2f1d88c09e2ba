import io
import json
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stablellava.core.errors import ConfigError, RecordError
from stablellava.core.score import EvalItem
from stablellava.store.exports import export_samples
from stablellava.store.images import image_path
from stablellava.store.layout import RunLayout
from stablellava.store.manifest import read_manifest
from stablellava.store.shards import list_shards, read_rejected, read_samples
from stablellava.synthesis.importing import import_rows
from stablellava.synthesis.previewing import preview
from stablellava.synthesis.suites import make_suite
from stablellava.synthesis.synthesizing import synthesize
from toys import toy_config, toy_material, tree_digest


def png(side: int = 32, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, format="PNG")
    return buffer.getvalue()


def released_row(keyword: str, answer: str, place: str = "garden") -> dict[str, str]:
    prompt = f"(({keyword})), {place}, realistic"
    return {"id": "0", "image": "a.jpg", "prompt": prompt, "question": "<image>\nWhat?", "answer": answer}


def llava_row(image: str, answer: str = "A dog.") -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": answer}]
    return {"id": "0", "image": image, "conversations": turns}


def write_json(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def test_a_suite_asks_about_held_out_combinations_with_pictures_beside_it(tmp_path: Path) -> None:
    config, layout = toy_config(samples_per_capability=40), RunLayout(tmp_path)
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"items_per_capability": 12})})
    synthesize(config, layout, material=toy_material())
    for _ in range(2):
        make_suite(config, layout, material=toy_material())
    suite_dir = layout.suite_dir("generated")
    items = [EvalItem.from_json(line) for line in (suite_dir / "items.jsonl").read_bytes().splitlines()]
    assert Counter(item.capability for item in items) == {"animal": 12, "vehicle": 12}
    assert Counter(item.form for item in items) == {"wh": 12, "yes_no": 6, "either_or": 6}
    assert all(item.accepted and (suite_dir / item.images[0]).is_file() for item in items)
    trained = {
        (sample.draft.capability, sample.draft.keyword, sample.draft.setting)
        for sample in read_samples(layout.data_dir)
    }
    assert not trained & {(item.capability, item.keyword, item.setting) for item in items}


def test_a_suite_whose_combinations_were_trained_on_is_refused(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    synthesize(toy_config(samples_per_capability=60, held_out_share=0.01), layout, material=toy_material())
    with pytest.raises(RecordError, match="combinations of the suite are in the training data"):
        make_suite(toy_config(held_out_share=0.9), layout, material=toy_material())


def test_a_preview_has_pictures_and_leaves_nothing_behind() -> None:
    samples = preview(toy_config(), "vehicle", 3, toy_material_of("vehicle"))
    assert len(samples) == 3
    for entry in samples:
        assert entry.sample.draft.capability == "vehicle"
        assert [Image.open(io.BytesIO(data)).size for data in entry.images] == [(48, 48)]


def toy_material_of(name: str) -> Any:
    material = toy_material()
    chosen = tuple(capability for capability in material.capabilities if capability.name == name)
    return type(material)(chosen, material.lexicon)


def test_released_rows_are_painted_and_verified_and_the_report_adds_up(tmp_path: Path) -> None:
    rows = [
        released_row("Dog", "A dog sits in a garden."),
        released_row("Dog", "A dog sits in a garden."),
        released_row("Cat", "A zebra stands here, no doubt about the cat."),
        released_row("Lion", ""),
        released_row("Owl", "An animal."),
        released_row("Goat", "The goat. A zebra is there."),
    ]
    path = write_json(tmp_path / "animal.json", rows)
    layout = RunLayout(tmp_path / "run")
    material = toy_material_of("animal")
    report = import_rows([path], toy_config(), layout, material=material)
    assert (report.num_rows, report.num_exact_duplicates) == (6, 1)
    assert report.synthesis.num_accepted == len(list(read_samples(layout.data_dir))) == 2
    reasons = Counter(rejected.reason for rejected in read_rejected(layout.data_dir))
    assert reasons == {"duplicate_row": 1, "empty_turn": 1, "keyword_not_in_answer": 1, "claim_not_drawn": 1}
    assert (report.num_keywords, report.num_drawable_keywords) == (4, 3)
    assert report.not_drawable == {"keyword_not_in_answer": ("owl",)}
    before = tree_digest(layout.root)
    again = import_rows([path], toy_config(), layout, material=material)
    assert again.synthesis.num_painted == 0
    assert tree_digest(layout.root) == before


def test_llava_rows_with_bad_pictures_are_listed_and_the_good_ones_kept(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.png").write_bytes(png())
    (images / "torn.png").write_bytes(png()[:50])
    huge = bytearray(png())
    huge[16:24] = struct.pack(">II", 50_000, 50_000)
    (images / "huge.png").write_bytes(bytes(huge))
    (tmp_path / "secret.png").write_bytes(png())
    names = ("good.png", "torn.png", "huge.png", "../secret.png", "missing.png")
    path = write_json(tmp_path / "animal.json", [llava_row(name) for name in names])
    layout = RunLayout(tmp_path / "run")
    report = import_rows([path], toy_config(), layout, image_dir=images, material=toy_material_of("animal"))
    assert report.synthesis.num_accepted == 1
    details = {rejected.reason: rejected.detail for rejected in read_rejected(layout.data_dir)}
    assert details["image_outside_folder"].startswith("row 4: ")
    assert details["image_missing"].startswith("row 5: ")
    assert {"image_outside_folder", "image_missing"} < set(details)
    assert len(details) == 4


def test_pictures_that_were_missing_are_taken_once_they_are_there(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.png").write_bytes(png())
    path = write_json(tmp_path / "animal.json", [llava_row("a.png"), llava_row("b.png", "Another dog.")])
    layout = RunLayout(tmp_path / "run")

    def import_again() -> int:
        report = import_rows([path], toy_config(), layout, image_dir=images, material=toy_material_of("animal"))
        return report.synthesis.num_accepted

    assert import_again() == 1
    (images / "b.png").write_bytes(png(color="blue"))
    assert import_again() == 2


def test_an_import_that_is_stopped_while_it_takes_pictures_that_were_missing_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    names = ["gone.png", *["a.png"] * 8, "gone.png"]  # in two shards
    path = write_json(tmp_path / "animal.json", [llava_row(name, f"Dog {i}.") for i, name in enumerate(names)])
    layout, material = RunLayout(tmp_path / "run"), toy_material_of("animal")

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    import_rows([path], toy_config(), layout, material=material)
    assert read_manifest(layout.data_dir).complete
    with pytest.raises(KeyboardInterrupt):
        import_rows([path], toy_config(), layout, material=material, progress=stop)
    assert len(list_shards(layout.data_dir)) == 1
    assert not read_manifest(layout.data_dir).complete


def test_the_same_rows_of_another_capability_or_with_other_pictures_are_another_import(tmp_path: Path) -> None:
    path = write_json(tmp_path / "rows.json", [released_row("Dog", "A dog sits in a garden.")])
    layout = RunLayout(tmp_path / "run")
    import_rows([path], toy_config(), layout, "animal", material=toy_material_of("animal"))
    with pytest.raises(RecordError, match=r"capability_of\.rows\.json .animal -> vehicle"):
        import_rows([path], toy_config(), layout, "vehicle", material=toy_material_of("vehicle"))
    with pytest.raises(RecordError, match="image_dir"):
        import_rows([path], toy_config(), layout, "animal", tmp_path, material=toy_material_of("animal"))


def test_a_file_that_names_no_capability_asks_for_one(tmp_path: Path) -> None:
    path = write_json(tmp_path / "animl.json", [released_row("Dog", "A dog.")])
    with pytest.raises(ConfigError, match="Did you mean 'animal'"):
        import_rows([path], toy_config(), RunLayout(tmp_path / "run"))
    report = import_rows(
        [path], toy_config(), RunLayout(tmp_path / "run"), "animal", material=toy_material_of("animal")
    )
    assert report.synthesis.num_accepted == 1


def test_an_exported_llava_file_can_be_imported_and_says_the_same(tmp_path: Path) -> None:
    layout, out_dir = RunLayout(tmp_path / "run"), tmp_path / "out"
    synthesize(toy_config(), layout, material=toy_material_of("animal"))
    report = export_samples(layout.data_dir, out_dir, "llava")
    assert (report.num_samples, report.num_images) == (20, 20)
    rows = json.loads((out_dir / "llava.json").read_text())
    assert rows[0]["conversations"][0]["value"].startswith("<image>\n")
    assert (out_dir / rows[0]["image"]).is_file()
    again = RunLayout(tmp_path / "again")
    import_rows([out_dir / "llava.json"], toy_config(), again, "animal", material=toy_material_of("animal"))
    first, second = (list(read_samples(entry.data_dir)) for entry in (layout, again))
    assert [sample.draft.turns for sample in first] == [sample.draft.turns for sample in second]
    for one, two in zip(first, second, strict=True):
        assert one.paintings[0].sha256 == two.paintings[0].sha256
        assert image_path(again.data_dir, two.paintings[0].sha256).is_file()


@pytest.mark.parametrize(
    ("form", "name", "kind"),
    [("messages", "messages.jsonl", "json"), ("parquet", "data/train-00000-of-00001.parquet", "parquet")],
)
def test_chat_messages_load_in_hugging_face_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, name: str, kind: str
) -> None:
    datasets = pytest.importorskip("datasets")
    layout, out_dir = RunLayout(tmp_path / "run"), tmp_path / "out"
    synthesize(toy_config(), layout, material=toy_material_of("animal"))
    export_samples(layout.data_dir, out_dir, form)
    table = datasets.load_dataset(kind, data_files=str(out_dir / name), split="train", cache_dir=str(tmp_path / "hf"))
    assert len(table) == 20
    first = table[0]
    assert [message["role"] for message in first["messages"]] == ["user", "assistant"]
    assert [part["type"] for part in first["messages"][0]["content"]] == ["image", "text"]
    if form == "parquet":
        assert first["images"][0].size == (48, 48)
    else:
        assert (out_dir / first["images"][0]).is_file()


def test_every_export_carries_the_card_with_counts_rejects_and_licence(tmp_path: Path) -> None:
    layout, out_dir = RunLayout(tmp_path / "run"), tmp_path / "out"
    synthesize(toy_config({"empty_share": 0.3}), layout, material=toy_material_of("animal"))
    export_samples(layout.data_dir, out_dir, "llava")
    card = (out_dir / "README.md").read_text()
    for expected in (
        "20 samples",
        "| animal | 20 |",
        "empty_turn",
        "colored shapes, no rights reserved",
        "Fingerprint",
    ):
        assert expected in card


def test_an_unknown_export_form_is_answered_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'llava'"):
        export_samples(tmp_path, tmp_path / "out", "lava")


def test_a_preview_takes_less_than_three_seconds() -> None:
    started = time.monotonic()
    preview(toy_config(), "animal", 4, toy_material_of("animal"))
    assert time.monotonic() - started < 3
