"""What must not happen to a model while it is tuned, and how it is noticed.

A tuned model that has collapsed writes few different tunes, broken tunes, very short or long ones,
lies far from the base model, or gets the same reward for everything. Each is measured on rollouts
and held against the base model's own. What to do about it says watch.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.evaluate import distinct_ngrams
from musicgen.tokenizer import encode_prompt
from prefs.rollout import Rollouts, log_probabilities

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """Where a guard stops a run; shares are of the base model's figure."""

    kl: float = 20.0  # nats a tune: twice what the recipe aims at
    entropy: float = 0.6
    variety: float = 0.85
    validity: float = 0.95
    length: tuple[float, float] = (0.6, 1.6)
    reward_spread: float = 0.3


@dataclass(frozen=True)
class Health:
    """State of a model, measured on its rollouts."""

    kl: float  # KL(model, base) in nats a tune
    entropy: float  # nats a token
    variety: float  # different token 4-grams over all of them
    validity: float  # share of tunes that pass the gate
    length: float  # tokens a tune
    tunes: int
    reward_spread: float = 1.0  # standard deviation of the rewards of sound tunes

    @property
    def validity_error(self) -> float:
        """Standard error of the validity."""
        return float(np.sqrt(max(self.validity * (1 - self.validity), 1e-4) / self.tunes))


def measure(
    model: GPT2LMHeadModel,
    base: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    rollouts: Rollouts,
) -> Health:
    """Health of `model`, which wrote `rollouts`; equal numbers of them can be compared.

    Both models' probabilities come from the same forward pass over the same tokens.
    """
    own, tokens = log_probabilities(model, tokenizer, rollouts.tunes, rollouts.finished)
    theirs, _ = log_probabilities(base, tokenizer, rollouts.tunes, rollouts.finished)
    return health_of(rollouts, tokenizer, own, theirs, tokens)


def health_of(
    rollouts: Rollouts,
    tokenizer: PreTrainedTokenizerFast,
    logprobs: Array,
    base_logprobs: Array,
    tokens: NDArray[Any],
) -> Health:
    """Health from the log-probabilities of whole tunes (N,) and their numbers of tokens (N,).

    KL and entropy are the plain Monte Carlo means of log p - log q and -log p.
    """
    return Health(
        kl=float(np.mean(logprobs - base_logprobs)),
        entropy=float(-logprobs.sum() / tokens.sum()),
        variety=distinct_ngrams([encode_prompt(tokenizer, abc) for abc in rollouts.tunes]),
        validity=float(np.mean(rollouts.sound)),
        length=float(np.mean(tokens)),
        tunes=len(rollouts),
    )


def reward_spread(rollouts: Rollouts, rewards: Array) -> float:
    """Standard deviation of the rewards of the sound tunes; 0 where there are fewer than two."""
    sound = rewards[np.asarray(rollouts.sound)]
    return float(sound.std()) if len(sound) > 1 else 0.0


def mean_health(several: Sequence[Health]) -> Health:
    """The mean of each figure; `tunes` are those of all together."""
    means: dict[str, Any] = {
        one.name: float(np.mean([getattr(health, one.name) for health in several]))
        for one in fields(Health)
    }
    return Health(**{**means, "tunes": sum(health.tunes for health in several)})


def complaints(now: Health, base: Health, limits: Limits) -> list[str]:
    """What is wrong with a model beside its base, in words; empty if all is well.

    Validity is held against its own sampling error: two standard errors more are let pass.
    """
    found = []
    if now.kl > limits.kl:
        found.append(f"it lies {now.kl:.1f} nats a tune from the base model (at most {limits.kl})")
    if now.entropy < limits.entropy * base.entropy:
        found.append(
            f"its entropy fell to {now.entropy:.2f} nats a token (base: {base.entropy:.2f})"
        )
    if now.variety < limits.variety * base.variety:
        found.append(
            f"its tunes became alike: {now.variety:.3f} different 4-grams, base {base.variety:.3f}"
        )
    error = float(np.hypot(now.validity_error, base.validity_error))
    if now.validity < limits.validity * base.validity - 2 * error:
        found.append(
            f"only {now.validity:.0%} of its tunes pass the gate (base: {base.validity:.0%})"
        )
    shortest, longest = (share * base.length for share in limits.length)
    if not shortest <= now.length <= longest:
        found.append(f"its tunes have {now.length:.0f} tokens (base: {base.length:.0f})")
    if now.reward_spread < limits.reward_spread * base.reward_spread:
        found.append(
            f"its tunes are all rewarded alike: deviation {now.reward_spread:.2f} "
            f"(base: {base.reward_spread:.2f})"
        )
    return found


def concerns(now: Health, base: Health, limits: Limits, *, near: float = 0.75) -> list[str]:
    """Which figures have gone the share `near` of the way to where a guard stops the run."""
    ways = {
        "KL": now.kl / limits.kl,
        "entropy": _way(now.entropy / base.entropy, limits.entropy),
        "variety": _way(now.variety / base.variety, limits.variety),
        "validity": _way(
            (now.validity + 2 * float(np.hypot(now.validity_error, base.validity_error)))
            / base.validity,
            limits.validity,
        ),
        "length": max(_way(now.length / base.length, share) for share in limits.length),
        "reward spread": _way(
            now.reward_spread / max(base.reward_spread, 1e-9), limits.reward_spread
        ),
    }
    return [name for name, way in ways.items() if way > near]


def _way(share: float, limit: float) -> float:
    """0 at the base model's figure, 1 at the limit."""
    return (1 - share) / (1 - limit)
