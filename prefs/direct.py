"""DPO: of the tunes that go on from one prompt, the best is preferred to the worst.

Direct preference optimisation (Rafailov et al. 2023) with a part of supervised training on the
preferred tunes, which keeps them probable. The pairs come from scored rollouts, so many more can be
had than there are votes. What is not sound never is preferred; it is the worst wherever it occurs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.precision import fast_autocast
from prefs import distributed
from prefs.arm import Begun, Learned
from prefs.guards import Health
from prefs.learner import PromptLearner
from prefs.objectives import dpo_loss
from prefs.preflight import check_rewards, check_rollouts
from prefs.prompted import PromptedRollouts, table_health
from prefs.rollout import Rollouts
from prefs.tuning import Score, TuneError, TuneOptions

Array = NDArray[np.float64]


class Direct(PromptLearner):
    """The arm `dpo`; its beta holds the model to the base, and stays."""

    def __init__(
        self,
        model: GPT2LMHeadModel,
        base: GPT2LMHeadModel,
        tokenizer: PreTrainedTokenizerFast,
        score: Score,
        options: TuneOptions,
    ) -> None:
        super().__init__(model, base, tokenizer, score, options)
        self.dpo = options.dpo
        self.copies, self.bars = self.dpo.copies, self.dpo.bars
        self.prompts = max(1, options.pool // self.copies)

    def begin(self, pool: Rollouts) -> Begun:
        self.resume(pool)
        rollouts = self.draw(0, 0)
        table = self.table(rollouts)
        own = table.all_logprobs(self.model, self.options.batch_tokens)
        theirs = table.all_logprobs(self.base, self.options.batch_tokens)
        check_rollouts(rollouts, table, own, theirs, self.tokenizer)
        rewards = self.score(rollouts)
        check_rewards([rollouts], [rewards], self.score, self.dpo.copies)
        return Begun.of(
            rollouts, rewards, table_health(self.tokenizer, rollouts, table, own, theirs)
        )

    def measure(self, rollouts: Rollouts) -> Health:
        assert isinstance(rollouts, PromptedRollouts)
        table = self.table(rollouts)
        own = table.sampler_logprobs(rollouts)
        return table_health(
            self.tokenizer,
            rollouts,
            table,
            own,
            table.all_logprobs(self.base, self.options.batch_tokens),
        )

    def learn(
        self, rollouts: Rollouts, rewards: Array, number: int, tries: int, factor: float
    ) -> Learned:
        assert isinstance(rollouts, PromptedRollouts)
        pairs = best_and_worst(rewards, rollouts.sound, self.dpo.copies)
        if not pairs:
            raise TuneError("no two tunes of a prompt are rewarded differently: draw more tunes")
        rng = np.random.default_rng([self.options.seed, number, tries, 1])
        lr = factor * self.dpo.lr
        optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.0
        )
        plan = [
            [pairs[i] for i in chosen]
            for _ in range(self.dpo.passes)
            for chosen in np.array_split(
                rng.permutation(len(pairs)), max(1, len(pairs) // self.dpo.pairs_a_step)
            )
        ]
        value = float("nan")
        for step, some in enumerate(plan):
            for group in optimiser.param_groups:
                group["lr"] = lr * (1 - step / len(plan))
            value = self._gradients(rollouts, some)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return Learned(len(pairs), value, lr, {"pairs": float(len(pairs))})

    def _gradients(self, rollouts: PromptedRollouts, pairs: list[tuple[int, int]]) -> float:
        """Add up the gradients of some pairs; their mean loss."""
        total = torch.zeros(1, dtype=torch.float64)
        for piece in distributed.share(np.array_split(pairs, max(1, len(pairs) // 8))):
            both = rollouts.take([int(index) for index in piece.T.flatten()])
            table = self.table(both)
            every, width = torch.arange(len(both)), table.mask.shape[1]
            with torch.no_grad():
                theirs = (table.logprobs(self.base, every, width) * table.mask).sum(1)
            with fast_autocast(table.mask.device):
                own = table.logprobs(self.model, every, width)
            sums = (own * table.mask).sum(1)
            loss = dpo_loss(
                *sums.chunk(2),
                *theirs.chunk(2),
                beta=self.dpo.beta,
                sft_weight=self.dpo.sft_weight,
                chosen_tokens=table.mask.sum(1).chunk(2)[0],
                count=len(pairs),
            )
            loss.backward()
            total += loss.item()
        distributed.sum_gradients(self.model.parameters())
        return float(distributed.total(total))


def best_and_worst(rewards: Array, sound: tuple[bool, ...], copies: int) -> list[tuple[int, int]]:
    """(chosen, rejected) for each prompt: its best sound tune, its worst of all.

    The tunes of a prompt stand next to each other. A prompt without a sound tune, or whose tunes
    are all rewarded alike, gives no pair.
    """
    pairs = []
    for start in range(0, len(rewards), copies):
        members = range(start, min(start + copies, len(rewards)))
        good = [index for index in members if sound[index]]
        if not good:
            continue
        best = max(good, key=lambda index: rewards[index])
        worst = min(members, key=lambda index: (sound[index], rewards[index]))
        if rewards[best] > rewards[worst]:
            pairs.append((best, worst))
    return pairs
