"""Teach a model what its grammar mask forbids, so that it writes sound tunes without the mask.

    musicgen distil --model runs/mine --out runs/sound

The model draws tunes of its own under the mask, at temperature 1. At each token the mask left a
part of the model's distribution; that part, scaled up to 1, is the target for a copy of the model,
and the loss is the Kullback-Leibler divergence from target to copy, summed over a tune
(distillation, Hinton et al. 2015, on the learner's own tunes as in Agarwal et al. 2024). At first
it is what the mask takes: minus the log of what it left. Where the mask forbids nothing the target
is the model itself, so nothing else is moved. (With what the mask takes as the loss, probability
moved to whatever is always allowed: a tiny model ended up writing ties.)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.checkpoint import find_model, load_checkpoint, save_checkpoint
from musicgen.grammar_mask import GrammarMask
from musicgen.model_card import add_to_card, command_line
from musicgen.precision import fast_autocast
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import encode_tune
from musicgen.train import batches, pad_batch, pad_targets
from musicgen.tune_grammar import NEVER, TuneState

# Once the mask has taken so many nats, a tune is where the free model never comes: what the model
# would write there does not matter, and a tune that went astray costs hundreds of nats.
LOST = 3.0


@dataclass(frozen=True)
class DistilConfig:
    """What a distillation of the mask is; every field is a flag of `musicgen distil`."""

    model: Path  # folder of the model to start from, or of its run
    out: Path  # folder of the new model
    rounds: int = 2  # each draws tunes anew and starts from the round before
    tunes: int = 1_024  # drawn a round
    passes: int = 2  # over them
    lr: float = 3e-5  # peak of AdamW, linear to 0 over the whole run
    batch_tokens: int = 4_096
    seed: int = 0


@dataclass(frozen=True)
class DistilStep:
    """One optimiser step."""

    step: int
    steps: int  # of this round
    round: int
    divergence: float  # nats a tune from the masked model that the round began with: the loss

    def line(self) -> str:
        """The progress line of this step."""
        return (
            f"round {self.round} step {self.step}/{self.steps} - "
            f"{self.divergence:.3f} nats a tune from the masked model"
        )


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
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    targets = MaskTargets(tokenizer)
    for number in range(1, config.rounds + 1):
        rng = np.random.default_rng([config.seed, number])
        teacher = copy.deepcopy(model).eval()
        own = _own_tunes(teacher, tokenizer, config, number)
        plan = [b for _ in range(config.passes) for b in batches(own, config.batch_tokens, rng)]
        model.train()
        for step, batch in enumerate(plan, start=1):
            done = (number - 1 + (step - 1) / len(plan)) / config.rounds
            warm = min(1.0, step / 10) if number == 1 else 1.0
            for group in optimiser.param_groups:
                group["lr"] = config.lr * warm * (1 - done)
            inputs, _ = pad_batch(batch, tokenizer.pad_token_id)
            indices = pad_targets([targets.indices(ids) for ids in batch], inputs.shape[1])
            inputs, indices = inputs.to(model.device), indices.to(model.device)
            with fast_autocast(model.device):
                logits = model(inputs, use_cache=False).logits
                with torch.no_grad():
                    wanted = teacher(inputs, use_cache=False).logits
            table = targets.table().to(model.device)
            loss = masked_divergence(logits, wanted, indices, table)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            yield DistilStep(step, len(plan), number, loss.item())
    model.eval()
    card = add_to_card(start.folder, _card_section(config))
    save_checkpoint(config.out, model, tokenizer, card=card, titles=start.titles)


def masked_divergence(
    logits: torch.Tensor, teacher: torch.Tensor, indices: torch.Tensor, table: torch.Tensor
) -> torch.Tensor:
    """KL(masked teacher || model) in nats a tune: summed over T, the mean over B, up to LOST.

    logits and teacher (B, T, V), indices (B, T) into table (N, V); negative ones do not count. With
    the model as its own teacher it is what the mask takes: -log of the probability it leaves.
    """
    real = indices >= 0
    allowed = table[indices[real]]  # (n, V)
    wanted = teacher[real].float().masked_fill(~allowed, float("-inf"))
    target = torch.log_softmax(wanted, -1)
    own = torch.log_softmax(logits[real].float(), -1)
    differences = torch.where(allowed, target.exp() * (target - own), 0.0).sum(-1)
    divergence = torch.zeros(indices.shape, device=logits.device)
    divergence[real] = differences
    taken = torch.zeros(indices.shape, device=logits.device)
    taken[real] = torch.logsumexp(teacher[real].float(), -1) - torch.logsumexp(wanted, -1)
    before = taken.cumsum(1) - taken
    return (divergence * (before < LOST)).sum() / len(indices)


def _own_tunes(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, config: DistilConfig, number: int
) -> list[list[int]]:
    """Tunes of the model at temperature 1 under the mask, as token ids."""
    options = SampleOptions(
        temperature=1.0, top_p=1.0, seed=config.seed * 1_000 + number, constrained=True
    )
    drawn = TuneSampler(model, tokenizer).samples(TuneRequest(), options, config.tunes, batch=64)
    rows = [encode_tune(tokenizer, sample.abc) for sample in drawn if sample.finished]
    return [ids for ids in rows if len(ids) <= model.config.n_positions + 1]


def _card_section(config: DistilConfig) -> str:
    return f"""## The grammar mask, learned

Then it learned what its grammar mask forbids, on {config.rounds} times {config.tunes} tunes of its
own, so that the free model writes fewer faulty bars:

    {command_line("musicgen distil", config)}
"""
