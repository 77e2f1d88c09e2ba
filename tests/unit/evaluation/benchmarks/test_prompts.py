"""What each benchmark asks, word for word, and of how many items its files make."""

from pathlib import Path

import pytest

import benchmark_files as files
from stablellava.core.errors import ConfigError, RecordError
from stablellava.evaluation.benchmarks.loading import LoadedTask, load_task
from stablellava.evaluation.benchmarks.registry import find_task, list_tasks

LETTER = "Answer with the option's letter from the given choices directly."
SHORT = "Answer the question using a single word or phrase."
# "What is this?" and "Answer with the option's letter directly."
CHINESE = "\u8fd9\u662f\u4ec0\u4e48\uff1f"
CHINESE_LETTER = "\u8bf7\u76f4\u63a5\u56de\u7b54\u9009\u9879\u5b57\u6bcd\u3002"
UNSURE = "When the provided information is insufficient, respond with 'Unanswerable'."

PROMPTS = [
    ("mmbench", "llava", f"Look closely.\nWhat is it?\nA. cat\nB. dog\nC. owl\nD. fox\n{LETTER}"),
    ("mmbench", "vlmevalkit",
     "Hint: Look closely.\nQuestion: What is it?\nOptions:\nA. cat\nB. dog\nC. owl\nD. fox\n"
     "Please select the correct answer from the options above."),
    ("mmbench", "lmms-eval",
     f"Look closely. What is it? There are several options:\nA. cat\nB. dog\nC. owl\nD. fox\n\n{LETTER}"),
    ("mmbench-cn", "llava", f"{CHINESE}\nA. cat\nB. dog\nC. owl\nD. fox\n{CHINESE_LETTER}"),
    ("mmbench-cn", "llava-vanilla", f"{CHINESE}\nA. cat\nB. dog\nC. owl\nD. fox\n{CHINESE_LETTER}"),
    ("mmmu", "llava", f"How many in <image 1> and <image 2>?\n{SHORT}"),
    ("ai2d", "llava", f"Which is the sun?\nA. A\nB. B\nC. C\nD. D\n{LETTER}"),
    ("seedbench", "llava", f"How many towels?\nA. One\nB. Two\nC. Three\nD. Four\n{LETTER}"),
    ("seedbench", "likelihood", "How many towels?"),
    ("mme", "llava", f"Is there a dog?\n{SHORT}"),
    ("mme", "official", "Is there a dog? Please answer yes or no."),
    ("mmvet", "llava", "What is x?"),
    ("vizwiz", "llava", f"What color 0?\n{UNSURE}\n{SHORT}"),
    ("pope", "llava", f"Is there a random 1 in the image?\n{SHORT}"),
    ("llavabench", "llava", "What is this?"),
    ("scienceqa", "llava", f"Context: Look.\nWhich is bigger?\nA. a\nB. b\n{LETTER}"),
    ("textvqa", "llava", f"what is the brand?\nReference OCR token: NOKIA, N95\n{SHORT}"),
    ("textvqa", "no-ocr", f"what is the brand?\n{SHORT}"),
]  # fmt: skip


def load(name: str, folder: Path, variant: str = "", **options: object) -> LoadedTask:
    return load_task(find_task(name), files.WRITERS[name](folder), folder / "out", variant=variant, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "variant", "prompt"), PROMPTS, ids=[f"{name}-{v}" for name, v, _ in PROMPTS])
def test_prompts_are_those_of_the_protocol(name: str, variant: str, prompt: str, tmp_path: Path) -> None:
    assert load(name, tmp_path, variant).items[0].prompt == prompt


def test_options_of_mmmu_stand_in_brackets_before_a_blank_line(tmp_path: Path) -> None:
    art, choice, music = load("mmmu", tmp_path).items
    assert (art.group, choice.group, music.group) == ("Art", "Art", "Music")
    assert music.prompt == f"Which note is <image 1>?\n(A) C\n(B) D\n(C) E\n(D) F\n\n{LETTER}"
    assert art.reference == ("3", "three")


NUM_ITEMS = {
    ("mmbench", "llava"): 6, ("mmbench", "llava-vanilla"): 2, ("mmbench-cn", "llava"): 6, ("mmmu", "llava"): 3,
    ("ai2d", "llava"): 2,
    ("seedbench", "llava"): 3, ("seedbench", "llava-image"): 2, ("mme", "llava"): 4, ("mmvet", "llava"): 2,
    ("vizwiz", "llava"): 2, ("pope", "llava"): 12, ("llavabench", "llava"): 2, ("scienceqa", "llava"): 2,
    ("scienceqa", "llava-image"): 1, ("textvqa", "llava"): 2, ("photos", "keywords"): 3,
}  # fmt: skip


@pytest.mark.parametrize(("key", "num_items"), NUM_ITEMS.items(), ids=[f"{n}-{v}" for n, v in NUM_ITEMS])
def test_files_give_their_items_with_stored_images(key: tuple[str, str], num_items: int, tmp_path: Path) -> None:
    loaded = load(key[0], tmp_path, key[1])
    assert len(loaded.items) == num_items
    assert len({item.item_id for item in loaded.items}) == num_items
    for item in loaded.items:
        assert len(item.images) == len(item.images_sha256)
        for name, digest in zip(item.images, item.images_sha256, strict=True):
            assert (loaded.image_dir / name).stem == digest
            assert (loaded.image_dir / name).is_file()


@pytest.mark.parametrize(
    ("name", "writer"),
    [("mmmu", files.mmmu_json), ("ai2d", files.ai2d_tsv), ("ai2d", files.ai2d_parquet), ("mme", files.mme_parquet)],
)
def test_other_forms_of_a_benchmark_are_read(name: str, writer: object, tmp_path: Path) -> None:
    loaded = load_task(find_task(name), writer(tmp_path), tmp_path / "out")  # type: ignore[operator]
    assert len(loaded.items) >= 2
    assert all(item.images and item.reference for item in loaded.items)


def test_passes_are_made_by_shifting_to_the_right_as_the_official_file_does(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    made = load_task(find_task("mmbench"), files.mmbench(tmp_path), tmp_path / "out")
    read = load_task(find_task("mmbench"), files.mmbench_passes(tmp_path / "one"), tmp_path / "out")

    def key(loaded: LoadedTask) -> dict[str, object]:
        return {item.item_id: (item.prompt, item.reference, item.images_sha256) for item in loaded.items}

    assert key(made) == key(read)
    assert made.items[1].options == {"A": "fox", "B": "cat", "C": "dog", "D": "owl"}
    assert made.items[1].reference == ("C",)


def test_llava_is_given_the_first_image_of_mmmu_and_a_variant_all(tmp_path: Path) -> None:
    assert [len(item.images) for item in load("mmmu", tmp_path).items] == [1, 1, 1]
    assert [len(item.images) for item in load("mmmu", tmp_path, "all-images").items] == [2, 1, 1]


def test_options_of_mmmu_that_are_pictures_are_left_to_chance_where_one_picture_is_shown(tmp_path: Path) -> None:
    def show_options(rows: files.Rows) -> None:
        rows[2] |= {"options": "['<image 1>', '<image 2>']", "image_2": rows[0]["image_1"]}

    path = files.mmmu(tmp_path, show_options)
    task = find_task("mmmu")
    alone, together = (load_task(task, path, tmp_path / "out", variant=name) for name in ("llava", "all-images"))
    assert [item.form for item in alone.items] == ["short", "unasked", "choice"]
    assert [item.form for item in together.items] == ["short", "choice", "choice"]


@pytest.mark.parametrize(("name", "other"), [("mmbench", "mmbench-cn"), ("mmbench-cn", "mmbench")])
def test_a_file_in_the_other_language_is_not_asked_in_the_wrong_words(name: str, other: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=f"questions are Chinese; take --task {other}$"):
        load_task(find_task(name), files.WRITERS[other](tmp_path), tmp_path / "out")


def test_diagrams_are_labelled_where_the_options_name_letters(tmp_path: Path) -> None:
    masked, bare = load("ai2d", tmp_path).items
    outlined, _ = load("ai2d", tmp_path, "llava-no-mask").items
    assert len({masked.images, bare.images, outlined.images}) == 3


def test_a_limit_counts_questions_not_passes_and_looks_at_no_other_picture(tmp_path: Path) -> None:
    def break_last(rows: files.Rows) -> None:
        rows[1]["image"] = "!" * 200

    path = files.mmbench(tmp_path, break_last)
    loaded = load_task(find_task("mmbench"), path, tmp_path / "out", limit=1)
    assert [item.item_id for item in loaded.items] == ["1", "1000001", "2000001", "3000001"]
    assert len(load("mme", tmp_path, limit=1).items) == 2


def test_the_fingerprint_changes_with_prompts_references_and_pictures(tmp_path: Path) -> None:
    def load_changed(name: str, change: files.Change) -> str:
        (tmp_path / name).mkdir()
        return load_task(find_task("mmbench"), files.mmbench(tmp_path / name, change), tmp_path / "out").fingerprint

    def set_cell(column: str, value: str) -> files.Change:
        return lambda rows: rows[0].update({column: value})

    prints = [
        load_changed("same", lambda rows: None),
        load_changed("question", set_cell("question", "What?")),
        load_changed("answer", set_cell("answer", "A")),
        load_changed("image", set_cell("image", files.encode("red"))),
    ]
    assert len(set(prints)) == 4
    assert load_changed("again", lambda rows: None) == prints[0]


def test_unknown_tasks_and_variants_are_answered_with_what_was_probably_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'mmbench'"):
        find_task("mmbenhc")
    with pytest.raises(ConfigError, match="Did you mean 'llava-vanilla'"):
        load("mmbench", tmp_path, "llava-vanila")
    with pytest.raises(ConfigError, match="at least 1"):
        load("mmbench", tmp_path, limit=0)


@pytest.mark.parametrize("name", list_tasks())
def test_every_task_is_named_as_it_is_found_and_says_what_it_needs(name: str) -> None:
    task = find_task(name)
    assert task.name == name
    assert task.needs
    assert task.default_variant in ("llava", "keywords")
