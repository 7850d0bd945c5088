"""How far a reward model can be trusted, from the votes alone: everything on held-out tunes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prefs.learning_curve import accuracy_after
from prefs.probe import FEWEST_VOTES, Array, Comparisons, held_out_logits

CURVE: tuple[int, ...] = (50, 100, 200, 400, 600, 1_000, 2_000)
CURVE_DRAWS = 2  # of some of the votes, averaged
FEWEST_IN_A_BIN = 5
BINS = 5  # of predicted chances from 0.5 to 1


@dataclass(frozen=True)
class CalibrationBin:
    """Votes of like confidence: the mean chance that was predicted, and how often it came true."""

    predicted: float
    observed: float
    votes: int


@dataclass(frozen=True)
class RewardReport:
    """Accuracies leave ties out; None where there are no votes to say it by."""

    votes: int
    ties: int
    accuracy: float | None  # on votes whose tunes were not learned from
    self_agreement: float | None  # of raters with themselves: no accuracy can be expected above it
    contradicted: float | None  # share of pairs voted on repeatedly that got opposite votes
    same_opening: float | None  # accuracy on pairs that begin alike ...
    unrelated: float | None  # ... and on others
    length_correlation: float  # of the utility with the number of characters
    calibration: tuple[CalibrationBin, ...]
    curve: dict[int, float]  # accuracy by number of votes learned from


def reward_report(
    inputs: Array,
    votes: Comparisons,
    tunes: Sequence[str],
    utility: Array,
    ridge: float,
    *,
    sizes: Sequence[int] = (),
    self_agreement: float | None = None,
    seed: int = 0,
) -> RewardReport:
    """`inputs` (N, K) of the probe and its `utility` (N,) for `tunes`, which the votes are on.

    `ridge` and `sizes` are the probe's.
    """
    held, logits = held_out_logits(inputs, votes, ridge, sizes=sizes)
    decided = held.outcome != 0.5
    hits = (logits > 0) == (held.outcome > 0.5)
    alike = np.array(
        [
            _begin_alike(tunes[one], tunes[other])
            for one, other in zip(held.first, held.second, strict=True)
        ],
        dtype=bool,
    )
    lengths = np.array([len(abc) for abc in tunes], dtype=float)
    return RewardReport(
        votes=len(votes),
        ties=int((votes.outcome == 0.5).sum()),
        accuracy=_mean(hits[decided]),
        self_agreement=self_agreement,
        contradicted=_contradicted(votes),
        same_opening=_mean(hits[decided & alike]),
        unrelated=_mean(hits[decided & ~alike]),
        length_correlation=_correlation(lengths, utility),
        calibration=_calibration(logits[decided], held.outcome[decided]),
        curve=_curve(inputs, votes, sizes, seed),
    )


def _curve(inputs: Array, votes: Comparisons, sizes: Sequence[int], seed: int) -> dict[int, float]:
    """Accuracy with some of the votes."""
    rng = np.random.default_rng(seed)
    found = {}
    for count in CURVE:
        if FEWEST_VOTES <= count <= len(votes):
            accuracy = accuracy_after(inputs, votes, count, rng, draws=CURVE_DRAWS, sizes=sizes)
            if accuracy is not None:
                found[count] = accuracy
    return found


def _calibration(logits: Array, outcome: Array) -> tuple[CalibrationBin, ...]:
    chance = 1 / (1 + np.exp(-np.abs(logits)))  # of the side that is predicted
    right = (logits > 0) == (outcome > 0.5)
    bins = np.minimum(((chance - 0.5) * 2 * BINS).astype(int), BINS - 1)
    return tuple(
        CalibrationBin(float(chance[bins == one].mean()), float(right[bins == one].mean()), count)
        for one in range(BINS)
        if (count := int((bins == one).sum())) >= FEWEST_IN_A_BIN
    )


def _contradicted(votes: Comparisons) -> float | None:
    """Share of pairs with several decided votes that are not all for the same tune."""
    said: dict[tuple[int, int], list[int]] = defaultdict(list)
    rows = zip(votes.first.tolist(), votes.second.tolist(), votes.outcome.tolist(), strict=True)
    for first, second, outcome in rows:
        if outcome != 0.5:
            said[min(first, second), max(first, second)].append(first if outcome > 0.5 else second)
    several = [winners for winners in said.values() if len(winners) > 1]
    return _mean(np.array([len(set(winners)) > 1 for winners in several]))


def _begin_alike(one: str, other: str, bars: int = 2) -> bool:
    """Whether two tunes have the header and the first bars in common."""
    return one.split("|")[:bars] == other.split("|")[:bars]


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _correlation(one: Array, other: Array) -> float:
    if one.std() < 1e-9 or other.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
