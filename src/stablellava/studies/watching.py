"""The capability benchmark, asked while a stage trains."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from statistics import fmean

from stablellava.config.tree import RunConfig
from stablellava.core.score import EvalItem
from stablellava.evaluation.scoring import score_answer
from stablellava.evaluation.suites import load_suite
from stablellava.model.answering import VlmAnswerer
from stablellava.model.assembling import Vlm
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.prompting import ready_to_ask
from stablellava.store.layout import RunLayout
from stablellava.synthesis.reporting import ProgressCallback
from stablellava.synthesis.suites import SUITE_NAME, make_suite

METRIC = "accuracy"


class SuiteMeasure:
    """Asks a suite's items of the model that is being trained; the suite is read when it is first asked."""

    def __init__(self, folder: Path, num_items: int, max_new_tokens: int, batch_size: int, feature_dir: Path):
        self.folder = folder
        self.num_items = num_items
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.feature_dir = feature_dir
        self._features: FeatureCache | None = None

    @cached_property
    def items(self) -> list[EvalItem]:
        """The chosen items. Raises: RecordError if the folder holds no suite, or a bad row."""
        return choose_evenly(load_suite(self.folder).items, self.num_items)

    def __call__(self, vlm: Vlm) -> Mapping[str, float]:
        """Return the share of right answers per capability and the mean over them."""
        checkpoint = ready_to_ask(vlm.model, vlm.processor, vlm.chat)
        if self._features is None or self._features.llava is not vlm.model:
            self._features = FeatureCache(self.feature_dir, vlm.model, checkpoint.image_processor)
        answerer = VlmAnswerer(checkpoint, self._features, self.max_new_tokens, self.batch_size)
        values: defaultdict[str, list[float]] = defaultdict(list)
        for item, answer in zip(self.items, answerer.answer(self.items, str(self.folder)), strict=True):
            values[item.capability].append(score_answer(item, answer).value or 0.0)
        shares = {capability: fmean(own) for capability, own in sorted(values.items())}
        return {METRIC: fmean(shares.values())} | {f"{METRIC}/{name}": share for name, share in shares.items()}


def choose_evenly(items: tuple[EvalItem, ...], num_items: int) -> list[EvalItem]:
    """Return the first items of every capability in turn, until there are enough."""
    groups: defaultdict[str, list[EvalItem]] = defaultdict(list)
    for item in items:
        groups[item.capability].append(item)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return [item for item in turns if item is not None][:num_items]


def build_measure(
    config: RunConfig, layout: RunLayout, *, is_first: bool = True, progress: ProgressCallback | None = None
) -> SuiteMeasure | None:
    """Return what asks the suite that ``training.watch`` names; None if it names none.

    The first process makes the run's own suite where it is missing, and reads it, before anything is trained.

    Raises: as ``make_suite``; RecordError if the folder holds no suite.
    """
    watch = config.training.watch
    if not watch.suite:
        return None
    is_own = watch.suite == SUITE_NAME
    if is_own and is_first:
        make_suite(config, layout, progress)
    measure = SuiteMeasure(
        layout.suite_dir(SUITE_NAME) if is_own else Path(watch.suite),
        watch.suite_items,
        config.evaluation.max_new_tokens,
        config.evaluation.batch_size,
        layout.features_dir,
    )
    if is_first:
        assert measure.items
    return measure
