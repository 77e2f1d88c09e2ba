import random
from pathlib import Path

from stablellava.core.capability import Keyword
from stablellava.core.draft import CallStamp, Draft, PaintPrompt, Turn
from stablellava.core.sample import Painting
from stablellava.filters.base import Candidate
from stablellava.filters.compact import CompactMap, DigestSet, RowFile, SpillFile
from stablellava.filters.near_duplicate import NearDuplicate

WORDS = [f"word{number}" for number in range(60)]


def test_a_map_finds_what_was_added_before_and_after_it_was_sorted_in() -> None:
    draw, known = random.Random(1), {}
    found = CompactMap()
    for value in range(100_000):
        key = draw.getrandbits(64)
        known[key] = value
        found.add(key, value)
        if value % 10_000 == 0:
            found.let_go()
    assert len(found) == len(known)
    sample = draw.sample(sorted(known), 2000)
    assert [found.find(key) for key in sample] == [known[key] for key in sample]
    assert all(found.find(key) is None for key in (draw.getrandbits(64) for _ in range(1000)) if key not in known)


def test_lines_are_read_back_by_number_also_long_ones(tmp_path: Path) -> None:
    spill = SpillFile(tmp_path)
    lines = ["a", "", "x" * 5000, "caf\u00e9"] * 50
    places = [spill.add(line) for line in lines]
    assert [spill.read(place) for place in places] == lines
    assert list(tmp_path.iterdir()) == [], "a killed process leaves nothing behind"


def test_rows_come_back_by_key_in_order_also_when_memory_was_let_go(tmp_path: Path) -> None:
    draw = random.Random(2)
    known: dict[str, list[tuple[int, ...]]] = {key: [] for key in "abc"}
    rows: RowFile[str] = RowFile(3, tmp_path)
    for number in range(20_000):
        key = draw.choice("aaaaaaaaab")
        row = (draw.getrandbits(64), number, draw.getrandbits(8))
        known[key].append(row)
        rows.add(key, row)
        if number % 1000 == 0:
            rows.let_go()
    for key, expected in known.items():
        found = [tuple(map(int, row)) for part in rows.parts(key) for row in part.T]
        assert found == expected
    assert list(tmp_path.iterdir()) == []


def test_digests_are_known_by_content() -> None:
    digests = DigestSet()
    digests.add("ab" * 32)
    assert "ab" * 32 in digests
    assert "cd" * 32 not in digests


def candidate(number: int, words: list[str], bits: int) -> Candidate:
    draft = Draft(
        draft_id=f"{number:032x}", capability="animal", keyword="dog", setting="",
        prompts=(PaintPrompt(text="dog"),),
        turns=(Turn(speaker="user", text="?", images=(0,)), Turn(speaker="assistant", text=" ".join(words))),
        stamp=CallStamp(backend="x"),
    )  # fmt: skip
    painting = Painting(
        painting_id="p", sha256=f"{number:064x}", width_px=8, height_px=8, seed=0, perceptual_hash=f"{bits:016x}",
        drawn=None, stamp=CallStamp(backend="x"),
    )  # fmt: skip
    return Candidate(draft, Keyword(name="dog"), (painting,))


def test_near_pairs_are_those_of_a_plain_recount() -> None:
    draw = random.Random(3)
    gate, kept = NearDuplicate(), []
    num_refused = 0
    for number in range(600):
        words, bits = draw.sample(WORDS, 30), draw.getrandbits(64)
        if kept and number % 3 == 0:  # a repeat: some words and some bits changed, now more than allowed, now less
            like = draw.choice(kept)
            words, bits = list(like[0]), like[1]
            words[: draw.randrange(4)] = draw.sample(WORDS, draw.randrange(4))
            bits ^= (1 << draw.randrange(7)) - 1
        one = candidate(number, words, bits)
        refused = next(
            (
                other_id
                for other_words, other_bits, other_id in kept
                if len({*words} & {*other_words}) / len({*words} | {*other_words}) >= 0.9
                and (bits ^ other_bits).bit_count() <= 4
            ),
            None,
        )
        verdict = gate.judge(one)
        assert verdict.detail == (f"of {refused}" if refused else "")
        num_refused += refused is not None
        if verdict.kept:
            gate.admit(one)
            kept.append((words, bits, one.draft.draft_id))
    assert 20 < num_refused < 200
