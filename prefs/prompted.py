"""Rollouts from prompts: each prompt goes on several times, so that its tunes can be compared.

A prompt is a header and up to some bars, cut from a tune that the base model wrote by itself, in
that tune's own tokens. A whole tune made from it is therefore still one of the base model's own,
as long as the base model goes on with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import passes_gate
from musicgen.sample import Sample, SampleOptions, TuneSampler
from musicgen.tokenizer import decode_tune, encode_prompt
from musicgen.train import pad_batch
from prefs import distributed
from prefs.guards import Health, health_of
from prefs.rollout import Rollouts

Prompt = tuple[int, ...]  # token ids, the begin mark included

_NOTE = re.compile(r" ?[_^=]{0,2}[A-Ga-gzx]")
_HEADER = re.compile(r"[A-Za-z]:.*\n")


@dataclass(frozen=True)
class PromptedRollouts(Rollouts):
    """Rollouts with the tokens that were drawn; the tunes of a prompt stand next to each other.

    A tune whose text is made of other tokens than those drawn is not sound: it would be scored as
    something that the model did not write.
    """

    ids: tuple[Prompt, ...] = ()  # prompt, drawn tokens, end mark if there is one
    prompt_tokens: tuple[int, ...] = ()
    logprobs: tuple[tuple[float, ...], ...] = ()  # the sampler's own, of the drawn tokens
    respelled: tuple[bool, ...] = ()  # its text is made of other tokens

    @classmethod
    def of_samples(
        cls, samples: Sequence[Sample], tokenizer: PreTrainedTokenizerFast
    ) -> PromptedRollouts:
        respelled = []
        for sample in samples:
            drawn = list(sample.ids[:-1] if sample.finished else sample.ids)
            respelled.append(encode_prompt(tokenizer, sample.abc) != drawn)
        return cls(
            tunes=tuple(sample.abc for sample in samples),
            finished=tuple(sample.finished for sample in samples),
            sound=tuple(
                not other and bool(passes_gate(sample.abc, sample.finished))
                for sample, other in zip(samples, respelled, strict=True)
            ),
            ids=tuple(sample.ids for sample in samples),
            prompt_tokens=tuple(len(sample.ids) - sample.tokens for sample in samples),
            logprobs=tuple(sample.logprobs for sample in samples),
            respelled=tuple(respelled),
        )

    def take(self, chosen: Sequence[int]) -> PromptedRollouts:
        """Some of them, in this order."""
        columns: dict[str, Any] = {
            one.name: tuple(getattr(self, one.name)[i] for i in chosen) for one in fields(self)
        }
        return PromptedRollouts(**columns)


def cut_prompts(
    tokenizer: PreTrainedTokenizerFast,
    tunes: Sequence[str],
    count: int,
    bars: int,
    rng: np.random.Generator,
) -> list[Prompt]:
    """`count` prompts with 0 to `bars` bars each, from different tunes while there are enough."""
    order = np.concatenate(
        [rng.permutation(len(tunes)) for _ in range(math.ceil(count / len(tunes)))]
    )
    lengths = rng.integers(0, bars + 1, count)
    return [
        cut_prompt(tokenizer, tunes[index], int(length))
        for index, length in zip(order[:count], lengths, strict=True)
    ]


def cut_prompt(tokenizer: PreTrainedTokenizerFast, abc: str, bars: int) -> Prompt:
    """The header of a tune and its first `bars` bars, each with the bar line that ends it.

    Of a tune with fewer bars the header alone, so that a prompt never is a whole tune.
    """
    ids = encode_prompt(tokenizer, abc)
    words = [decode_tune(tokenizer, [index]) for index in ids]
    header = 1
    while header < len(words) and _HEADER.fullmatch(words[header]):
        header += 1
    end, found, music = header, 0, False
    for place in range(header, len(words)):
        if found == bars:
            break
        word = words[place]
        if music and ("|" in word or word == "::"):
            found, music, end = found + 1, False, place + 1
        music = music or _NOTE.match(word) is not None
    return tuple(ids[: end if found == bars else header])


def roll_out_prompts(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Prompt],
    copies: int,
    seed: int,
    *,
    first_row: int = 0,
    batch: int = 64,
) -> PromptedRollouts:
    """`copies` tunes from each prompt, at temperature 1 from the model's whole distribution."""
    options = SampleOptions.own(seed=seed)
    rows = [prompt for prompt in prompts for _ in range(copies)]
    mine = distributed.share_of_range(len(rows))
    sampler = TuneSampler(model, tokenizer)
    samples = sampler.continuations(
        rows[mine.start : mine.stop], options, first_row=first_row + mine.start, batch=batch
    )
    return PromptedRollouts.of_samples(distributed.joined(list(samples)), tokenizer)


@dataclass(frozen=True)
class TokenTable:
    """Rollouts as tensors: one row a tune, W wide, right-padded."""

    inputs: torch.Tensor  # (B, W) token ids that are read
    targets: torch.Tensor  # (B, W) token ids that follow; 0 where nothing counts
    mask: torch.Tensor  # (B, W) 1 where the target was drawn by the policy, its end mark included

    @classmethod
    def of(cls, rollouts: PromptedRollouts, pad: int, device: torch.device) -> TokenTable:
        inputs, targets = pad_batch(rollouts.ids, pad)
        places = torch.arange(inputs.shape[1]).unsqueeze(0)
        prompts = torch.tensor(rollouts.prompt_tokens).unsqueeze(1)
        mask = ((targets >= 0) & (places >= prompts - 1)).float()
        return cls(inputs.to(device), targets.clamp(min=0).to(device), mask.to(device))

    def sampler_logprobs(self, rollouts: PromptedRollouts) -> torch.Tensor:
        """The sampler's own log-probabilities at their places, (B, W)."""
        result = torch.zeros_like(self.mask)
        for row, (start, values) in enumerate(
            zip(rollouts.prompt_tokens, rollouts.logprobs, strict=True)
        ):
            result[row, start - 1 : start - 1 + len(values)] = torch.tensor(values)
        return result

    def pieces(self, batch_tokens: int) -> Iterator[tuple[torch.Tensor, int]]:
        """Rows of like length together, and the width that holds them: (B',) indices, W'."""
        places = torch.arange(1, self.mask.shape[1] + 1).to(self.mask)
        widths = (self.mask * places).amax(1).long().tolist()
        group: list[int] = []
        for index in sorted(range(len(widths)), key=lambda row: widths[row]):
            if group and widths[index] * (len(group) + 1) > batch_tokens:
                yield torch.tensor(group), widths[group[-1]]
                group = []
            group.append(index)
        if group:
            yield torch.tensor(group), widths[group[-1]]

    def logprobs(self, model: GPT2LMHeadModel, rows: torch.Tensor, width: int) -> torch.Tensor:
        """Log-probabilities of the targets of some rows under a model's forward pass, (B', W')."""
        logits = model(self.inputs[rows, :width], use_cache=False).logits.float()
        known = self.targets[rows, :width].unsqueeze(-1)
        return torch.log_softmax(logits, -1).gather(-1, known).squeeze(-1)

    @torch.no_grad()
    def all_logprobs(self, model: GPT2LMHeadModel, batch_tokens: int) -> torch.Tensor:
        """The same of all rows, in float32, 0 where nothing counts, (B, W)."""
        result = torch.zeros_like(self.mask)
        for rows, width in distributed.share(self.pieces(batch_tokens)):
            result[rows, :width] = self.logprobs(model, rows, width)
        return distributed.total(result) * self.mask


def table_health(
    tokenizer: PreTrainedTokenizerFast,
    rollouts: PromptedRollouts,
    table: TokenTable,
    own: torch.Tensor,
    theirs: torch.Tensor,
) -> Health:
    """Health from the log-probabilities (B, W) that a model and its base give the tokens drawn."""
    sums = [(x * table.mask).sum(1).double().cpu().numpy() for x in (own, theirs, table.mask)]
    return health_of(rollouts, tokenizer, *sums)
