"""Teach a model what its grammar mask forbids, so that it writes sound tunes without the mask.

    musicgen distil --model runs/base --corpus data/corpus --out runs/sound

The model draws tunes of its own under the mask, at temperature 1. At each token of them the mask
left a share of the model's probability; the loss is minus the log of that share, summed over a
tune: the mask's cost in nats, e to the minus that being the chance that the free model writes no
fault there.
("Semantic loss", Xu et al. 2018, on the model's own states as in on-policy distillation, Agarwal
et al. 2024.) Only probability on forbidden tokens is moved. Real tunes are read beside it, with the
usual loss, so that everything else stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.bar_state import mask_costs
from musicgen.checkpoint import find_model, load_checkpoint, save_checkpoint
from musicgen.corpus import read_corpus
from musicgen.grammar_mask import GrammarMask
from musicgen.model_card import add_to_card, command_line
from musicgen.precision import fast_autocast
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import encode_tune
from musicgen.train import batches, bits_per_character, pad_batch, pad_targets, token_loss
from musicgen.training_rows import RowOptions, TrainingRows, training_tunes
from musicgen.tune_grammar import NEVER, TuneState

# Once the mask has taken so many nats, a tune is where the free model never comes: what the model
# would write there does not matter, and it costs hundreds of nats in a tune that went astray.
LOST = 3.0


@dataclass(frozen=True)
class DistilConfig:
    """What a distillation of the mask is; every field is a flag of `musicgen distil`."""

    model: Path  # folder of the model to start from, or of its run
    corpus: Path  # the corpus that it was trained on
    out: Path  # folder of the new model
    rounds: int = 2  # each draws tunes anew
    tunes: int = 1_024  # drawn a round
    passes: int = 2  # over them
    weight: float = 0.5  # of the mask's cost, in nats a tune, beside the loss in nats a token
    lr: float = 2e-4  # peak of AdamW, linear to 0 over the whole run
    batch_tokens: int = 4_096
    seed: int = 0


@dataclass(frozen=True)
class DistilStep:
    """One optimiser step."""

    step: int
    steps: int  # of this round
    round: int
    loss: float  # nats a token on real tunes
    mask_cost: float  # nats a tune that the mask takes from the model's own tunes
    bits_per_character: float | None = None  # on the validation tunes, at the start and at the end

    def line(self) -> str:
        """The progress line of this step."""
        text = (
            f"round {self.round} step {self.step}/{self.steps} - loss {self.loss:.3f} - "
            f"mask {self.mask_cost:.3f} nats a tune ({math.exp(-self.mask_cost):.0%} sound)"
        )
        if self.bits_per_character is not None:
            text += f" - validation {self.bits_per_character:.4f} bits a character"
        return text


class MaskTargets:
    """What the grammar mask allows before each token of a tune, as rows of one table."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._mask = GrammarMask(tokenizer)
        self._index: dict[TuneState, int] = {}
        self._rows = [np.ones(len(tokenizer), dtype=np.bool_)]  # row 0 allows all

    def indices(self, ids: Sequence[int]) -> list[int]:
        """For each token but the last, the row that the next falls under.

        0 in the header, and where the mask was not obeyed.
        """
        state = self._mask.begin(ids[:1])
        found = []
        for token in ids[1:]:
            index = 0
            if state.body:
                if state not in self._index:
                    self._index[state] = len(self._rows)
                    self._rows.append(self._mask.allowed(state, NEVER))
                index = self._index[state]
            found.append(index if self._rows[index][token] else 0)
            state = self._mask.read(state, token)
        return found

    def table(self) -> torch.Tensor:
        """(rows, V) booleans."""
        return torch.from_numpy(np.stack(self._rows))


def distil(config: DistilConfig) -> Iterator[DistilStep]:
    """Train a copy of `config.model`, a record a step; it is saved in `config.out` at the end."""
    start = load_checkpoint(find_model(str(config.model)))
    model, tokenizer = start.model, start.tokenizer
    corpus = read_corpus(config.corpus)
    validation = [tune.abc for tune in corpus.tunes("validation") if tune.gate]
    context = model.config.n_positions
    real = TrainingRows(
        training_tunes(corpus),
        tokenizer,
        RowOptions(header_dropout=0.1, plan=0.5, titles=0.3),
        context,
    )
    bits = bits_per_character(model, tokenizer, validation)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    targets = MaskTargets(tokenizer)
    for number in range(1, config.rounds + 1):
        rng = np.random.default_rng([config.seed, number])
        own = _own_tunes(model, tokenizer, config, number, context)
        plan = [b for _ in range(config.passes) for b in batches(own, config.batch_tokens, rng)]
        beside = _endless(real, config.batch_tokens, rng)
        model.train()
        for step, batch in enumerate(plan, start=1):
            done = (number - 1 + (step - 1) / len(plan)) / config.rounds
            for group in optimiser.param_groups:
                group["lr"] = config.lr * min(1.0, step / 10 if number == 1 else 1.0) * (1 - done)
            loss = _real_loss(model, tokenizer, next(beside))
            cost = _own_cost(model, tokenizer, batch, targets)
            (loss + config.weight * cost).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            last = number == config.rounds and step == len(plan)
            measured = bits if number == step == 1 else None
            if last:
                measured = bits_per_character(model, tokenizer, validation)
            yield DistilStep(step, len(plan), number, loss.item(), cost.item(), measured)
    model.eval()
    card = add_to_card(start.folder, _card_section(config))
    save_checkpoint(config.out, model, tokenizer, card=card)


def _own_tunes(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    config: DistilConfig,
    number: int,
    context: int,
) -> list[list[int]]:
    """Tunes of the model at temperature 1 under the mask, as token ids."""
    model.eval()
    options = SampleOptions(
        temperature=1.0, top_p=1.0, seed=config.seed * 1_000 + number, constrained=True
    )
    drawn = TuneSampler(model, tokenizer).samples(TuneRequest(), options, config.tunes, batch=64)
    rows = [encode_tune(tokenizer, sample.abc) for sample in drawn if sample.finished]
    return [ids for ids in rows if len(ids) <= context + 1]


def _endless(
    rows: TrainingRows, batch_tokens: int, rng: np.random.Generator
) -> Iterator[list[Sequence[int]]]:
    while True:
        yield from batches(rows.draw(rng), batch_tokens, rng)


def _real_loss(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, batch: Sequence[Sequence[int]]
) -> torch.Tensor:
    inputs, targets = pad_batch(batch, tokenizer.pad_token_id)
    with fast_autocast(model.device):
        logits = model(inputs.to(model.device), use_cache=False).logits
    return token_loss(logits, targets.to(model.device))


def mask_cost(
    logits: torch.Tensor, mask_indices: torch.Tensor, table: torch.Tensor
) -> torch.Tensor:
    """Nats a tune that the mask takes, the mean over (B,) tunes, each up to where it is LOST.

    logits (B, T, V), mask_indices (B, T) into table (N, V); index 0 and IGNORED do not count.
    """
    under = mask_indices > 0
    costs = torch.zeros(mask_indices.shape, device=logits.device)
    costs[under] = mask_costs(logits[under], table[mask_indices[under]])
    before = costs.detach().cumsum(1) - costs.detach()
    return (costs * (before < LOST)).sum() / len(costs)


def _own_cost(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    batch: Sequence[Sequence[int]],
    targets: MaskTargets,
) -> torch.Tensor:
    inputs, _ = pad_batch(batch, tokenizer.pad_token_id)
    falls_under = pad_targets([targets.indices(ids) for ids in batch], inputs.shape[1])
    with fast_autocast(model.device):
        logits = model(inputs.to(model.device), use_cache=False).logits
    return mask_cost(logits, falls_under.to(model.device), targets.table().to(model.device))


def _card_section(config: DistilConfig) -> str:
    return f"""## The grammar mask, learned

Then it learned what its grammar mask forbids, on {config.rounds} times {config.tunes} tunes of its
own and real ones beside them, so that the free model writes fewer faulty bars:

    {command_line("musicgen distil", config)}
"""
