"""Asking the writer, once per request, and holding it to what was asked."""

from collections.abc import Sequence

from stablellava.backends.protocols import Writer
from stablellava.core.draft import Draft, DraftRefusal, DraftRequest
from stablellava.core.errors import BackendFailed
from stablellava.core.sample import Rejected
from stablellava.store.journal import ShardJournal


def write_drafts(writer: Writer, requests: Sequence[DraftRequest], journal: ShardJournal) -> list[Draft | Rejected]:
    """Return a draft or a reject per request, in their order; what the journal holds is not written again.

    Raises: BackendFailed if the writer does not answer every request.
    """
    open_requests = [request for request in requests if journal.find(f"draft:{request.draft_id}") is None]
    results = writer.write(open_requests) if open_requests else []
    if len(results) != len(open_requests):
        raise BackendFailed(f"writer {writer.name!r} gave {len(results)} results for {len(open_requests)} requests")
    journal.add(
        [
            (f"draft:{request.draft_id}", _judge(request, result).model_dump(mode="json"))
            for request, result in zip(open_requests, results, strict=True)
        ]
    )
    return [_from_journal(journal, request.draft_id) for request in requests]


def _from_journal(journal: ShardJournal, draft_id: str) -> Draft | Rejected:
    entry = journal.find(f"draft:{draft_id}")
    assert entry is not None
    return Rejected.model_validate(entry) if "stage" in entry else Draft.model_validate(entry)


def _judge(request: DraftRequest, result: Draft | DraftRefusal) -> Draft | Rejected:
    if isinstance(result, DraftRefusal):
        return reject_request(request, result.reason, result.detail)
    asked = (request.draft_id, request.capability.name, request.keyword.name, request.setting)
    got = (result.draft_id, result.capability, result.keyword, result.setting)
    if asked != got:
        # A writer that swaps keyword or place would carry held-out combinations into the training data.
        return reject_request(request, "draft_off_plan", f"asked for {asked[1:]}, got {got[1:]}")
    # Seconds, and where an answer came from, differ from run to run and data must not.
    stamp = result.stamp.model_copy(update={"seconds": None, "from_cache": False})
    return result.model_copy(update={"stamp": stamp})


def reject_request(request: DraftRequest, reason: str, detail: str) -> Rejected:
    """Return a request that came to no draft as a reject."""
    return Rejected(
        draft_id=request.draft_id,
        capability=request.capability.name,
        keyword=request.keyword.name,
        stage="draft",
        reason=reason,
        detail=detail,
    )
