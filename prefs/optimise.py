"""Tuning by selection: the model learns from the best of its own tunes. `for step in tune(...)`.

One round is best-of-n distillation: draw a pool, score it, keep the best share of each kind of
tune (rhythm and meter), train on those. Several rounds, each drawn from the model so far, are
expert iteration (Anthony et al. 2017). After each round the guards look at fresh rollouts; a round
that breaks one is taken back and tried once more with half the learning rate.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.precision import fast_autocast
from musicgen.tokenizer import encode_tune
from musicgen.train import batches, pad_batch, token_loss
from prefs.guards import Health, Limits, complaints, measure
from prefs.rollout import Rollouts, kind_of_tune, roll_out

Score = Callable[[Rollouts], NDArray[np.float64]]
# (model, tokenizer, tunes, seed) -> what the model writes
Draw = Callable[[GPT2LMHeadModel, PreTrainedTokenizerFast, int, int], Rollouts]


@dataclass(frozen=True)
class TuneOptions:
    """How a model is tuned."""

    rounds: int = 2  # 1: best-of-n distillation; more: expert iteration
    pool: int = 1_024  # tunes drawn a round
    keep: float = 0.125  # share of each kind kept: the best 1 of 8
    passes: int = 3  # over the kept tunes
    lr: float = 2e-4  # AdamW, linear to 0 over each round
    batch_tokens: int = 4_096
    seed: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class TuneStep:
    """One round, as logged."""

    round: int
    kept: int  # tunes trained on
    loss: float  # nats a token on them, at the end
    lr: float
    reward: float  # mean over the rollouts after the round
    base_reward: float  # the same for the base model
    health: Health
    base_health: Health
    taken_back: tuple[str, ...] = ()  # why the round does not count; empty if it does

    def line(self) -> str:
        """The progress line of this round."""
        text = (
            f"round {self.round}: reward {self.reward:+.2f} (base {self.base_reward:+.2f}) - "
            f"KL {self.health.kl:.1f} nats a tune - gate {self.health.validity:.0%} - "
            f"4-grams {self.health.variety:.3f} (base {self.base_health.variety:.3f})"
        )
        return text + "".join(f"\n  taken back: {reason}" for reason in self.taken_back)


def best_of_each_kind(
    rollouts: Rollouts, rewards: NDArray[np.float64], keep: float, *, fewest: int = 8
) -> list[int]:
    """Indices of the sound tunes to learn from: the best `keep` by advantage over their kind.

    The advantage is the reward less the mean of the sound tunes of the same kind, so a kind that is
    liked better is not drawn more often afterwards. Kinds with fewer than `fewest` tunes are taken
    together.
    """
    kinds: dict[str, list[int]] = defaultdict(list)
    for index, abc in enumerate(rollouts.tunes):
        if rollouts.sound[index]:
            kinds[kind_of_tune(abc)].append(index)
    groups = [members for members in kinds.values() if len(members) >= fewest]
    rest = [index for members in kinds.values() if len(members) < fewest for index in members]
    advantage = {}
    for members in [*groups, rest]:
        for index in members:
            advantage[index] = rewards[index] - float(np.mean(rewards[members]))
    count = max(1, round(keep * len(advantage))) if advantage else 0
    return sorted(sorted(advantage, key=lambda index: -advantage[index])[:count])


def fit_to_tunes(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    tunes: Sequence[str],
    options: TuneOptions,
    lr: float,
    rng: np.random.Generator,
) -> float:
    """Supervised training of `model` in place on whole `tunes`; the last loss in nats a token."""
    context = model.config.n_positions
    rows = [encode_tune(tokenizer, abc)[: context + 1] for abc in tunes]
    plan = [
        batch for _ in range(options.passes) for batch in batches(rows, options.batch_tokens, rng)
    ]
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    model.train()
    value = float("nan")
    for step, batch in enumerate(plan):
        for group in optimiser.param_groups:
            group["lr"] = lr * (1 - step / len(plan))
        inputs, targets = pad_batch(batch, tokenizer.pad_token_id)
        with fast_autocast(model.device):
            logits = model(input_ids=inputs.to(model.device), use_cache=False).logits
        loss = token_loss(logits, targets.to(model.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        value = loss.item()
    model.eval()
    return value


def tune(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    score: Score,
    options: TuneOptions,
    draw: Draw = roll_out,
) -> Iterator[TuneStep]:
    """Tune `model` in place, a record a round; it ends as the last state that no guard stopped.

    `score` gives rewards (N,) for rollouts; `draw` may remember what it drew before.
    """
    base = copy.deepcopy(model).eval()
    pool = draw(base, tokenizer, options.pool, options.seed)
    base_health = measure(base, base, tokenizer, pool)
    rewards = score(pool)
    base_reward = float(rewards.mean())
    lr, retried = options.lr, False
    number, tries = 1, 0
    while number <= options.rounds:
        before = copy.deepcopy(model.state_dict())
        rng = np.random.default_rng([options.seed, number, tries])
        kept = best_of_each_kind(pool, rewards, options.keep)
        loss = fit_to_tunes(model, tokenizer, [pool.tunes[i] for i in kept], options, lr, rng)
        seed = options.seed + 1_000 * number + tries
        fresh = draw(model, tokenizer, len(pool), seed)
        health = measure(model, base, tokenizer, fresh)
        fresh_rewards = score(fresh)
        reasons = complaints(health, base_health, options.limits)
        yield TuneStep(
            round=number,
            kept=len(kept),
            loss=loss,
            lr=lr,
            reward=float(fresh_rewards.mean()),
            base_reward=base_reward,
            health=health,
            base_health=base_health,
            taken_back=tuple(reasons),
        )
        tries += 1
        if reasons:
            model.load_state_dict(before)
            if retried:
                return
            lr, retried = lr / 2, True
            continue
        pool, rewards, number, retried = fresh, fresh_rewards, number + 1, False
