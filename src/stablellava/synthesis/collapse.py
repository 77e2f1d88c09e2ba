"""Has a writer that reads its own outputs begun to say the same thing over and over?

The rule, for one capability. Texts are compared with keyword and setting blanked out, so that a plan that asks for
few keywords is not taken for a writer that has run dry; always at equal numbers of drafts; rejects that can be read
count as well, because they are the writer's words too. A round has collapsed if

1. of its prompts, or of its answers, both the share of different word 4-grams (distinct-4) and the Vendi score are
   below ``min_kept`` of what they were in the first round, or below ``min_kept_of_previous`` of what they were in the
   last round that stood; or if
2. fewer than ``min_different`` of its prompts, as written, differ from one another (this holds for the first round).

Both measures have to fall: alone, distinct-4 jumps where prompts are short, and the Vendi score falls when few
keywords are asked for. Self-BLEU is for the curves only; it falls furthest when few keywords are asked for
(design/0005-evolving-pool.md has the figures).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from stablellava.config.synthesis import CollapseSettings
from stablellava.core.capability import Capability
from stablellava.core.matching import plural_of, split_words
from stablellava.core.record import Record
from stablellava.synthesis.diversity import DraftText, Embed, distinct_share, embed_ngrams, take_sample, vendi_score

_BLANK = "_"
_MAX_COMPARED = 200
_DIGITS = 6


class CollapseVerdict(Record):
    """What the guard says of a round, with the figure that decided."""

    collapsed: bool
    reason: str
    """In words, for people; also where nothing collapsed or nothing was judged."""
    measure: str = ""
    """"distinct-4 of prompts"; empty if the round was not judged."""
    value: float | None = None
    reference: float | None = None
    """What the measure was in the round compared with; None for an absolute rule."""
    threshold: float | None = None
    """The value below which the measure counts as collapsed."""

    @property
    def was_judged(self) -> bool:
        return bool(self.measure)


@dataclass(frozen=True)
class _Finding:
    measure: str
    value: float
    reference: float | None
    threshold: float
    compared_with: str

    @property
    def margin(self) -> float:
        """How much of the threshold is reached; below 1 is a collapse."""
        return self.value / self.threshold if self.threshold else float("inf")


def judge_round(
    capability: Capability,
    current: Sequence[DraftText],
    first: Sequence[DraftText],
    previous: Sequence[DraftText],
    settings: CollapseSettings,
    embed: Embed | None = None,
) -> CollapseVerdict:
    """Return whether the round has collapsed.

    Args:
        capability: whose round it is; its keywords are blanked out.
        current: all readable drafts of the round.
        first: those of the first round that stood; empty while there is none.
        previous: those of the last round that stood.
        settings: thresholds.
        embed: measures the Vendi score by meaning; by words without.
    """
    if len(current) < settings.min_drafts:
        return CollapseVerdict(
            collapsed=False,
            reason=f"not judged: {len(current)} readable drafts, {settings.min_drafts} are needed to compare",
        )
    findings = list(_find(capability, current, first, previous, settings, embed or embed_ngrams))
    worst = min(findings, key=lambda finding: finding.margin)
    return CollapseVerdict(
        collapsed=worst.margin < 1,
        reason=_in_words(worst),
        measure=worst.measure,
        value=round(worst.value, _DIGITS),
        reference=None if worst.reference is None else round(worst.reference, _DIGITS),
        threshold=round(worst.threshold, _DIGITS),
    )


def blank_plan(text: DraftText, capability: Capability) -> DraftText:
    """Return the text with the words of its keyword and setting blanked out of prompt and answer."""
    keyword = capability.find_keyword(text.keyword)
    phrases = [text.keyword, text.setting]
    if keyword is not None:
        phrases += [keyword.subject, keyword.answer, *keyword.synonyms, *keyword.accepted]
    words = {form for phrase in phrases for word in split_words(phrase) for form in (word, plural_of(word))}
    return replace(
        text,
        prompt=_blank(text.prompt, words),
        answer=_blank(text.answer, words),
        dialogue=_blank(text.dialogue, words),
    )


def _blank(text: str, words: set[str]) -> str:
    """Return the text with one blank for every run of the words, however many words a keyword has."""
    blanked = (_BLANK if word in words else word for word in split_words(text))
    return " ".join(piece for blank, run in groupby(blanked, _BLANK.__eq__) for piece in ([_BLANK] if blank else run))


def _find(
    capability: Capability,
    current: Sequence[DraftText],
    first: Sequence[DraftText],
    previous: Sequence[DraftText],
    settings: CollapseSettings,
    embed: Embed,
) -> Iterator[_Finding]:
    different = len({text.prompt for text in current}) / len(current)
    yield _Finding("share of different prompts", different, None, settings.min_different, "")
    compared = (("first round", first, settings.min_kept), ("last good round", previous, settings.min_kept_of_previous))
    for name, reference, min_kept in compared:
        num = min(len(current), len(reference), _MAX_COMPARED)
        if num < settings.min_drafts:
            continue
        now, then = (
            [blank_plan(text, capability) for text in take_sample(texts, num)] for texts in (current, reference)
        )
        sides = (
            ("prompts", [text.prompt for text in now], [text.prompt for text in then]),
            ("answers", [text.answer for text in now], [text.answer for text in then]),
        )
        for kind, new, old in sides:
            yield _compare(kind, new, old, min_kept, name, embed)


def _compare(
    kind: str, new: Sequence[str], old: Sequence[str], min_kept: float, compared_with: str, embed: Embed
) -> _Finding:
    """Return the measure that has kept more; texts of fewer than four words have no distinct-4 to compare."""
    measured = [
        _Finding(name, value, before, min_kept * before, compared_with)
        for name, value, before in (
            (f"distinct-4 of {kind}", distinct_share(new), distinct_share(old)),
            (f"Vendi score of {kind}", vendi_score(embed(new)), vendi_score(embed(old))),
        )
        if before
    ]
    return max(measured, key=lambda finding: finding.margin)


def _in_words(finding: _Finding) -> str:
    has_collapsed = finding.margin < 1
    state = "collapsed" if has_collapsed else "varied enough"
    if finding.reference is None:
        return f"{state}: {finding.measure} {finding.value:.2f}, at least {finding.threshold:.2f} is asked for"
    share = finding.value / finding.reference if finding.reference else 0.0
    return (
        f"{state}: {finding.measure} {finding.value:.2f}, {100 * share:.0f} % of the {finding.compared_with}'s "
        f"{finding.reference:.2f}; at least {100 * finding.threshold / (finding.reference or 1):.0f} % is asked for"
    )
