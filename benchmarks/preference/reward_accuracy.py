"""How well a reward model tells which of two tunes a simulated rater prefers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from musicgen.checkpoint import Checkpoint
from prefs.raters import Rater
from prefs.reward_model import Features, RewardModel
from prefs.training_votes import OUTCOMES

MOST_TUNES = 600  # whose features are computed


def agreement_with(
    rater: Rater, reward: RewardModel, base: Checkpoint, tunes: Sequence[str], *, seed: int = 0
) -> dict[str, float]:
    """Share of unrelated pairs of `tunes` that the reward model orders as the rater does.

    "noiseless" against the utility, "noisy" against votes that are no ties; each tune in one pair.
    """
    chosen = list(tunes[:MOST_TUNES])
    features = Features.of(base.model, base.tokenizer, chosen)
    mean, _ = reward.probe.utility(reward.project(features))
    order = np.random.default_rng(seed).permutation(len(chosen) // 2 * 2).reshape(-1, 2)
    return agreement(rater, rater.utilities(chosen), mean, order, seed=seed)


def agreement(
    rater: Rater,
    utilities: NDArray[np.float64],
    predicted: NDArray[np.float64],
    pairs: NDArray[np.int64],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """The same from utilities (N,), predictions (N,) and pairs (P, 2) of indices."""
    rng = np.random.default_rng(seed)
    leads = utilities[pairs[:, 0]] - utilities[pairs[:, 1]]
    guesses = predicted[pairs[:, 0]] > predicted[pairs[:, 1]]
    told = leads != 0
    votes = np.array([OUTCOMES[rater.choice_at(float(lead), rng)] for lead in leads])
    decided = votes != 0.5
    return {
        "noiseless": float(np.mean(guesses[told] == (leads[told] > 0))),
        "noisy": float(np.mean(guesses[decided] == (votes[decided] > 0.5))),
        "pairs": float(len(pairs)),
    }
