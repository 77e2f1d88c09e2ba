"""A trained checkpoint as an Answerer: greedy, batched, the same answer in any company.

Shape legend: B batch, L prompt length, T tokens so far (prompt and answer), E width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import DynamicCache

from stablellava.core.draft import Turn
from stablellava.core.errors import ConfigError
from stablellava.core.ids import hash_id
from stablellava.core.score import Answer, EvalItem
from stablellava.model.assembling import hash_weights, load_vlm
from stablellava.model.feature_cache import FeatureCache
from stablellava.model.vlm import embed
from stablellava.store.images import resolve_inside

Progress = Callable[[int, int], None]
"""Called with answers given and answers wanted."""


@dataclass(frozen=True)
class _Prompt:
    token_ids: list[int]
    images: tuple[Path, ...]


class LocalAnswerer:
    """Answers from a saved LLaVA on this machine."""

    def __init__(
        self,
        folder: Path,
        max_new_tokens: int = 16,
        batch_size: int = 32,
        feature_dir: Path | None = None,
        num_threads: int = 0,
        progress: Progress | None = None,
    ):
        """Load the checkpoint; ``feature_dir`` keeps the pictures' patches for the next run.

        Raises: RecordError if the folder holds no LLaVA, ConfigError for numbers that cannot be.
        """
        for setting, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigError(f"{setting}={value}: at least 1 is needed")
        if num_threads:
            torch.set_num_threads(num_threads)
        torch.set_flush_denormal(True)
        self.name = folder.resolve().name
        self.fingerprint = hash_id(hash_weights(folder), max_new_tokens)
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.progress = progress
        self._vlm = load_vlm(folder)
        self._cache = FeatureCache(feature_dir, self._vlm.model, self._vlm.processor.image_processor)

    def answer(self, items: Sequence[EvalItem], image_dir: str) -> list[Answer]:
        """Return one answer per item, in their order, independent of the batch.

        Raises: RecordError for a picture that is missing, broken or outside the folder.
        """
        prompts, texts = [], []
        for item in items:
            images = tuple(resolve_inside(Path(image_dir), name, f"item {item.item_id}") for name in item.images)
            turn = Turn(speaker="user", text=item.question, images=tuple(range(len(images))))
            prompts.append(_Prompt(self._vlm.chat.prompt([turn]), images))
            texts.append(self._vlm.chat.prompt_text([turn]))
        answered = self._answer_all(prompts)
        return [
            Answer(item_id=item.item_id, prompt=text, text=self._decode(token_ids), num_tokens=len(token_ids))
            for item, text, token_ids in zip(items, texts, answered, strict=True)
        ]

    def reply(self, turns: Sequence[Turn], images: Sequence[Path]) -> str:
        """Return the answer to the last turn of a dialogue; turns point to the images by index."""
        shown = tuple(images[index] for turn in turns for index in turn.images)
        return self._decode(self._answer_all([_Prompt(self._vlm.chat.prompt(turns), shown)])[0])

    def _answer_all(self, prompts: Sequence[_Prompt]) -> list[list[int]]:
        self._cache.compute(path for prompt in prompts for path in prompt.images)
        answers: list[list[int]] = [[] for _ in prompts]
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index].token_ids))
        for start in range(0, len(by_length), self.batch_size):
            chosen = by_length[start : start + self.batch_size]
            generated = self._generate([prompts[index] for index in chosen])
            for index, token_ids in zip(chosen, generated, strict=True):
                answers[index] = token_ids
            if self.progress is not None:
                self.progress(start + len(chosen), len(prompts))
        return answers

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[_Prompt]) -> list[list[int]]:
        """Return the most likely tokens after each prompt, up to the one that closes an answer."""
        model, stop_token_id = self._vlm.model, self._vlm.chat.stop_token_id
        token_ids_BL, mask_BT = _pad_left([prompt.token_ids for prompt in prompts], stop_token_id)
        patches_NPD = self._cache.gather([path for prompt in prompts for path in prompt.images])
        inputs_BLE = embed(model, token_ids_BL, patches_NPD)
        # A row's positions count from its own first token, so padding moves nothing.
        positions_BL = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        cache = DynamicCache(config=model.model.language_model.config)
        answers: list[list[int]] = [[] for _ in prompts]
        open_rows = list(range(len(prompts)))
        for step in range(self.max_new_tokens):
            hidden_BLE = model.model.language_model(
                inputs_embeds=inputs_BLE,
                attention_mask=mask_BT,
                position_ids=positions_BL,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            next_B = model.lm_head(hidden_BLE[:, -1]).argmax(dim=-1)
            going_on = [place for place, token in enumerate(next_B.tolist()) if token != stop_token_id]
            if not going_on or step == self.max_new_tokens - 1:
                for place in going_on:
                    answers[open_rows[place]].append(int(next_B[place]))
                break
            if len(going_on) < len(open_rows):
                keep = torch.tensor(going_on)
                cache.batch_select_indices(keep)
                next_B, mask_BT, positions_BL = next_B[keep], mask_BT[keep], positions_BL[keep]
                open_rows = [open_rows[place] for place in going_on]
            for row, token in zip(open_rows, next_B.tolist(), strict=True):
                answers[row].append(token)
            inputs_BLE = model.get_input_embeddings()(next_B[:, None])
            mask_BT = torch.cat((mask_BT, mask_BT.new_ones(len(open_rows), 1)), dim=1)
            positions_BL = positions_BL[:, -1:] + 1
        return answers

    def _decode(self, token_ids: list[int]) -> str:
        return str(self._vlm.chat.tokenizer.decode(token_ids, skip_special_tokens=True)).strip()


def _pad_left(rows: Sequence[list[int]], pad_token_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and the mask of real tokens, both [B, L], real tokens on the right."""
    longest = max(len(row) for row in rows)
    token_ids_BL = torch.full((len(rows), longest), pad_token_id, dtype=torch.long)
    mask_BL = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        token_ids_BL[index, longest - len(row) :] = torch.tensor(row)
        mask_BL[index, longest - len(row) :] = 1
    return token_ids_BL, mask_BL
