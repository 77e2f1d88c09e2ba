"""A trained checkpoint as an Answerer: greedy, batched, the same answer in any company."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError
from stablellava.core.ids import hash_id
from stablellava.core.score import Answer, EvalItem
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.generating import GreedyDecoder, Prompt
from stablellava.model.option_losses import option_losses
from stablellava.model.prompting import Checkpoint, PromptStyle, load_checkpoint
from stablellava.model.weight_files import hash_weights
from stablellava.store.images import resolve_inside

Progress = Callable[[int, int], None]
"""Called with answers given and answers wanted."""
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class VlmAnswerer:
    """Answers from a LLaVA in memory, with the weights that it has when it is asked."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        features: FeatureCache,
        max_new_tokens: int = 16,
        batch_size: int = 32,
        progress: Progress | None = None,
    ):
        """Raises: ConfigError for settings that cannot be."""
        for setting, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigError(f"{setting}={value}: at least 1 is needed")
        self.batch_size = batch_size
        self.progress = progress
        self._prompter = checkpoint.prompter
        self._features = features
        self._decoder = GreedyDecoder(checkpoint, features, max_new_tokens)

    @property
    def num_settled(self) -> int:
        """Tokens so far that were too close to call in a batch and were decided by the prompt alone."""
        return self._decoder.num_settled

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        """Return one answer per item, in their order, independent of the batch.

        Raises: RecordError for a picture that is missing, broken or outside the folder.
        """
        found = dict(self._answer_places(items, image_dir))
        return [found[place] for place in range(len(items))]

    def answer_each(self, items: Sequence[EvalItem], image_dir: str) -> Iterator[Answer]:
        """Yield the answers batch by batch, prompts that begin alike or are of like length together.

        Raises: RecordError for a picture that is missing, broken or outside the folder.
        """
        for _, answer in self._answer_places(items, image_dir):
            yield answer

    def option_losses(
        self, items: Sequence[EvalItem], options: Sequence[Sequence[str]], image_dir: str
    ) -> list[tuple[float, ...]]:
        """Return for each item the mean loss per token of each option's text as the answer to its question.

        Raises: RecordError for a picture that is missing or broken, or an option without words.
        """
        asked = [_as_turn(item, image_dir) for item in items]
        self._features.compute(path for _, images in asked for path in images)
        losses = []
        for (turn, images), texts in zip(asked, options, strict=True):
            completed = [self._prompter.complete([turn], text) for text in texts]
            losses.append(option_losses(self._decoder, self._prompt([turn], images), completed))
        return losses

    def reply(self, turns: Sequence[Turn], images: Sequence[Path]) -> str:
        """Return the answer to the last turn of a dialogue; turns point to the images by index."""
        shown = tuple(images[index] for turn in turns for index in turn.images)
        self._features.compute(shown)
        return self._decode(self._decoder.generate([self._prompt(turns, shown)])[0])

    def _answer_places(self, items: Sequence[EvalItem], image_dir: str) -> Iterator[tuple[int, Answer]]:
        asked = [_as_turn(item, image_dir) for item in items]
        prompts = [self._prompt([turn], images) for turn, images in asked]
        self._features.compute(path for _, images in asked for path in images)
        num_done = 0
        for places in self._decoder.batches(prompts, self.batch_size):
            generated = self._decoder.generate([prompts[place] for place in places])
            for place, token_ids in zip(places, generated, strict=True):
                text = self._prompter.prompt_text([asked[place][0]])
                yield (
                    place,
                    Answer(
                        item_id=items[place].item_id,
                        prompt=text,
                        text=self._decode(token_ids),
                        num_tokens=len(token_ids),
                    ),
                )
            num_done += len(places)
            if self.progress is not None:
                self.progress(num_done, len(items))

    def _prompt(self, turns: Sequence[Turn], images: Sequence[Path]) -> Prompt:
        return Prompt(tuple(self._prompter.prompt(turns)), tuple(images))

    def _decode(self, token_ids: list[int]) -> str:
        return str(self._prompter.tokenizer.decode(token_ids, skip_special_tokens=True)).strip()


class LocalAnswerer(VlmAnswerer):
    """Answers from a LLaVA on this machine: one trained here, or any other in the Hugging Face form."""

    def __init__(
        self,
        folder: Path,
        max_new_tokens: int = 16,
        batch_size: int = 32,
        feature_dir: Path | None = None,
        num_threads: int = 0,
        progress: Progress | None = None,
        *,
        prompt_style: PromptStyle = "own",
        device: str = "",
        dtype: str = "float32",
    ):
        """Load the checkpoint; ``feature_dir`` keeps the pictures' patches for the next run.

        ``device`` is torch's name for it, by default a GPU if there is one. ``dtype`` is the language model's; in
        half precision far more tokens are too close to call and are computed alone.

        Raises: RecordError if the folder holds no LLaVA, ConfigError for settings that cannot be.
        """
        if dtype not in _DTYPES:
            raise ConfigError(f"dtype={dtype!r} is none of {', '.join(_DTYPES)}")
        place = _find_device(device)
        if num_threads:
            torch.set_num_threads(num_threads)
        torch.set_flush_denormal(True)
        self.name = folder.resolve().name
        changed = (
            {"prompt_style": prompt_style, "dtype": dtype} if (prompt_style, dtype) != ("own", "float32") else None
        )
        options = [max_new_tokens] if changed is None else [max_new_tokens, changed]
        self.fingerprint = hash_id(hash_weights(folder), *options)
        checkpoint = load_checkpoint(folder, prompt_style, place, _DTYPES[dtype])
        features = FeatureCache(feature_dir, checkpoint.model, checkpoint.image_processor)
        super().__init__(checkpoint, features, max_new_tokens, batch_size, progress)


def _find_device(device: str) -> torch.device:
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as exc:
        raise ConfigError(f"device={device!r} cannot be used: {str(exc).splitlines()[0]}; cpu always can") from exc
    return place


def _as_turn(item: EvalItem, image_dir: str) -> tuple[Turn, tuple[Path, ...]]:
    images = tuple(resolve_inside(Path(image_dir), name, f"item {item.item_id}") for name in item.images)
    return Turn(speaker="user", text=item.question, images=tuple(range(len(images)))), images
