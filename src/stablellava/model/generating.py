"""The most likely answer, batched, whatever the company a prompt is in.

Kernels differ in the last bits with the shape of a batch, so two tokens that are as good as equally likely may change
places. Where the best two lie closer than such rounding can move them, the prompt is computed once more, alone,
without cache and padding, and that decides: every answer is the one that the prompt has by itself.

Shape legend: B batch, L new tokens, T tokens so far, N images, E width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import DynamicCache

from stablellava.model.feature_cache import FeatureCache
from stablellava.model.prompting import Checkpoint
from stablellava.model.vlm import embed

_ROUNDING_STEPS = {torch.float32: 256, torch.float16: 16, torch.bfloat16: 4}
"""How many units in the last place of the largest logit count as rounding; measured: 15 in float32."""


@dataclass(frozen=True)
class Prompt:
    """Token ids with a placeholder for each token of an image, and the images."""

    token_ids: tuple[int, ...]
    images: tuple[Path, ...] = ()


@dataclass
class Rows:
    """Rows of a batch after a pass through the language model."""

    cache: DynamicCache
    mask: torch.Tensor
    """Real tokens so far, [B, T]."""
    hidden: torch.Tensor
    """Of the tokens of the last pass, [B, L, E]."""

    def select(self, places: Sequence[int]) -> None:
        """Keep the rows at these places, which may repeat."""
        index = torch.tensor(places, device=self.mask.device)
        self.cache.batch_select_indices(index)
        self.mask = self.mask[index]
        self.hidden = self.hidden[index]


class GreedyDecoder:
    """Generates answers with one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, features: FeatureCache, max_new_tokens: int):
        self._model = checkpoint.model
        self._stops = checkpoint.stop_token_ids
        self._image_token_id = int(checkpoint.model.config.image_token_id)
        self._pad_token_id = min(checkpoint.stop_token_ids)
        self._features = features
        self._max_new_tokens = max_new_tokens
        self.num_settled = 0
        """Tokens that were too close to call and decided alone."""

    def batches(self, prompts: Sequence[Prompt], batch_size: int) -> Iterator[list[int]]:
        """Yield places of prompts to be answered together: those that begin alike, then those of like length."""
        groups: dict[object, list[int]] = {}
        for place, prompt in enumerate(prompts):
            groups.setdefault(self._head(prompt), []).append(place)
        lengths = [len(prompt.token_ids) for prompt in prompts]
        for members in groups.values():
            members.sort(key=lambda place: lengths[place])
        ordered = [
            place
            for members in sorted(groups.values(), key=lambda group: (lengths[group[-1]], group[0]))
            for place in members
        ]
        for start in range(0, len(ordered), batch_size):
            yield ordered[start : start + batch_size]

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the tokens after each prompt, up to the one that closes an answer, which is left out."""
        rows = self.read(prompts)
        answers: list[list[int]] = [[] for _ in prompts]
        still_open = list(range(len(prompts)))
        while True:
            chosen = self._choose(rows.hidden[:, -1], [(prompts[row], answers[row]) for row in still_open])
            going_on = [place for place, token in enumerate(chosen) if token not in self._stops]
            for place in going_on:
                answers[still_open[place]].append(chosen[place])
            going_on = [place for place in going_on if len(answers[still_open[place]]) < self._max_new_tokens]
            if not going_on:
                return answers
            if len(going_on) < len(still_open):
                rows.select(going_on)
                still_open = [still_open[place] for place in going_on]
            rows = self.extend(rows, [answers[row][-1:] for row in still_open])

    def read(self, prompts: Sequence[Prompt]) -> Rows:
        """Return the rows of a batch of prompts; beginnings with the same images are computed once."""
        heads = [self._head(prompt) for prompt in prompts]
        distinct = list(dict.fromkeys(heads))
        if len(distinct) == len(prompts):
            return self.start(prompts)
        rows = self.start(distinct)
        rows.select([distinct.index(head) for head in heads])
        tails = [prompt.token_ids[len(head.token_ids) :] for prompt, head in zip(prompts, heads, strict=True)]
        return self.extend(rows, tails)

    def start(self, prompts: Sequence[Prompt]) -> Rows:
        """Return the rows of a batch of prompts, each computed by itself."""
        cache = DynamicCache(config=self._model.model.language_model.config)
        nothing_B0 = torch.zeros((len(prompts), 0), dtype=torch.long, device=self._model.device)
        images = [path for prompt in prompts for path in prompt.images]
        return self._run(cache, nothing_B0, [prompt.token_ids for prompt in prompts], images)

    def extend(self, rows: Rows, token_ids: Sequence[Sequence[int]]) -> Rows:
        """Return the rows after more tokens each; the cache goes over to them."""
        return self._run(rows.cache, rows.mask, token_ids, [])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return [..., V] in float32."""
        logits: torch.Tensor = self._model.lm_head(hidden)
        return logits.float()

    def _head(self, prompt: Prompt) -> Prompt:
        """Return what prompts about the same images share: all up to the last image; without one, up to the end."""
        ids = prompt.token_ids
        shared = len(ids) - ids[::-1].index(self._image_token_id) if self._image_token_id in ids else len(ids) - 1
        return Prompt(ids[:shared], prompt.images)

    def _choose(self, hidden_BE: torch.Tensor, so_far: Sequence[tuple[Prompt, Sequence[int]]]) -> list[int]:
        """Return each row's most likely token."""
        logits_BV = self.logits(hidden_BE)
        best_B2, tokens_B2 = logits_BV.topk(2, dim=-1)
        chosen = tokens_B2[:, 0].tolist()
        too_close_B = best_B2[:, 0] - best_B2[:, 1] <= self._rounding(logits_BV)
        for place in torch.nonzero(too_close_B).flatten().tolist():
            chosen[place] = self._choose_alone(*so_far[place])
        return [int(token) for token in chosen]

    def _rounding(self, logits_BV: torch.Tensor) -> torch.Tensor:
        dtype = self._model.lm_head.weight.dtype
        largest_B: torch.Tensor = logits_BV.abs().amax(dim=-1)
        return largest_B * torch.finfo(dtype).eps * _ROUNDING_STEPS[dtype]

    def _choose_alone(self, prompt: Prompt, answer: Sequence[int]) -> int:
        self.num_settled += 1
        prompt_1L = torch.tensor([prompt.token_ids], device=self._model.device)
        answer_1L = torch.tensor([answer], dtype=torch.long, device=self._model.device)
        # An answer may say the image token; it is a word then, without an image.
        said_1LE = self._model.get_input_embeddings()(answer_1L)
        embeddings_1LE = torch.cat((embed(self._model, prompt_1L, self._gather(prompt.images)), said_1LE), dim=1)
        hidden_1LE = self._model.model.language_model(inputs_embeds=embeddings_1LE, use_cache=False).last_hidden_state
        logits_V = self.logits(hidden_1LE[0, -1])
        # Of tokens that are exactly equal, the first.
        return int(torch.nonzero(logits_V == logits_V.max())[0])

    def _run(
        self, cache: DynamicCache, mask_BT: torch.Tensor, rows: Sequence[Sequence[int]], images: Sequence[Path]
    ) -> Rows:
        token_ids_BL, real_BL = pad_left(rows, self._pad_token_id)
        token_ids_BL, real_BL = token_ids_BL.to(mask_BT.device), real_BL.to(mask_BT.device)
        mask_BT = torch.cat((mask_BT, real_BL), dim=1)
        # A row's positions count its own tokens, so padding moves nothing.
        positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        hidden_BLE = self._model.model.language_model(
            inputs_embeds=embed(self._model, token_ids_BL, self._gather(images)),
            attention_mask=mask_BT,
            position_ids=positions_BT[:, -token_ids_BL.shape[1] :],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return Rows(cache, mask_BT, hidden_BLE)

    def _gather(self, images: Sequence[Path]) -> torch.Tensor:
        return self._features.gather(images).to(self._model.device)


def pad_left(rows: Sequence[Sequence[int]], pad_token_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and the mask of real tokens, both [B, L], real tokens on the right."""
    longest = max(len(row) for row in rows)
    token_ids_BL = torch.full((len(rows), longest), pad_token_id, dtype=torch.long)
    mask_BL = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        token_ids_BL[index, longest - len(row) :] = torch.tensor(row)
        mask_BL[index, longest - len(row) :] = 1
    return token_ids_BL, mask_BL
