"""The founding experiment's PPO with its mistakes, unguarded: what prefs/ refuses to run.

The pre-flight and the options of prefs/ make these mistakes impossible on purpose, so this is a
small loop of its own, for comparison only. Planted are, of the nine:

1. a KL weight of 0.02, which holds nothing,
2. a controller that counts tunes and not updates, and so stands still,
3. rollouts by top-k 40, whose log-probabilities are not those of the policy,
5. lambda 0.95, by which the reward at the end never reaches the beginning,
6. 256 tokens a tune whatever its length: what follows its end counts as well,
7. advantages whitened over 9 tunes, and gradients that are not clipped.

Left out are those of the reward model and of the final test (4, 8, 9): here the reward and the test
are those of the other arms, or nothing could be compared. The learning rate is the other arms' too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import passes_gate
from musicgen.tokenizer import decode_tune
from prefs.critic import Critic
from prefs.objectives import (
    advantages_and_returns,
    kl_penalty,
    ppo_policy_loss,
    token_rewards,
    value_loss,
    whiten,
)
from prefs.prompted import TokenTable
from prefs.rollout import Rollouts
from prefs.tuning import Score

TOP_K = 40
TOKENS = 256
BATCH, WHITENED = 18, 9  # tunes an update, and tunes that advantages are whitened over
EPOCHS = 4
KL_WEIGHT, KL_TARGET, HORIZON = 0.02, 6.0, 10_000
LAMBDA = 0.95
VALUE_WEIGHT = 0.1
_CLIP = 0.2
_EVERY_TOKENS = 8_192  # of a forward pass


@dataclass(frozen=True)
class FoundingStep:
    """One update, as it was before it."""

    kl: float  # nats a tune by the policy's own probabilities, over all 256 tokens
    reward: float
    validity: float
    kl_weight: float


def founding(
    model: GPT2LMHeadModel,
    base: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    score: Score,
    *,
    updates: int,
    lr: float,
    seed: int,
) -> Iterator[FoundingStep]:
    """Updates `model` in place, whatever becomes of it."""
    generator = torch.Generator().manual_seed(seed)
    critic, weight = Critic(base), KL_WEIGHT
    optimiser = torch.optim.Adam([*model.parameters(), *critic.parameters()], lr=lr, eps=1e-5)
    for update in range(updates):
        for group in optimiser.param_groups:
            group["lr"] = lr * (1 - update / updates)
        table, drawn_at = draw(model, tokenizer.bos_token_id, generator)
        rollouts = _rollouts(table, tokenizer)
        own = table.all_logprobs(model, _EVERY_TOKENS)
        theirs = table.all_logprobs(base, _EVERY_TOKENS)
        rewards = torch.tensor(score(rollouts), dtype=torch.float32)
        yield FoundingStep(
            kl=float((own - theirs).sum(1).mean()),
            reward=float(rewards.mean()),
            validity=float(np.mean(rollouts.sound)),
            kl_weight=weight,
        )
        kl = kl_penalty(drawn_at, theirs, table.mask)
        values = critic.all_values(table, _EVERY_TOKENS)
        by_token = token_rewards(rewards, kl, table.mask, weight)
        gains, returns = advantages_and_returns(by_token, values, table.mask, lam=LAMBDA)
        advantages = torch.cat(
            [
                whiten(some, mask)
                for some, mask in zip(
                    gains.split(WHITENED), table.mask.split(WHITENED), strict=True
                )
            ]
        )
        everything, count = torch.arange(BATCH), float(table.mask.sum())
        for _ in range(EPOCHS):
            logprobs = table.logprobs(model, everything, kl.shape[1])
            found = ppo_policy_loss(
                logprobs, drawn_at, advantages, table.mask, clip=_CLIP, count=count
            )
            said = critic(table, everything, kl.shape[1])
            error = value_loss(said, values, returns, table.mask, clip=_CLIP, count=count)
            (found.loss + VALUE_WEIGHT * error).backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        error_of_kl = float(np.clip(float(kl.sum(1).mean()) / KL_TARGET - 1, -0.2, 0.2))
        weight *= 1 + error_of_kl * BATCH / HORIZON


@torch.no_grad()
def draw(
    model: GPT2LMHeadModel, begin: int, generator: torch.Generator
) -> tuple[TokenTable, torch.Tensor]:
    """BATCH rows of T tokens, and their log-probabilities among the TOP_K likeliest (BATCH, T)."""
    width = min(TOKENS, model.config.n_positions)
    tokens = torch.full((BATCH, 1), begin)
    logprobs, past = [], None
    for _ in range(width):
        out = model(tokens[:, -1:], past_key_values=past, use_cache=True)
        past = out.past_key_values
        likely = out.logits[:, -1].float().topk(min(TOP_K, out.logits.shape[-1]))
        chosen = torch.multinomial(likely.values.softmax(-1), 1, generator=generator)
        logprobs.append(likely.values.log_softmax(-1).gather(1, chosen))
        tokens = torch.cat([tokens, likely.indices.gather(1, chosen)], 1)
    table = TokenTable(tokens[:, :-1], tokens[:, 1:], torch.ones(BATCH, width))
    return table, torch.cat(logprobs, 1)


def _rollouts(table: TokenTable, tokenizer: PreTrainedTokenizerFast) -> Rollouts:
    """The tunes that the reward reads: up to the first end mark."""
    end = tokenizer.eos_token_id
    tunes, finished = [], []
    for row in table.targets.tolist():
        finished.append(end in row)
        tunes.append(decode_tune(tokenizer, row[: row.index(end)] if end in row else row))
    sound = [bool(passes_gate(abc, done)) for abc, done in zip(tunes, finished, strict=True)]
    return Rollouts(tuple(tunes), tuple(finished), tuple(sound))
