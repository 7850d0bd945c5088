"""Tunes that a model being tuned writes, and how probable a model finds them.

Rollouts are drawn at temperature 1 from the whole distribution, without grammar mask and without
filter: what the model would really write, the faulty included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import AbcError, parse_tune, passes_gate
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import encode_prompt, encode_tune
from musicgen.train import pad_batch


@dataclass(frozen=True)
class Rollouts:
    """Tunes as one model wrote them; all lists have the same length."""

    tunes: tuple[str, ...]
    finished: tuple[bool, ...]  # the model wrote its end mark
    sound: tuple[bool, ...]  # the tune passes the gate

    def __len__(self) -> int:
        return len(self.tunes)

    def rows(self) -> Iterator[tuple[str, bool, bool]]:
        """One (tune, finished, sound) each."""
        return iter(zip(self.tunes, self.finished, self.sound, strict=True))

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[Any]]) -> Rollouts:
        """From what `rows` gave."""
        found = list(rows)
        return cls(
            tuple(str(row[0]) for row in found),
            tuple(bool(row[1]) for row in found),
            tuple(bool(row[2]) for row in found),
        )

    @property
    def sound_tunes(self) -> list[str]:
        return [abc for abc, sound in zip(self.tunes, self.sound, strict=True) if sound]


def roll_out(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    n: int,
    seed: int,
    *,
    batch: int = 64,
    first_row: int = 0,
) -> Rollouts:
    """`n` tunes from the model's own distribution, headers too; the same seed, the same tunes.

    `first_row` is the place of the first of them in the sequence that the seed stands for.
    """
    sampler = TuneSampler(model, tokenizer)
    # no plan lines: they are taken out of the text, which then would not be what was drawn
    options = SampleOptions.own(seed=seed, draw_plan=False)
    drawn = list(sampler.samples(TuneRequest(), options, n, batch=batch, first_row=first_row))
    return Rollouts(
        tuple(sample.abc for sample in drawn),
        tuple(sample.finished for sample in drawn),
        tuple(bool(passes_gate(sample.abc, sample.finished)) for sample in drawn),
    )


def kind_of_tune(abc: str) -> str:
    """Rhythm and meter: tunes are compared with their own kind, so that no kind is favoured."""
    try:
        tune = parse_tune(abc)
    except AbcError:
        return "unreadable"
    return f"{tune.rhythm} {tune.meter.text}"


def log_probabilities(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    tunes: Sequence[str],
    finished: Sequence[bool],
    *,
    batch_tokens: int = 8_192,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Log-probability in nats, and number of tokens, of each tune, (N,) and (N,).

    An end mark counts where the tune is finished; padding never does.
    """
    context = model.config.n_positions
    rows = [
        (encode_tune if end else encode_prompt)(tokenizer, abc)[: context + 1]
        for abc, end in zip(tunes, finished, strict=True)
    ]
    sums = np.zeros(len(rows))
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for chosen in _by_length(rows, batch_tokens):
            inputs, targets = pad_batch([rows[i] for i in chosen], tokenizer.pad_token_id)
            real = (inputs != tokenizer.pad_token_id).long().to(model.device)
            out = model(inputs.to(model.device), attention_mask=real, use_cache=False)
            logits = out.logits.float()
            targets = targets.to(model.device)
            known = targets.clamp(min=0).unsqueeze(-1)
            picked = torch.log_softmax(logits, -1).gather(-1, known).squeeze(-1)
            sums[chosen] = (picked * (targets >= 0)).sum(1).double().cpu().numpy()
    model.train(was_training)
    return sums, np.array([len(row) - 1 for row in rows], dtype=np.int64)


def _by_length(rows: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    group: list[int] = []
    for index in sorted(range(len(rows)), key=lambda index: len(rows[index])):
        if group and len(rows[index]) * (len(group) + 1) > batch_tokens:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
