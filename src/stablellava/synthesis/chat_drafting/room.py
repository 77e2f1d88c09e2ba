"""A run's chat model with all that belongs to it: the cache, the meter, the instructions, the loop they run in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stablellava.backends.batched_chat import BatchedChat
from stablellava.backends.batching import BatchingModel
from stablellava.backends.catalog import build_backend, list_backends
from stablellava.backends.protocols import ChatModel
from stablellava.backends.remembering import RememberingChat
from stablellava.backends.response_cache import CACHE_FILE, ResponseCache
from stablellava.capabilities import load_places
from stablellava.config.base import BackendSettings
from stablellava.config.tree import RunConfig
from stablellava.core.errors import ConfigError
from stablellava.store.assets import ASSETS, asset_path, cache_dir
from stablellava.synthesis.chat_drafting.drafter import ChatDrafter
from stablellava.synthesis.chat_drafting.spending import MeteredChat, SpendingMeter, look_up_prices
from stablellava.synthesis.chat_drafting.streaming import DraftStream

BATCH_OPTION = "batch_poll_seconds"
"""Among the writer's options: ask by the provider's batch files, and look so often whether one has ended."""
_OPEN_PER_WAITING = 4


@dataclass(frozen=True)
class DraftingRoom:
    """What drafts are made with."""

    drafter: ChatDrafter
    meter: SpendingMeter
    stream: DraftStream


def is_chat(writer: BackendSettings) -> bool:
    """Tell whether the name is that of a chat model; a writer of the same name goes first."""
    known = list_backends()
    return f"chat.{writer.backend}" in known and f"writer.{writer.backend}" not in known


def resolve_model(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat model's options: with the path of a model that is named like an asset, without how it is asked.

    Raises: BackendMissing when the asset was not pulled yet.
    """
    own = {name: value for name, value in options.items() if name != BATCH_OPTION}
    model = options.get("model")
    return {**own, "model": str(asset_path(model))} if model in ASSETS else own


def answers_path() -> Path:
    """Return where answers are kept: one file for all runs of a user, so that none is paid for twice."""
    return cache_dir() / CACHE_FILE


@contextmanager
def open_drafting(config: RunConfig) -> Iterator[DraftingRoom]:
    """Build the chat model that the writer's settings name, and let it draft while the block runs.

    Raises: ConfigError, BackendMissing, RecordError (the cache cannot be opened).
    """
    settings = config.synthesis
    meter = SpendingMeter(look_up_prices(settings.spending, str(settings.writer.options.get("model", ""))))
    chat: ChatModel = build_backend("chat", settings.writer.backend, resolve_model(settings.writer.options))
    cache = ResponseCache(answers_path())
    try:
        if BATCH_OPTION in settings.writer.options:
            chat = _batch(chat, cache, settings.writer.options[BATCH_OPTION])
        remembering = RememberingChat(MeteredChat(chat, meter), cache)
        drafter = ChatDrafter(remembering, settings.drafting, load_places(), settings.held_out_share, meter)
        # Some more than fit on the wire, so that it is full while answers are read and kept.
        num_open = chat.max_in_flight + chat.max_in_flight // _OPEN_PER_WAITING
        stream = DraftStream(drafter.draft_all, remembering.close, num_open, settings.drafting.drafts_per_call)
        with stream:
            yield DraftingRoom(drafter, meter, stream)
    finally:
        cache.close()


def _batch(chat: ChatModel, cache: ResponseCache, poll_seconds: object) -> BatchedChat:
    place = f"synthesis.writer.options.{BATCH_OPTION}"
    if not isinstance(chat, BatchingModel):
        raise ConfigError(f"{place}: chat model {chat.name!r} takes no batch files; leave it out, or use 'openai'")
    if isinstance(poll_seconds, bool) or not isinstance(poll_seconds, int | float) or poll_seconds <= 0:
        raise ConfigError(f"{place}={poll_seconds!r}: give seconds, as 60")
    return BatchedChat(chat, cache, poll_seconds)
