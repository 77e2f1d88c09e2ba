"""Proof that nothing asked in an evaluation was seen in training.

Paper: 2308.10253v1, section 4 (a keyword check keeps test items out of the training data).
Departs: the unit is the combination of keyword and setting, plus the exact picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from stablellava.core.errors import RecordError
from stablellava.core.sample import Sample
from stablellava.core.score import EvalItem

_NUM_SHOWN = 3


@dataclass(frozen=True)
class ContaminationReport:
    """What evaluation items share with training samples; empty is clean."""

    num_items: int
    num_samples: int
    combinations: tuple[tuple[str, str, str], ...]
    """(capability, keyword, setting) found on both sides, sorted."""
    images_sha256: tuple[str, ...]
    """Pictures found on both sides, sorted."""

    @property
    def is_clean(self) -> bool:
        return not self.combinations and not self.images_sha256


def check_contamination(items: Iterable[EvalItem], samples: Iterable[Sample]) -> ContaminationReport:
    """Compare evaluation items with the samples a model was trained on."""
    items = list(items)
    asked = {(item.capability, item.keyword, item.setting) for item in items if item.keyword}
    pictures = {digest for item in items for digest in item.images_sha256}
    combinations: set[tuple[str, str, str]] = set()
    shared_pictures: set[str] = set()
    num_samples = 0
    for sample in samples:
        num_samples += 1
        draft = sample.draft
        combinations |= asked & {(draft.capability, draft.keyword, draft.setting)}
        shared_pictures |= pictures & {painting.sha256 for painting in sample.paintings}
    return ContaminationReport(
        num_items=len(items),
        num_samples=num_samples,
        combinations=tuple(sorted(combinations)),
        images_sha256=tuple(sorted(shared_pictures)),
    )


def ensure_clean(report: ContaminationReport) -> None:
    """Refuse to go on with items that training has seen.

    Raises: RecordError naming the first of them.
    """
    if report.is_clean:
        return
    names = [f"{keyword} / {setting} ({capability})" for capability, keyword, setting in report.combinations]
    shown = [*names, *report.images_sha256][:_NUM_SHOWN]
    raise RecordError(
        f"{len(report.combinations)} keyword-setting combinations and {len(report.images_sha256)} pictures of the "
        f"evaluation are in the training data: {', '.join(shown)}; synthesize the suite from held-out combinations"
    )
