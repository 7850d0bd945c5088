"""How well a reward model tells which of two tunes a simulated rater prefers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.evaluate import wilson_interval
from prefs.raters import Rater
from prefs.reward_model import Features, RewardModel
from prefs.training_votes import OUTCOMES

_RIDGES = (3.0, 30.0, 300.0)
_FOLDS = 10


def agreement_with(
    rater: Rater, reward: RewardModel, features: Features, tunes: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """Share of unrelated pairs of `tunes` that the reward model orders as the rater does.

    "noiseless" against the utility, "noisy" against votes that are no ties; each tune in one pair.
    """
    mean, _ = reward.probe.utility(reward.project(features))
    order = np.random.default_rng(seed).permutation(len(tunes) // 2 * 2).reshape(-1, 2)
    return agreement(rater, rater.utilities(tunes), mean, order, seed=seed)


def agreement(
    rater: Rater,
    utilities: NDArray[np.float64],
    predicted: NDArray[np.float64],
    pairs: NDArray[np.int64],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """The same from utilities (N,), predictions (N,) and pairs (P, 2) of indices."""
    rng = np.random.default_rng(seed)
    leads = utilities[pairs[:, 0]] - utilities[pairs[:, 1]]
    guesses = predicted[pairs[:, 0]] > predicted[pairs[:, 1]]
    told = leads != 0
    votes = np.array([OUTCOMES[rater.choice_at(float(lead), rng)] for lead in leads])
    decided = votes != 0.5
    right = guesses[told] == (leads[told] > 0)
    return {
        "noiseless": float(np.mean(right)),
        "interval": wilson_interval(float(right.sum()), len(right)) if len(right) else (0.0, 1.0),
        "noisy": float(np.mean(guesses[decided] == (votes[decided] > 0.5))),
        "pairs": len(pairs),
    }


def explained(table: NDArray[np.float64], utilities: NDArray[np.float64]) -> float:
    """Share of the variance of utilities (N,) that a ridge regression on `table` (N, D) explains.

    On tunes that it was not fitted to, by cross-validation; 0 where it explains nothing.
    """
    spread = table.std(0)
    inputs = (table - table.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    fold = np.arange(len(inputs)) % _FOLDS
    errors = []
    for ridge in _RIDGES:
        guessed = np.zeros(len(inputs))
        for number in range(_FOLDS):
            seen, mean = inputs[fold != number], utilities[fold != number].mean()
            square = seen.T @ seen + ridge * np.eye(seen.shape[1])
            weights = np.linalg.solve(square, seen.T @ (utilities[fold != number] - mean))
            guessed[fold == number] = inputs[fold == number] @ weights + mean
        errors.append(float(((utilities - guessed) ** 2).mean()))
    return max(0.0, 1 - min(errors) / float(utilities.var()))
