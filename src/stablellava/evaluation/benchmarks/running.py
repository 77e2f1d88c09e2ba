"""Running a task: ask what is not known yet, have it judged, score it, write the log.

Answers and judgements are on disk as soon as they are there, so a killed run goes on where it was; a finished
log answers again for the same model and question.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from stablellava.backends.protocols import Answerer
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.ids import hash_id
from stablellava.core.score import ASKED, Answer, EvalItem, TaskItem, TaskLog, TaskLogHeader
from stablellava.evaluation.asking import AnswerCollector, Progress
from stablellava.evaluation.benchmarks.base import Answered, Judge, LossAnswerer
from stablellava.evaluation.benchmarks.judged import JudgementCollector
from stablellava.evaluation.benchmarks.loading import LoadedTask
from stablellava.evaluation.benchmarks.scoring import build_task_log, start_header
from stablellava.evaluation.log import is_task_log, read_task_log, refuse_other_model, write_task_log
from stablellava.store.journal import ShardJournal

_GROUP_SIZE = 32
"""Answers that are asked and put on disk at once: what a kill can cost."""


def run_task(
    loaded: LoadedTask,
    answerer: Answerer | LossAnswerer,
    log_path: Path,
    *,
    judge: Judge | None = None,
    judge_runs: int = 1,
    group_size: int = _GROUP_SIZE,
    progress: Progress | None = None,
    asked_with: Mapping[str, str] | None = None,
) -> TaskLog:
    """Ask every item once, have the answers judged if there is a judge, score them and write the log.

    An item whose answer or judgement cannot be obtained is unscored with its reason, and asked again next time.

    Raises: ConfigError if the answerer cannot give the losses that a likelihood form needs or the log there is
    another model's, BackendFailed if the answerer or the judge breaks its contract or fails several times in a row.
    """
    run = _Run(loaded, log_path, judge, judge_runs, progress)
    run.refuse_other_model(answerer.name, answerer.fingerprint)
    asked = [item for item in loaded.items if item.form != "unasked"]
    collector = AnswerCollector(
        _order_for_asking(asked),
        loaded.image_dir,
        {item.item_id: _answer_key(answerer.fingerprint, item) for item in asked},
        _fit_answerer(answerer, asked),
        run.journal,
        run.known_answers(),
    )
    collector.ask_all(group_size, progress)
    header = start_header(loaded, answerer.name, answerer.fingerprint, asked_with)
    unasked = {
        item.item_id: Answer(item_id=item.item_id, prompt="", text="")
        for item in loaded.items
        if item.form == "unasked"
    }
    return run.finish({**collector.answers, **unasked}, collector.failures, header)


def score_recorded(
    loaded: LoadedTask,
    texts: Mapping[str, str],
    log_path: Path,
    *,
    model: str,
    answers_from: str,
    judge: Judge | None = None,
    judge_runs: int = 1,
    progress: Progress | None = None,
    asked_with: Mapping[str, str] | None = None,
) -> TaskLog:
    """Score texts by item id that another tool had a model say; items without one are unscored.

    Raises: ConfigError if the log there holds answers that a model was asked for.
    """
    answers = {
        item.item_id: Answer(item_id=item.item_id, prompt=item.prompt, text=texts[item.item_id])
        for item in loaded.items
        if item.item_id in texts
    }
    failures = {item.item_id: "no answer in the file" for item in loaded.items if item.item_id not in answers}
    fingerprint = hash_id(answers_from, dict(texts))
    header = start_header(loaded, model, fingerprint, asked_with).model_copy(update={"answers_from": answers_from})
    run = _Run(loaded, log_path, judge, judge_runs, progress)
    run.refuse_other_model(model, fingerprint)
    return run.finish(answers, failures, header)


class _Run:
    """What a run shares with the run before it: the finished log and the journal beside it."""

    def __init__(
        self, loaded: LoadedTask, log_path: Path, judge: Judge | None, judge_runs: int, progress: Progress | None
    ) -> None:
        self._loaded = loaded
        self._log_path = log_path
        self._journal_path = log_path.with_name(log_path.name + ".journal")
        self._earlier = read_task_log(log_path) if log_path.is_file() and is_task_log(log_path) else None
        self.journal = ShardJournal(self._journal_path)
        self._judging = JudgementCollector(judge, judge_runs, self.journal, progress) if judge else None

    def refuse_other_model(self, name: str, fingerprint: str) -> None:
        """Keep answers that would have to be asked for again; those of a file are still in the file."""
        if self._earlier and self._earlier.header.answers_from == ASKED:
            refuse_other_model(self._log_path, self._earlier.header, name, fingerprint)

    def known_answers(self) -> dict[str, Answer]:
        if self._earlier is None:
            return {}
        fingerprint = self._earlier.header.model_fingerprint
        return {_answer_key(fingerprint, e.item): e.answer for e in self._earlier.entries if e.answer is not None}

    def finish(self, answers: Mapping[str, Answer], failures: Mapping[str, str], header: TaskLogHeader) -> TaskLog:
        """Judge, score and write; the journal has then done its service."""
        loaded = self._loaded
        found = [answers.get(item.item_id) for item in loaded.items]
        answered = [
            Answered(item, answer.text if answer else None, "" if answer else failures[item.item_id])
            for item, answer in zip(loaded.items, found, strict=True)
        ]
        if self._judging:
            if self._earlier:
                self._judging.recall(loaded.task, self._earlier)
            answered = self._judging.judge_all(loaded.task, loaded.variant, answered)
            judge = self._judging.judge
            header = header.model_copy(update={"judge": judge.name, "judge_fingerprint": judge.fingerprint})
        log = build_task_log(loaded, answered, found, header)
        write_task_log(log, self._log_path)
        self._journal_path.unlink(missing_ok=True)
        return log


class _LossesAsText:
    """Lets losses of options be asked, kept and resumed as answers are."""

    def __init__(self, answerer: LossAnswerer, items: Sequence[TaskItem]) -> None:
        self.name = answerer.name
        self.fingerprint = answerer.fingerprint
        self._answerer = answerer
        self._options = {item.item_id: tuple(item.options.values()) for item in items}

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        options = [self._options[item.item_id] for item in items]
        found = self._answerer.option_losses(items, options, image_dir)
        if [len(losses) for losses in found] != [len(texts) for texts in options]:
            raise BackendFailed(f"{self.name} returned another number of losses than there are options")
        return [
            Answer(item_id=item.item_id, prompt=item.question, text=orjson.dumps(losses).decode())
            for item, losses in zip(items, found, strict=True)
        ]


def _fit_answerer(answerer: Answerer | LossAnswerer, items: Sequence[TaskItem]) -> Answerer:
    if any(item.form == "likelihood" for item in items):
        if not isinstance(answerer, LossAnswerer):
            raise ConfigError(
                f"{answerer.name} gives answers, no losses, which this variant needs; take another variant or a model "
                "that runs here"
            )
        return _LossesAsText(answerer, items)
    if not isinstance(answerer, Answerer):
        raise ConfigError(f"{answerer.name} gives losses, no answers; take a likelihood variant")
    return answerer


def _order_for_asking(items: Sequence[TaskItem]) -> list[EvalItem]:
    """Return the questions, those of like length together: a batch is as long as its longest prompt."""
    ordered = sorted(items, key=lambda item: len(item.prompt))
    return [
        EvalItem(
            item_id=item.item_id,
            capability=item.group,
            images=item.images,
            images_sha256=item.images_sha256,
            question=item.prompt,
            accepted=item.reference,
        )
        for item in ordered
    ]


def _answer_key(model_fingerprint: str, item: TaskItem) -> str:
    """Return the key of an answer: the same model asked the same has said the same, whatever else the file holds."""
    return hash_id("answer", model_fingerprint, item.item_id, item.form, item.prompt, item.images_sha256)
