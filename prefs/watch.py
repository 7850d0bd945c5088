"""Guards in action: soft steps while a figure nears its limit, then back to the best checkpoint.

A soft step holds the model closer to its base (a higher KL weight, where there is one) and lowers
the learning rate. A figure over its limit takes the model back to the best state so far, with half
the rate; the second time the run ends there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from prefs.arm import Arm, Array, Begun
from prefs.guards import Health, Limits, complaints, concerns, mean_health
from prefs.rollout import Rollouts

TUNES = 256  # as many rollouts as a judgement rests on at least
SOFT_EVERY = 5  # rounds between two soft steps
SOFT_RATE = 0.7
MOST_RETURNS = 2


@dataclass
class Best:
    """The best state so far: weights, what the arm goes on from, and the rollouts drawn from it."""

    reward: float
    number: int  # the round after which it was
    weights: Mapping[str, torch.Tensor]
    arm: dict[str, Any]
    rollouts: Rollouts
    rewards: Array


class Watch:
    """Judges a model after each round, and says what to do."""

    def __init__(self, begun: Begun, limits: Limits, model: GPT2LMHeadModel, arm: Arm) -> None:
        self.base, self.limits = begun.health, limits
        # a round that is one of few is judged by itself
        self.window = min(ceil(TUNES / max(1, len(begun.rollouts))), ceil(arm.rounds / 4))
        self.recent: list[tuple[Health, float]] = []
        self.factor = 1.0  # of the learning rate
        self.returns = 0
        self.last_soft = -SOFT_EVERY
        self.best = _state(begun.reward, 0, model, arm, begun.rollouts, begun.rewards)

    @property
    def over(self) -> bool:
        return self.returns >= MOST_RETURNS

    def judge(self, health: Health, reward: float) -> tuple[Health, list[str]]:
        """The health over the last rounds, and what is wrong with it.

        A KL beyond all measure needs no second look.
        """
        self.recent = [*self.recent, (health, reward)][-self.window :]
        mean = mean_health([one for one, _ in self.recent])
        wrong = complaints(mean, self.base, self.limits)
        if health.kl > 2 * self.limits.kl and not wrong:
            wrong = complaints(health, self.base, self.limits)
        return mean, wrong

    def keep_if_best(
        self, number: int, model: GPT2LMHeadModel, arm: Arm, rollouts: Rollouts, rewards: Array
    ) -> None:
        """Remember this state if the rewards of the last rounds are the highest so far."""
        reward = float(np.mean([one for _, one in self.recent]))
        if len(self.recent) == self.window and reward >= self.best.reward:
            self.best = _state(reward, number, model, arm, rollouts, rewards)

    def soften(self, health: Health, number: int, arm: Arm) -> tuple[str, ...]:
        """What was done about figures that near their limits, in words."""
        near = concerns(health, self.base, self.limits)
        if not near or number - self.last_soft < SOFT_EVERY:
            return ()
        self.last_soft = number
        self.factor *= SOFT_RATE
        held = arm.tighten()
        words = f"near its limit: {', '.join(near)}; learning rate lowered to {self.factor:.0%}"
        return (words + (f", {held}" if held else ""),)

    def go_back(self, model: GPT2LMHeadModel, arm: Arm) -> tuple[str, ...]:
        """Put the best state back; what was done, in words."""
        self.returns += 1
        self.factor /= 2
        self.recent = []
        model.load_state_dict(self.best.weights)
        arm.restore(copy.deepcopy(self.best.arm))
        held = arm.tighten()
        where = f"round {self.best.number}" if self.best.number else "the base model"
        words = f"back to {where}"
        if self.over:
            return (words + ", and no further",)
        return (
            words + f"; learning rate lowered to {self.factor:.0%}" + (f", {held}" if held else ""),
        )

    def state(self) -> dict[str, Any]:
        """All of this as plain values and tensors; `restore` reads it."""
        return {
            "recent": [[asdict(health), reward] for health, reward in self.recent],
            "factor": self.factor,
            "returns": self.returns,
            "last_soft": self.last_soft,
        }

    def restore(self, state: dict[str, Any], best: Best) -> None:
        self.recent = [(Health(**health), reward) for health, reward in state["recent"]]
        self.factor, self.returns = state["factor"], state["returns"]
        self.last_soft, self.best = state["last_soft"], best


def _state(
    reward: float,
    number: int,
    model: GPT2LMHeadModel,
    arm: Arm,
    rollouts: Rollouts,
    rewards: Array,
) -> Best:
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return Best(reward, number, weights, copy.deepcopy(arm.state()), rollouts, rewards)
