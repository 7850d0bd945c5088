"""Best-of-n distillation and expert iteration: the model learns from the best of its own tunes.

One round: keep the best share of each kind of tune (rhythm and meter) and train on those. Several
rounds, each on tunes of the model so far, are expert iteration (Anthony et al. 2017).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.precision import fast_autocast
from musicgen.tokenizer import encode_tune
from musicgen.train import batches, pad_batch, token_loss
from prefs.arm import Begun, Learned
from prefs.guards import Health, measure
from prefs.learner import Learner
from prefs.rollout import Rollouts, kind_of_tune
from prefs.tuning import Draw, Score, TuneOptions


class Selection(Learner):
    """The arms `expert` and `best-of-n`."""

    def __init__(
        self,
        model: GPT2LMHeadModel,
        base: GPT2LMHeadModel,
        tokenizer: PreTrainedTokenizerFast,
        score: Score,
        options: TuneOptions,
        draw: Draw,
    ) -> None:
        super().__init__(model, base, tokenizer, score, options)
        self._draw = draw
        if options.method == "best-of-n":
            self.rounds = 1

    def begin(self, pool: Rollouts) -> Begun:
        health = measure(self.base, self.base, self.tokenizer, pool)
        return Begun.of(pool, self.score(pool), health)

    def draw(self, number: int, tries: int) -> Rollouts:
        seed = self.options.seed + 1_000 * number + tries
        return self._draw(self.model, self.tokenizer, self.options.pool, seed)

    def measure(self, rollouts: Rollouts) -> Health:
        return measure(self.model, self.base, self.tokenizer, rollouts)

    def learn(
        self,
        rollouts: Rollouts,
        rewards: NDArray[np.float64],
        number: int,
        tries: int,
        factor: float,
    ) -> Learned:
        rng = np.random.default_rng([self.options.seed, number, tries])
        kept = best_of_each_kind(rollouts, rewards, self.options.keep)
        lr = factor * self.options.lr
        tunes = [rollouts.tunes[index] for index in kept]
        loss = fit_to_tunes(self.model, self.tokenizer, tunes, self.options, lr, rng)
        return Learned(len(kept), loss, lr, {})


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
    """Supervised training of `model` in place on whole `tunes`; the last loss in nats a token.

    Dropout stays off: with it a run that was killed would not end as the whole one, and a round on
    few tunes cost more of the variety.
    """
    context = model.config.n_positions
    rows = [encode_tune(tokenizer, abc)[: context + 1] for abc in tunes]
    plan = [
        batch for _ in range(options.passes) for batch in batches(rows, options.batch_tokens, rng)
    ]
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    model.eval()
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
    return value
