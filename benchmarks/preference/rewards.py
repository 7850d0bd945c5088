"""The rewards that a sweep compares: what they read, what they learn from, and how.

The usual one is prefs/reward_model.py. `regression` is the founding document's proposal: instead of
the pairwise loss, each voted tune gets the posterior mean of its Bradley-Terry strength, and a
ridge regression on the features learns these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from musicgen.checkpoint import Checkpoint
from prefs.ladder import build_ladder
from prefs.probe import Comparisons, Probe, Projection, held_out_logits
from prefs.reward_model import (
    COMPONENTS,
    Features,
    RewardModel,
    fit_reward_model,
)

Kind = Literal["usual", "statistics", "activations", "ladder", "regression"]

_PRIOR = 1.0  # standard deviation of a tune's strength, in logits
_RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0)
PRINTED = 300  # tunes that the ladder stands on


@dataclass(frozen=True)
class Taught:
    """Votes with the features of their tunes, and sound tunes of the base model to scale by."""

    voted: Features
    votes: Comparisons
    references: Features


def fitted(kind: Kind, taught: Taught, ladder: RewardModel | None = None) -> RewardModel:
    """`statistics` reads these alone, `activations` always both; `ladder` lets that join too."""
    if kind == "regression":
        return _regression(taught)
    reads: dict[Kind, Sequence[bool]] = {"statistics": (False,), "activations": (True,)}
    return fit_reward_model(
        taught.voted,
        taught.votes,
        taught.references,
        reads_activations=reads.get(kind, (False, True)),
        ladder=ladder if kind == "ladder" else None,
    )


def ladder_reward(
    base: Checkpoint, printed: Sequence[str], references: Sequence[str], place: Path
) -> RewardModel:
    """The reward of the synthetic ladder of this base model, kept in the folder `place`."""
    if not (place / "reward.json").is_file():
        ladder = build_ladder(printed, references, PRINTED, np.random.default_rng(0))
        tunes = Features.of(base.model, base.tokenizer, ladder.tunes)
        scale = Features.of(base.model, base.tokenizer, references)
        fit_reward_model(tunes, ladder.comparisons, scale).save(place)
    return RewardModel.load(place)


def strengths(votes: Comparisons, tunes: int) -> NDArray[np.float64]:
    """Posterior means (tunes,) of Bradley-Terry strengths under a normal prior, at the mode.

    >>> pair = Comparisons(np.array([0]), np.array([1]), np.array([1.0]))
    >>> strengths(pair, 2).round(3).tolist()
    [0.337, -0.337]
    """
    found = np.zeros(tunes)
    for _ in range(30):
        chance = 1 / (1 + np.exp(found[votes.second] - found[votes.first]))
        gradient = -found / _PRIOR**2
        np.add.at(gradient, votes.first, votes.outcome - chance)
        np.add.at(gradient, votes.second, chance - votes.outcome)
        curved = np.full(tunes, 1 / _PRIOR**2)
        for side in (votes.first, votes.second):
            # twice the own share bounds the row sum of the Hessian, so that no step goes too far
            np.add.at(curved, side, 2 * chance * (1 - chance))
        found += gradient / curved
    return found


def _regression(taught: Taught) -> RewardModel:
    both = np.vstack([taught.voted.statistics, taught.references.statistics])
    of_statistics = Projection.of(both, both.shape[1])
    activations = np.vstack([taught.voted.activations, taught.references.activations])
    of_activations = Projection.of(activations, COMPONENTS)
    blank = RewardModel(
        Probe(np.zeros(0), np.zeros((0, 0)), 0.0, 0.0, 0.0, 0), of_statistics, of_activations, both
    )
    inputs = blank.project(taught.voted)
    used = np.unique(np.concatenate([taught.votes.first, taught.votes.second]))
    table, wanted = inputs[used], strengths(taught.votes, len(inputs))[used]
    probe = min((_ridge(table, wanted, ridge) for ridge in _RIDGES), key=lambda one: one[0])[1]
    held, logits = held_out_logits(inputs, taught.votes, probe.ridge)
    decided = held.outcome != 0.5
    right = (logits > 0)[decided] == (held.outcome > 0.5)[decided]
    probe = replace(probe, accuracy=float(right.mean()), votes=len(taught.votes))
    center = blank.project(taught.references).mean(0)
    model = replace(blank, probe=probe, center=center)
    raw = model.raw(taught.references)
    return replace(model, mean=float(raw.mean()), std=float(max(raw.std(), 1e-6)))


def _ridge(
    table: NDArray[np.float64], wanted: NDArray[np.float64], ridge: float
) -> tuple[float, Probe]:
    """Mean squared error on tunes that were left out, and the fit to all."""
    inverse = np.linalg.inv(table.T @ table + ridge * np.eye(table.shape[1]))
    weights = inverse @ table.T @ wanted
    # leaving one out, by the hat matrix
    lever = np.einsum("nk,kl,nl->n", table, inverse, table)
    error = float((((wanted - table @ weights) / (1 - lever)) ** 2).mean())
    return error, Probe(
        weights, np.asarray(error * inverse, dtype=np.float64), 0.0, ridge, float("nan"), 0
    )
