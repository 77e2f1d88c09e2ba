"""Questions that a picture cannot answer, with honest answers.

Two kinds, both made from verified samples: a question that was asked of another picture (image-swapped), and one
that takes for granted what is not there (false premise). A model that never saw such questions invents answers.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stablellava.capabilities import load_known
from stablellava.core.capability import Capability, Keyword
from stablellava.core.draft import CallStamp, Turn
from stablellava.core.errors import ConfigError
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.matching import contains_phrase, find_spans, split_words
from stablellava.core.record import Record
from stablellava.core.sample import Rejected, Sample, Verdict
from stablellava.store.manifest import DATA_SCHEMA_VERSION, lock_folder, open_manifest, read_manifest
from stablellava.store.shards import read_samples
from stablellava.synthesis.derived_data import commit_data

THING_CAPABILITIES = ("animal", "plant", "vehicle", "food", "clothes", "furniture", "color")
"""Capabilities whose keywords name a thing that a picture shows or does not."""
_PREMISES = (
    "What stands next to the {thing}?",
    "Where in the picture do you see the {thing}?",
    "Describe the {thing} in this picture.",
    "Can you tell me more about the {thing} in the picture?",
    "What is behind the {thing}?",
    "In which part of the picture can the {thing} be found?",
)  # fmt: skip
_ANSWERS = (
    "I see no {thing} in this picture. {shown}",
    "This picture shows no {thing}, so that cannot be answered. {shown}",
    "There is nothing like that here: no {thing} can be seen. {shown}",
    "The question does not fit, since the picture has no {thing}. {shown}",
)
_MAX_TRIES = 50
_MAX_ADJECTIVES = 2
_DEFINITE = frozenset({"the", "this", "that", "these", "those"})
_DETERMINERS = _DEFINITE | {"a", "an", "any", "another", "some", "no"}
_VIEW = frozenset({"picture", "image", "photo", "scene"})
"""Words that a definite article may belong to instead: "is the picture yellow"."""
_MIN_SHOWN_WORDS = 5
"""A shorter answer ("Yes.") says nothing without its question."""


@dataclass(frozen=True)
class _Asked:
    """A thing that was seen elsewhere, and what was asked there."""

    thing: str
    keyword: Keyword
    capability: str
    questions: tuple[str, ...]


def make_hard_negatives(
    samples: Sequence[Sample], capabilities: Sequence[Capability], share: float, seed: int
) -> Iterator[Sample]:
    """Yield negatives so that they are ``share`` of samples and negatives together; the same for the same input.

    Args:
        samples: verified samples with one picture or several; those with several are left alone.
        capabilities: tables of the samples' capabilities.
        share: above 0 and below 0.5.
        seed: of the run.

    Raises: ConfigError for another share, or when no sample names a thing that another lacks.
    """
    if not 0 < share < 0.5:
        raise ConfigError(
            f"a share of hard negatives must be above 0 and below 0.5, got {share}; 0.05 to 0.07 is usual"
        )
    tables = {capability.name: capability for capability in capabilities}
    hosts = [sample for sample in samples if len(sample.paintings) == 1 and sample.draft.capability in tables]
    hosts.sort(key=lambda sample: (seed_from(seed, sample.sample_id, "negative"), sample.sample_id))
    asked = list(_collect_asked(hosts, tables))
    wanted = round(len(samples) * share / (1 - share))
    with_questions = [one for one in asked if one.questions]
    num_made = 0
    for host in hosts:
        if num_made == wanted:
            return
        # Every second one is asked a question of another picture, where there is one that fits.
        swapped = _find_absent(host, with_questions, tables, seed) if num_made % 2 == 0 else None
        absent = swapped or _find_absent(host, asked, tables, seed)
        if absent:
            yield _compose(host, absent, swapped is not None, seed)
            num_made += 1
    if num_made < wanted:
        raise ConfigError(
            f"only {num_made} of {wanted} hard negatives could be made: too few samples name a thing "
            f"({', '.join(THING_CAPABILITIES)}) that others lack; lower the share or add capabilities"
        )


def _collect_asked(hosts: Sequence[Sample], tables: dict[str, Capability]) -> Iterator[_Asked]:
    for sample in hosts:
        draft = sample.draft
        keyword = tables[draft.capability].find_keyword(draft.keyword)
        if draft.capability not in THING_CAPABILITIES or keyword is None:
            continue
        thing = keyword.subject or keyword.name
        questions = tuple(turn.text for turn in draft.turns if turn.speaker == "user" and _presumes(turn.text, thing))
        yield _Asked(thing, keyword, draft.capability, questions)


def _presumes(question: str, thing: str) -> bool:
    """Tell whether a question takes the thing for granted.

    "Is the yellow cap dirty?" does; "is there a cap?" does not, for it has an answer: no. Nor does "a cap or a hat?".
    """
    words = split_words(question)
    if "or" in words:
        return False
    for span in find_spans(words, thing):
        before = words[max(0, span.start - _MAX_ADJECTIVES - 1) : span.start]
        named = [word for word in before if word in _DETERMINERS]
        if named and named[-1] in _DEFINITE and not _VIEW.intersection(before[before.index(named[-1]) :]):
            return True
    return False


def _find_absent(host: Sample, asked: Sequence[_Asked], tables: dict[str, Capability], seed: int) -> _Asked | None:
    """Return a thing that nothing known of the host's picture names, nor its kin."""
    if not asked:
        return None
    kin = tables[host.draft.capability].find_keyword(host.draft.keyword)
    is_named = _reader_of(host)
    start = seed_from(seed, host.sample_id, "absent")
    for step in range(_MAX_TRIES):
        other = asked[(start + step * 7919) % len(asked)]
        is_kin = bool(kin and kin.group and kin.group == other.keyword.group and other.capability != "color")
        if not is_kin and not any(is_named(phrase) for phrase in (other.thing, *other.keyword.synonyms)):
            return other
    return None


def _reader_of(host: Sample) -> Callable[[str], bool]:
    texts = [prompt.text for prompt in host.draft.prompts] + [turn.text for turn in host.draft.turns]
    for fact in host.paintings[0].drawn or ():
        texts += [fact.name, fact.said, fact.subject]
    return lambda phrase: any(contains_phrase(text, phrase) for text in texts)


def _compose(host: Sample, absent: _Asked, is_swapped: bool, seed: int) -> Sample:
    draw = seed_from(seed, host.sample_id, "words")
    kind = "image_swapped" if is_swapped else "false_premise"
    if is_swapped:
        question = absent.questions[draw // 2 % len(absent.questions)]
    else:
        question = _PREMISES[draw // 2 % len(_PREMISES)].format(thing=absent.thing)
    answers = [turn.text for turn in host.draft.turns if turn.speaker == "assistant"]
    shown = next((answer for answer in answers if len(split_words(answer)) >= _MIN_SHOWN_WORDS), "")
    answer = _ANSWERS[draw // 32 % len(_ANSWERS)].format(thing=absent.thing, shown=shown).strip()
    sample_id = hash_id("hard_negative", host.sample_id, kind, question)
    draft = host.draft.model_copy(
        update={
            "draft_id": sample_id,
            "attributes": (*host.draft.attributes, ("hard_negative", kind)),
            "turns": (
                Turn(speaker="user", text=question, images=(0,)),
                Turn(speaker="assistant", text=answer),
            ),
            "stamp": CallStamp(backend="hard_negatives", seed=seed),
        }
    )
    verdict = Verdict(filter_name="hard_negatives", kept=True, detail=f"no {absent.thing} in {host.sample_id}")
    return host.model_copy(update={"sample_id": sample_id, "draft": draft, "verdicts": (*host.verdicts, verdict)})


class NegativesReport(Record):
    """What was made."""

    out_dir: str
    num_samples: int
    """Samples they were made from."""
    num_negatives: int
    by_kind: dict[str, int]


def write_hard_negatives(
    data_dir: Path, out_dir: Path, share: float, seed: int, chosen: Sequence[str] = ()
) -> NegativesReport:
    """Write the negatives of a data folder as a data folder of their own.

    ``chosen`` are the capabilities of the data, as its settings name them; built-in ones need not be named.

    Raises: ConfigError as ``make_hard_negatives``; RecordError if there are no data or the target holds others.
    """
    source = read_manifest(data_dir)
    samples = list(read_samples(data_dir))
    known = load_known(chosen)
    negatives = list(make_hard_negatives(samples, tuple(known.values()), share, seed))
    inputs = {
        "schema_version": DATA_SCHEMA_VERSION,
        "purpose": "hard_negatives",
        "source": source.fingerprint,
        "share": share,
        "seed": seed,
    }
    with lock_folder(out_dir):
        manifest = open_manifest(out_dir, inputs, source.attribution)
        commit_data(data_dir, out_dir, manifest, _by_capability(negatives), known)
    kinds = Counter(dict(sample.draft.attributes)["hard_negative"] for sample in negatives)
    return NegativesReport(
        out_dir=str(out_dir),
        num_samples=len(samples),
        num_negatives=len(negatives),
        by_kind=dict(sorted(kinds.items())),
    )


def _by_capability(samples: Sequence[Sample]) -> Iterator[tuple[str, list[Sample | Rejected]]]:
    for name in sorted({sample.draft.capability for sample in samples}):
        yield f"{name}/negatives", [sample for sample in samples if sample.draft.capability == name]
