"""What a tuning is asked for and what it tells: options, checked as they are made, and records.

The bounds refuse what is known to fail; each message names the mistake and what to use instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from prefs.guards import Health, Limits
from prefs.rollout import Rollouts

Method: TypeAlias = Literal["expert", "best-of-n", "ppo", "rloo", "dpo"]
Score: TypeAlias = Callable[[Rollouts], NDArray[np.float64]]
# (model, tokenizer, tunes, seed) -> what the model writes
Draw: TypeAlias = Callable[[GPT2LMHeadModel, PreTrainedTokenizerFast, int, int], Rollouts]

TUNE_TOKENS = 130  # a tune of the default corpus has about so many
FEWEST_IN_A_BATCH = 32


class TuneError(ValueError):
    """A tuning that would fail, or has; the message says why and what to do."""


@dataclass(frozen=True)
class PolicyOptions:
    """PPO and RLOO. Raises TuneError for values with which a run is known to diverge."""

    updates: int = 60  # a batch of tunes each
    batch: int = 64  # tunes an update
    copies: int = 4  # tunes drawn from one prompt
    bars: int = 4  # a prompt is a header and up to so many bars
    epochs: int = 2  # over a batch, at most
    lr: float = 3e-5  # Adam, linear to 0 over the updates
    warmup: int = 10  # updates
    adam_epsilon: float = 1e-5
    clip: float = 0.2  # of the ratio, and of the value
    value_weight: float = 0.1
    gamma: float = 1.0
    lam: float = 1.0
    kl_weight: float = 0.22  # at the start
    kl_target: float = 10.0  # nats a tune
    kl_step: float = 0.02  # the weight moves by this share an update, at most
    stop_kl: float = 0.02  # nats a token from the policy that drew: no further epoch
    max_norm: float = 1.0  # of the gradient
    preflight: int = 1_024  # tunes looked at before the first update

    def __post_init__(self) -> None:
        natural = 1 / math.sqrt(2 * self.kl_target)
        if self.kl_weight < natural / 4:
            raise TuneError(
                f"the KL weight {self.kl_weight} holds nothing: on rewards of deviation 1 it lets "
                f"the model go {1 / (2 * max(self.kl_weight, 1e-9) ** 2):,.0f} nats a tune away; "
                f"for the target of {self.kl_target:g} use {natural:.2f}"
            )
        doubling = math.log(2) / math.log1p(max(self.kl_step, 1e-9))
        if doubling > 100:
            raise TuneError(
                f"the KL weight moves by {self.kl_step:.2%} an update, so it needs {doubling:,.0f} "
                "updates to double: count updates and not tunes, and let it move by 2%"
            )
        reach = (self.gamma * self.lam) ** TUNE_TOKENS
        if reach < 0.05:
            raise TuneError(
                f"with gamma {self.gamma:g} and lambda {self.lam:g} the reward at a tune's end "
                f"reaches its first note with weight {reach:.0e}: use 1 and 1"
            )
        if self.batch < FEWEST_IN_A_BATCH:
            raise TuneError(
                f"advantages cannot be whitened over {self.batch} tunes: draw at least "
                f"{FEWEST_IN_A_BATCH} an update"
            )
        if not 0 < self.max_norm <= 10:
            raise TuneError(
                f"gradients clipped at {self.max_norm} are not clipped: use a norm of 1"
            )
        if self.copies < 2 or self.batch % self.copies:
            raise TuneError(
                f"{self.batch} tunes an update are no whole number of prompts with {self.copies} "
                "tunes each, and at least 2"
            )


@dataclass(frozen=True)
class DpoOptions:
    """Direct preference optimisation on pairs of scored tunes of the same prompt."""

    copies: int = 4  # tunes drawn from one prompt; the best and the worst make a pair
    bars: int = 4  # a prompt is a header and up to so many bars
    beta: float = 0.1
    sft_weight: float = 0.1  # of the chosen tunes' cross entropy
    lr: float = 1e-4
    passes: int = 1
    pairs_a_step: int = 16


@dataclass(frozen=True)
class TuneOptions:
    """How a model is tuned."""

    method: Method = "expert"
    rounds: int = 2  # of expert iteration and DPO; best-of-n has one
    pool: int = 1_536  # tunes drawn a round
    keep: float = 0.125  # share of each kind kept: the best 1 of 8
    passes: int = 3  # over the kept tunes
    lr: float = 2e-4  # AdamW, linear to 0 over each round
    batch_tokens: int = 4_096  # of a forward pass
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    dpo: DpoOptions = field(default_factory=DpoOptions)


@dataclass(frozen=True)
class TuneStep:
    """One round, or one update of PPO and RLOO, as logged."""

    round: int
    kept: int  # tunes trained on
    loss: float  # at the end of the round
    lr: float
    reward: float  # mean over the rollouts after the round
    base_reward: float  # the same for the base model
    health: Health  # over the last rounds, if one has few tunes
    base_health: Health
    taken_back: tuple[str, ...] = ()  # why the round does not count; empty if it does
    done: tuple[str, ...] = ()  # what was done about it, or beforehand, in words
    figures: dict[str, float] = field(default_factory=dict)  # of this method: KL weight, ...

    def line(self) -> str:
        """The progress line of this round."""
        text = (
            f"round {self.round}: reward {self.reward:+.2f} (base {self.base_reward:+.2f}) - "
            f"KL {self.health.kl:.1f} nats a tune - gate {self.health.validity:.0%} - "
            f"4-grams {self.health.variety:.3f} (base {self.base_health.variety:.3f})"
        )
        text += "".join(f"\n  taken back: {reason}" for reason in self.taken_back)
        return text + "".join(f"\n  {words}" for words in self.done)
