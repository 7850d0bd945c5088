"""Refine a model on tunes of its own, so that the free model writes fewer faulty bars.

    musicgen refine --model runs/base --out runs/refined

An update draws tunes at temperature 1, without the grammar mask, and makes the tokens that are to
blame for a fault (blame.py) less probable: the policy gradient (REINFORCE, Williams 1992) of minus
the number of blamed tokens, where a token answers for its own bar only. That credit is what makes
it work: a fault lies in about one token of two hundred, and a reward for the whole tune would blame
them all. The divergence from the model that the run began with, KL(model || start) in closed form
over the vocabulary, is added to the loss, so that nothing else is unlearned. Updates from a few
hundred tunes are noisy, so what is saved is a running average of the weights.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import passes_gate
from musicgen.blame import blame
from musicgen.checkpoint import CheckpointError, find_model, load_checkpoint, save_checkpoint
from musicgen.model_card import add_to_card, command_line
from musicgen.precision import fast_autocast
from musicgen.sample import Sample, SampleOptions, TuneRequest, TuneSampler
from musicgen.train import pad_batch

ROWS = 16  # tunes of a forward pass
SAVE_EVERY = 5  # updates


@dataclass(frozen=True)
class RefineConfig:
    """What a refinement is; every field is a flag of `musicgen refine`."""

    model: Path  # folder of the model to start from, or of its run
    out: Path  # run folder; the refined model is its model/
    updates: int = 40
    tunes: int = 256  # drawn an update, half of them from a plan of their own
    lr: float = 1e-4  # peak of AdamW, linear to 0
    warmup: int = 5  # updates
    kl_weight: float = 0.02  # faulty tokens a tune that a nat of divergence a tune is worth
    sound: float = 1 / 3  # part of the sound tunes that is learned from; they weigh the more
    average: float = 0.9  # decay, an update, of the running average of the weights that is saved
    seed: int = 0
    resume: bool = False  # go on from OUT/state.pt


@dataclass(frozen=True)
class RefineStep:
    """One update, as logged; the figures are those of the tunes that it learned from."""

    update: int
    updates: int
    gate: float  # part of the tunes that pass it
    faults: dict[str, int]  # tunes with each
    blamed: float  # tokens a tune
    kl: float  # nats a tune from the model that the run began with
    lr: float

    def line(self) -> str:
        """The progress line of this update."""
        faults = ", ".join(f"{name} {count}" for name, count in self.faults.items())
        return (
            f"update {self.update}/{self.updates} - gate {self.gate:.1%} - "
            f"{self.blamed:.2f} faulty tokens a tune - KL {self.kl:.2f} nats a tune - {faults}"
        )


@dataclass(frozen=True)
class Row:
    """What is learned from a tune: blame (n,) of its n drawn tokens, and how often it counts."""

    ids: tuple[int, ...]
    blame: NDArray[np.float64]
    weight: float


def refine(config: RefineConfig) -> Iterator[RefineStep]:
    """Refine a copy of `config.model`, a record an update; it is saved in `config.out`/model.

    Raises CheckpointError if there is a run in `config.out` already and `resume` is not set.
    """
    start = load_checkpoint(find_model(str(config.model)))
    model, tokenizer = start.model, start.tokenizer
    base = copy.deepcopy(model).eval().requires_grad_(False)
    model.eval()  # no dropout: the probabilities must be those that the tunes were drawn by
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.average))
    first = _take_up(config, model, optimiser, average)
    for update in range(first, config.updates + 1):
        lr = config.lr * min(1.0, update / config.warmup) * (1 - (update - 1) / config.updates)
        for group in optimiser.param_groups:
            group["lr"] = lr
        samples = list(_own_tunes(TuneSampler(model, tokenizer), config, update))
        rows = chosen_rows(samples, tokenizer, config.sound, [config.seed, update])
        kl = add_gradients(model, base, rows, len(samples), config.kl_weight)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update_parameters(model)
        step = _record(samples, rows, update, config.updates, kl, lr)
        with open(config.out / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(step)) + "\n")
        if update % SAVE_EVERY == 0 or update == config.updates:
            card = add_to_card(start.folder, _card_section(config))
            save_checkpoint(
                config.out / "model", average.module, tokenizer, card=card, titles=start.titles
            )
            _save_state(config.out / "state.pt", model, optimiser, average, update)
        yield step


def chosen_rows(
    samples: Sequence[Sample], tokenizer: PreTrainedTokenizerFast, sound: float, seed: list[int]
) -> list[Row]:
    """All tunes with something to blame, and the part `sound` of the others, by length.

    The sound ones teach little beyond where the model must not move, so a part stands for all.
    """
    blamed = [blame(sample, tokenizer) for sample in samples]
    faulty = [i for i, values in enumerate(blamed) if values.any()]
    good = [i for i, values in enumerate(blamed) if not values.any()]
    rng = np.random.default_rng(seed)
    some = rng.permutation(good)[: max(1, round(sound * len(good)))].tolist()
    rows = [Row(samples[i].ids, blamed[i], 1.0) for i in faulty]
    rows += [Row(samples[i].ids, blamed[i], len(good) / len(some)) for i in some]
    return sorted(rows, key=lambda row: len(row.ids))


def add_gradients(
    model: GPT2LMHeadModel,
    base: GPT2LMHeadModel,
    rows: Sequence[Row],
    tunes: int,
    kl_weight: float,
) -> float:
    """Add up the gradients of the loss over all rows; the divergence in nats a tune.

    loss = 1/tunes sum (blame - mean blame) log p(token) + kl_weight KL(model || base) a tune, over
    the drawn tokens, each row times its weight. The mean is the baseline of the policy gradient.
    """
    tokens = sum(row.weight * len(row.blame) for row in rows)
    mean = sum(row.weight * row.blame.sum() for row in rows) / max(tokens, 1.0)
    total = 0.0
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        inputs, targets = pad_batch([row.ids for row in some], 0)
        gains, weights = torch.zeros(targets.shape), torch.zeros(targets.shape)
        for place, row in enumerate(some):
            drawn = slice(len(row.ids) - 1 - len(row.blame), len(row.ids) - 1)
            gains[place, drawn] = torch.from_numpy(row.weight * (mean - row.blame)).float()
            weights[place, drawn] = row.weight
        inputs, targets, gains, weights = (
            one.to(model.device) for one in (inputs, targets.clamp(min=0), gains, weights)
        )
        with fast_autocast(model.device):
            logits = model(inputs, use_cache=False).logits
            with torch.no_grad():
                others = base(inputs, use_cache=False).logits
        own = torch.log_softmax(logits.float(), -1)
        theirs = torch.log_softmax(others.float(), -1)
        logprobs = own.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        kl = ((own.exp() * (own - theirs)).sum(-1) * weights).sum() / tunes
        loss = kl_weight * kl - (gains * logprobs).sum() / tunes
        loss.backward()
        total += kl.item()
    return total


def _own_tunes(sampler: TuneSampler, config: RefineConfig, update: int) -> Iterator[Sample]:
    """Tunes of the model's whole distribution, half of them from a plan drawn beforehand."""
    for half, planned in enumerate((True, False)):
        options = SampleOptions(
            temperature=1.0,
            top_p=1.0,
            seed=10_000 * (config.seed + 1) + 2 * update + half,
            draw_plan=planned,
        )
        yield from sampler.samples(TuneRequest(), options, config.tunes // 2, batch=64)


def _record(
    samples: Sequence[Sample],
    rows: Sequence[Row],
    update: int,
    updates: int,
    kl: float,
    lr: float,
) -> RefineStep:
    faults: dict[str, int] = {}
    passed = 0
    for sample in samples:
        gate = passes_gate(sample.abc, sample.finished)
        passed += bool(gate)
        for reason in gate.reasons:
            faults[reason] = faults.get(reason, 0) + 1
    blamed = sum(float(row.blame.sum()) for row in rows) / len(samples)
    return RefineStep(update, updates, passed / len(samples), faults, blamed, kl, lr)


def _take_up(
    config: RefineConfig,
    model: GPT2LMHeadModel,
    optimiser: torch.optim.Optimizer,
    average: AveragedModel,
) -> int:
    """The first update that is to be done."""
    path = config.out / "state.pt"
    config.out.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return 1
    if not config.resume:
        raise CheckpointError(f"{config.out} holds a run already: add --resume, or another --out")
    state: dict[str, Any] = torch.load(path, map_location=model.device, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    average.load_state_dict(state["average"])
    return int(state["update"]) + 1


def _save_state(
    path: Path,
    model: GPT2LMHeadModel,
    optimiser: torch.optim.Optimizer,
    average: AveragedModel,
    update: int,
) -> None:
    partial = path.with_suffix(".partial")
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average.state_dict(),
        "update": update,
    }
    torch.save(state, partial)
    os.replace(partial, path)


def _card_section(config: RefineConfig) -> str:
    return f"""## Refined on its own tunes

Then it drew {config.updates} times {config.tunes} tunes without the grammar mask, and what was to
blame for faulty bars and loops was made less probable:

    {command_line("musicgen refine", config)}
"""
