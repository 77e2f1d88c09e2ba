"""A chat endpoint as an Answerer. Limits, retries and the cache are the chat model's."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from stablellava.backends.calling import ChatCalls
from stablellava.backends.protocols import ChatModel
from stablellava.core.chat import ChatFailure, ChatMessage, ChatRequest
from stablellava.core.errors import BackendFailed, ConfigError
from stablellava.core.ids import hash_id, seed_from
from stablellava.core.score import Answer, EvalItem, Unanswered
from stablellava.store.images import read_picture, resolve_inside

IMAGE_TAG = "<image>"
_REFUSED = ("content_filter",)
"""Reasons to finish after which there is no answer to score."""


class ChatAnswerer:
    """Asks a chat model; what it answered once is not asked again as long as this lives."""

    def __init__(
        self,
        chat: ChatModel,
        *,
        name: str = "",
        max_tokens: int = 512,
        temperature: float = 0.0,
        system: str = "",
    ) -> None:
        """Take a chat model; ``name`` is what reports call it, by default the backend's name.

        Greedy by default, as LLaVA-1.5 is evaluated. ``close`` when done.

        Raises: ConfigError for numbers that cannot be.
        """
        if max_tokens < 1 or temperature < 0:
            raise ConfigError(f"max_tokens={max_tokens}, temperature={temperature}: at least 1 and 0 are needed")
        self.name = name or chat.name
        self.fingerprint = hash_id("chat", chat.name, chat.revision, max_tokens, temperature, system)
        self._chat = chat
        self._calls: ChatCalls[Answer | Unanswered] = ChatCalls(chat)
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._system = system
        self._answered: dict[str, Answer] = {}

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        """Return one answer per item, in their order; those there are stay known when one is missing.

        Raises: BackendFailed if an item has no answer, RecordError for a picture that is missing or broken.
        """
        found = {outcome.item_id: outcome for outcome in self.answer_each(items, image_dir)}
        answers = []
        for item in items:
            outcome = found[item.item_id]
            if isinstance(outcome, Unanswered):
                raise BackendFailed(f"{self.name} did not answer item {item.item_id}: {outcome.why}")
            answers.append(outcome)
        return answers

    def answer_each(self, items: Sequence[EvalItem], image_dir: str) -> Iterator[Answer | Unanswered]:
        """Yield an answer, or why there is none, for each item as it comes.

        Raises: BackendFailed when nothing can be answered, RecordError for a picture that is missing or broken.
        """
        keys = [_item_key(item, image_dir) for item in items]
        open_places = [place for place, key in enumerate(keys) if key not in self._answered]
        yield from (self._answered[key] for key in keys if key in self._answered)
        jobs = [partial(self._ask, items[place], Path(image_dir)) for place in open_places]
        for place, outcome in self._calls.stream(jobs):
            if isinstance(outcome, Answer):
                self._answered[keys[open_places[place]]] = outcome
            yield outcome

    def close(self) -> None:
        """Let go of connections."""
        self._calls.close()

    async def _ask(self, item: EvalItem, image_dir: Path) -> Answer | Unanswered:
        text = _number_images(item)
        images = tuple(_read_image(image_dir, name, item.item_id) for name in item.images)
        system = (ChatMessage(role="system", text=self._system),) if self._system else ()
        reply = await self._chat.ask(
            ChatRequest(
                request_id=item.item_id,
                messages=(*system, ChatMessage(role="user", text=text, images=images)),
                temperature=self._temperature,
                max_tokens=self._max_tokens,
                # Where it samples, it samples the same for the same question.
                seed=seed_from("answer", item.item_id) % (1 << 31) if self._temperature else None,
            )
        )
        if isinstance(reply, ChatFailure):
            return Unanswered(
                item_id=item.item_id, why=f"{reply.reason}: {reply.detail}" if reply.detail else reply.reason
            )
        if reply.finish_reason in _REFUSED:
            return Unanswered(item_id=item.item_id, why=reply.finish_reason)
        num_tokens = reply.stamp.tokens_out or 0
        return Answer(item_id=item.item_id, prompt=text, text=reply.text.strip(), num_tokens=num_tokens)


def _item_key(item: EvalItem, image_dir: str) -> str:
    return hash_id(item.item_id, item.question, item.images, item.images_sha256, image_dir)


def _number_images(item: EvalItem) -> str:
    """Return the question as it is sent: where it has a tag for each image, the image's number stands there."""
    text = item.question
    if text.count(IMAGE_TAG) != len(item.images) or not item.images:
        return text
    for number in range(1, len(item.images) + 1):
        # A single image needs no number, and LLaVA writes its tag on a line of its own.
        text = text.replace(IMAGE_TAG, f"[image {number}]" if len(item.images) > 1 else "", 1)
    return text.strip()


def _read_image(image_dir: Path, name: str, item_id: str) -> bytes:
    where = f"item {item_id}"
    return read_picture(resolve_inside(image_dir, name, where), where)[0]
