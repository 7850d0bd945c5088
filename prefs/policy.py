"""PPO and RLOO: a batch of tunes from prompts, their rewards, one update; the loop is optimise.py.

PPO (Schulman et al. 2017) credits each token with what the critic did not expect, after a KL
penalty token by token (Ziegler et al. 2019). RLOO (Ahmadian et al. 2024) needs no critic: each tune
is compared with the others of its prompt, the KL of the whole tune taken off its reward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.precision import fast_autocast
from prefs import distributed
from prefs.arm import Begun, Learned
from prefs.critic import Critic
from prefs.guards import Health, mean_health
from prefs.learner import PromptLearner
from prefs.objectives import (
    advantages_and_returns,
    kl_penalty,
    ppo_policy_loss,
    rloo_advantages,
    token_rewards,
    value_loss,
    whiten,
)
from prefs.preflight import check_rewards, check_rollouts
from prefs.prompted import PromptedRollouts, TokenTable, table_health
from prefs.rollout import Rollouts
from prefs.tuning import Score, TuneOptions

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """All that an update reads, of B tunes and W tokens, computed before its first step."""

    table: TokenTable
    advantages: torch.Tensor  # (B, W)
    returns: torch.Tensor  # (B, W)
    values: torch.Tensor  # (B, W)
    count: float  # tokens that count


class PolicyGradient(PromptLearner):
    """The arms `ppo` and `rloo`."""

    def __init__(
        self,
        model: GPT2LMHeadModel,
        base: GPT2LMHeadModel,
        tokenizer: PreTrainedTokenizerFast,
        score: Score,
        options: TuneOptions,
    ) -> None:
        super().__init__(model, base, tokenizer, score, options)
        self.policy = options.policy
        self.copies, self.bars = self.policy.copies, self.policy.bars
        self.prompts = self.policy.batch // self.copies
        self.rounds = self.policy.updates
        self.kl_weight = options.policy.kl_weight
        self.critic = Critic(base).to(model.device) if options.method == "ppo" else None
        # log-probabilities under the base model of the rollouts that were measured last
        self._measured: tuple[Rollouts, torch.Tensor] | None = None
        self.parameters = [*model.parameters()]
        if self.critic is not None:
            self.parameters += [*self.critic.parameters()]
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        self.optimiser = torch.optim.Adam(
            self.parameters, lr=self.policy.lr, eps=self.policy.adam_epsilon
        )

    def begin(self, pool: Rollouts) -> Begun:
        """Look at what the base model writes; raises TuneError if training on it would fail."""
        self.resume(pool)
        size, wanted = self.policy.batch, max(self.policy.preflight, self.policy.batch)
        starts: list[Begun] = []
        for number in range(-(-wanted // size)):
            rollouts = self.draw(0, number)
            table = self.table(rollouts)
            own = table.all_logprobs(self.model, self.options.batch_tokens)
            theirs = table.all_logprobs(self.base, self.options.batch_tokens)
            check_rollouts(rollouts, table, own, theirs, self.tokenizer)
            found = Begun.of(
                rollouts,
                self.score(rollouts),
                table_health(self.tokenizer, rollouts, table, own, theirs),
            )
            starts.append(found)
        batches = [self._own(start.rollouts) for start in starts]
        rewards = [start.rewards for start in starts]
        check_rewards(batches, rewards, self.score, self.policy.copies)
        return Begun(
            batches[0],
            rewards[0],
            mean_health([start.health for start in starts]),
            float(np.concatenate(rewards).mean()),
        )

    def measure(self, rollouts: Rollouts) -> Health:
        """Health of the model that drew these; only the drawn tokens count."""
        rollouts = self._own(rollouts)
        table = self.table(rollouts)
        own = table.sampler_logprobs(rollouts)
        theirs = table.all_logprobs(self.base, self.options.batch_tokens)
        self._measured = (rollouts, theirs)
        return table_health(self.tokenizer, rollouts, table, own, theirs)

    def learn(
        self, rollouts: Rollouts, rewards: Array, number: int, tries: int, factor: float
    ) -> Learned:
        """One update on a batch that the model as it is has drawn; its rate is `factor` times."""
        options = self.policy
        warm = min(1.0, number / max(1, options.warmup))
        lr = factor * options.lr * warm * (1 - (number - 1) / options.updates)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        batch, kl = self.prepare(self._own(rollouts), rewards)
        figures: dict[str, float] = {"kl_weight": self.kl_weight, "batch_kl": kl}
        epochs = 0
        old: torch.Tensor | None = None
        for _ in range(options.epochs):
            sums = self.add_gradients(batch, old)
            if old is None:
                old = sums.logprobs
            elif sums.approx_kl > options.stop_kl:
                self.optimiser.zero_grad(set_to_none=True)
                break
            torch.nn.utils.clip_grad_norm_(self.parameters, options.max_norm)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            epochs += 1
            figures |= {
                "clip_fraction": sums.clip_fraction,
                "approx_kl": sums.approx_kl,
                "value_loss": sums.value_loss,
            }
        figures["epochs"] = float(epochs)
        error = kl / options.kl_target - 1
        self.kl_weight *= 1 + float(np.clip(0.1 * error, -options.kl_step, options.kl_step))
        return Learned(len(rollouts), sums.loss, lr, figures)

    def tighten(self) -> str | None:
        """Hold the model closer to the base; what was done, in words."""
        self.kl_weight *= 1.5
        return f"KL weight raised to {self.kl_weight:.2f}"

    def state(self) -> dict[str, Any]:
        """All that learning goes on from, the model's weights left out."""
        critic = None if self.critic is None else self.critic.state_dict()
        return {
            "kl_weight": self.kl_weight,
            "critic": critic,
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.kl_weight = state["kl_weight"]
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
        self.optimiser.load_state_dict(state["optimiser"])

    @staticmethod
    def _own(rollouts: Rollouts) -> PromptedRollouts:
        if not isinstance(rollouts, PromptedRollouts):
            raise TypeError("policy gradients need the tokens that were drawn")
        return rollouts

    def prepare(self, rollouts: PromptedRollouts, rewards: Array) -> tuple[Batch, float]:
        """The batch and its mean KL in nats a tune. Raises TuneError if the sampler and the
        training forward disagree about what was drawn."""
        table, tokens = self.table(rollouts), self.options.batch_tokens
        own = table.all_logprobs(self.model, tokens)
        if self._measured is not None and self._measured[0] is rollouts:
            theirs = self._measured[1]
        else:
            theirs = table.all_logprobs(self.base, tokens)
        check_rollouts(rollouts, table, own, None, self.tokenizer)
        kl = kl_penalty(own, theirs, table.mask)
        given = torch.tensor(rewards, dtype=torch.float32, device=table.mask.device)
        values = torch.zeros_like(kl)
        returns = values
        if self.critic is None:
            gains = rloo_advantages(given - self.kl_weight * kl.sum(1), self.policy.copies)
            advantages = gains.unsqueeze(1) * table.mask
        else:
            values = self.critic.all_values(table, tokens)
            by_token = token_rewards(given, kl, table.mask, self.kl_weight)
            advantages, returns = advantages_and_returns(
                by_token, values, table.mask, gamma=self.policy.gamma, lam=self.policy.lam
            )
        advantages = whiten(advantages, table.mask)
        batch = Batch(table, advantages, returns, values, float(table.mask.sum()))
        return batch, float(kl.sum(1).mean())

    def add_gradients(self, batch: Batch, old: torch.Tensor | None) -> Sums:
        """Add up the gradients of the whole batch; `old` None: the policy is the one that drew."""
        table, sums = batch.table, Sums(torch.zeros_like(batch.table.mask))
        for rows, width in distributed.share(table.pieces(self.options.batch_tokens)):
            cut = (rows, slice(0, width))
            mask = table.mask[cut]
            with fast_autocast(mask.device):
                logprobs = table.logprobs(self.model, rows, width)
            before = logprobs.detach() if old is None else old[cut]
            found = ppo_policy_loss(
                logprobs,
                before,
                batch.advantages[cut],
                mask,
                clip=self.policy.clip,
                count=batch.count,
            )
            loss = found.loss
            if self.critic is not None:
                with fast_autocast(mask.device):
                    values = self.critic(table, rows, width)
                error = value_loss(
                    values,
                    batch.values[cut],
                    batch.returns[cut],
                    mask,
                    clip=self.policy.clip,
                    count=batch.count,
                )
                loss = loss + self.policy.value_weight * error
                sums.value_loss += error.item()
            loss.backward()
            sums.logprobs[cut] = logprobs.detach()
            sums.loss += loss.item()
            sums.clip_fraction += found.clip_fraction.item()
            sums.approx_kl += found.approx_kl.item()
        distributed.sum_gradients(self.parameters)
        sums.join()
        return sums


@dataclass
class Sums:
    """What one pass over a batch adds up."""

    logprobs: torch.Tensor  # (B, W) of the policy before the step
    loss: float = 0.0
    value_loss: float = 0.0
    clip_fraction: float = 0.0
    approx_kl: float = 0.0

    def join(self) -> None:
        """Add what the other processes summed."""
        if distributed.active():
            distributed.total(self.logprobs)
            figures = [self.loss, self.value_loss, self.clip_fraction, self.approx_kl]
            both = distributed.total(torch.tensor(figures, dtype=torch.float64))
            self.loss, self.value_loss, self.clip_fraction, self.approx_kl = both.tolist()
