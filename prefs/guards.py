"""What must not happen to a model while it is tuned, and how it is noticed.

A tuned model that has collapsed writes few different tunes, broken tunes, very short or long ones,
or lies far from the base model. Each is measured on rollouts and held against the base model's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.evaluate import distinct_ngrams
from musicgen.tokenizer import encode_prompt
from prefs.rollout import Rollouts, log_probabilities


@dataclass(frozen=True)
class Limits:
    """Where a guard stops a run; shares are of the base model's figure."""

    kl: float = 20.0  # nats a tune: twice what the recipe aims at
    entropy: float = 0.6
    variety: float = 0.85
    validity: float = 0.95
    length: tuple[float, float] = (0.6, 1.6)


@dataclass(frozen=True)
class Health:
    """State of a model, measured on its rollouts."""

    kl: float  # KL(model, base) in nats a tune
    entropy: float  # nats a token
    variety: float  # different token 4-grams over all of them
    validity: float  # share of tunes that pass the gate
    length: float  # tokens a tune
    tunes: int

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

    Both models' probabilities come from the same forward pass over the same tokens. KL and entropy
    are the plain Monte Carlo means of log p - log q and -log p.
    """
    own, tokens = log_probabilities(model, tokenizer, rollouts.tunes, rollouts.finished)
    theirs, _ = log_probabilities(base, tokenizer, rollouts.tunes, rollouts.finished)
    return Health(
        kl=float(np.mean(own - theirs)),
        entropy=float(-own.sum() / tokens.sum()),
        variety=distinct_ngrams([encode_prompt(tokenizer, abc) for abc in rollouts.tunes]),
        validity=float(np.mean(rollouts.sound)),
        length=float(np.mean(tokens)),
        tunes=len(rollouts),
    )


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
    return found
