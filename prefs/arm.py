"""What a method of tuning is to the loop: it draws, is measured, learns, and can be put back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from prefs.guards import Health, reward_spread
from prefs.rollout import Rollouts

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Begun:
    """What an arm starts from: rollouts of the base model, their rewards, and how it does."""

    rollouts: Rollouts
    rewards: Array
    health: Health
    reward: float  # mean of as many rollouts as were looked at

    @classmethod
    def of(cls, rollouts: Rollouts, rewards: Array, health: Health) -> Begun:
        spread = reward_spread(rollouts, rewards)
        return cls(rollouts, rewards, replace(health, reward_spread=spread), float(rewards.mean()))


@dataclass(frozen=True)
class Learned:
    """What one round of learning was."""

    kept: int  # tunes learned from
    loss: float
    lr: float
    figures: dict[str, float]  # of this method


class Arm(Protocol):
    """A method of tuning over one model, which it changes in place."""

    rounds: int

    def begin(self, pool: Rollouts) -> Begun:
        """From tunes of the base model; raises TuneError if learning from here would fail."""

    def resume(self, pool: Rollouts) -> None:
        """In place of `begin`, in a run that was begun before."""

    def draw(self, number: int, tries: int) -> Rollouts:
        """Tunes after round `number`; they depend on nothing but these and the weights."""

    def measure(self, rollouts: Rollouts) -> Health:
        """Health of the model that drew `rollouts`."""

    def learn(
        self, rollouts: Rollouts, rewards: Array, number: int, tries: int, factor: float
    ) -> Learned:
        """One round on tunes that the model as it is has drawn, at `factor` times its rate."""

    def tighten(self) -> str | None:
        """Hold the model closer to the base; what was done, in words, if it can be done."""

    def state(self) -> dict[str, Any]:
        """All that learning goes on from, the model's weights left out."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
