"""Having answers judged, asking nothing twice. A call that fails is kept as such and tried again next time."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.ids import hash_id
from stablellava.core.score import Judgement, TaskLog
from stablellava.evaluation.asking import Progress
from stablellava.evaluation.benchmarks.base import Answered, Judge, JudgeRequest, Task
from stablellava.evaluation.benchmarks.scoring import answers_of
from stablellava.store.journal import ShardJournal

_GROUP_SIZE = 64
"""Judgements that are asked and put on disk at once."""


class JudgementCollector:
    """The judgements of one run: those known and those still to be asked."""

    def __init__(self, judge: Judge, num_runs: int, journal: ShardJournal, progress: Progress | None = None) -> None:
        """Raises: ConfigError for fewer than one run."""
        if num_runs < 1:
            raise ConfigError(f"{num_runs} runs of the judge: at least 1 is needed")
        self.judge = judge
        self._num_runs = num_runs
        self._journal = journal
        self._progress = progress
        self._known: dict[str, Judgement] = {}

    def recall(self, task: Task, log: TaskLog) -> None:
        """Take over what this judge said for an earlier log."""
        if log.header.judge_fingerprint != self.judge.fingerprint:
            return
        for answered in answers_of(log):
            said = {(judgement.request_id, judgement.run): judgement for judgement in answered.judgements}
            for request in self._requests(task, log.header.variant, answered):
                judgement = said.get((request.request_id, request.run))
                if judgement is not None and judgement.text is not None:
                    self._known[self._key(request)] = judgement

    def judge_all(self, task: Task, variant: str, answered: Sequence[Answered]) -> list[Answered]:
        """Return the answers with their judgements; what was not answered is not judged.

        Raises: BackendFailed if the judge cannot judge at all or breaks its contract.
        """
        wanted = [self._requests(task, variant, entry) for entry in answered]
        pending = [request for requests in wanted for request in requests if self._find(request) is None]
        failed: dict[str, Judgement] = {}
        for start in range(0, len(pending), _GROUP_SIZE):
            if self._progress:
                self._progress(start, len(pending))
            failed.update(self._ask(pending[start : start + _GROUP_SIZE]))
        judged = []
        for entry, requests in zip(answered, wanted, strict=True):
            found = tuple(self._find(request) or failed[self._key(request)] for request in requests)
            judged.append(replace(entry, judgements=found))
        return judged

    def _ask(self, requests: Sequence[JudgeRequest]) -> dict[str, Judgement]:
        """Keep the judgements there are; return the failed ones by key."""
        judgements = self.judge.judge(requests)
        if [j.request_id for j in judgements] != [r.request_id for r in requests]:
            raise BackendFailed(
                f"{self.judge.name} returned {len(judgements)} judgements for {len(requests)} requests, or in another "
                "order; a judge must return one per request, in their order"
            )
        keyed = [(self._key(request), judgement) for request, judgement in zip(requests, judgements, strict=True)]
        done = [(key, judgement) for key, judgement in keyed if judgement.text is not None]
        self._journal.add([(key, judgement.model_dump(mode="json")) for key, judgement in done])
        self._known.update(done)
        return {key: judgement for key, judgement in keyed if judgement.text is None}

    def _find(self, request: JudgeRequest) -> Judgement | None:
        key = self._key(request)
        if key not in self._known and (stored := self._journal.find(key)) is not None:
            self._known[key] = Judgement.model_validate(stored)
        found = self._known.get(key)
        # The same answer to the same question may stand under another id.
        return found.model_copy(update={"request_id": request.request_id}) if found else None

    def _requests(self, task: Task, variant: str, answered: Answered) -> list[JudgeRequest]:
        if task.judge_requests is None or answered.text is None or not answered.item.reference:
            return []
        once = task.judge_requests(variant, answered)
        return [replace(request, run=run) for run in range(self._num_runs) for request in once]

    def _key(self, request: JudgeRequest) -> str:
        sent = {name: value for name, value in asdict(request).items() if name != "request_id"}
        return hash_id("judgement", self.judge.fingerprint, sent)
