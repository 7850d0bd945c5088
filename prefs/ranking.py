"""Bradley-Terry strengths of tunes or models from votes, with intervals.

P(a beats b) = sigmoid(strength a - strength b); a tie is half a win of each. A normal prior of mean
0 makes an answer exist for any votes, connected or not. The mode is choix's (Maystre); the interval
is Laplace's approximation around it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import choix
import numpy as np

PRIOR_STD = 1.5  # of a strength, in logits: 95% of items win between 5% and 95% against the mean


@dataclass(frozen=True)
class Comparison:
    """One vote between two items: `score` is 1 if the first won, 1/2 for a tie, 0 if it lost."""

    first: Hashable
    second: Hashable
    score: float


@dataclass(frozen=True)
class Rating:
    """The strength of an item in logits above the average item, and how sure it is."""

    item: Hashable
    strength: float
    std: float
    low: float  # of the interval that holds it with 95%
    high: float
    votes: int


def rank(
    items: Iterable[Hashable], comparisons: Iterable[Comparison], *, prior_std: float = PRIOR_STD
) -> list[Rating]:
    """All `items`, the strongest first; one without votes stands at 0 with the prior's width.

    Raises ValueError for a comparison of an item that is not among `items`, or with itself.
    """
    order = list(dict.fromkeys(items))
    place = {item: index for index, item in enumerate(order)}
    if not order:
        return []
    # choix knows wins only: a win is counted twice, a tie once for each, the prior twice as well
    wins: list[tuple[int, int]] = []
    votes = np.zeros(len(order), dtype=np.int64)
    pairs = []
    for comparison in comparisons:
        if comparison.first not in place or comparison.second not in place:
            raise ValueError(f"a vote is on an item that is not ranked: {comparison}")
        one, other = place[comparison.first], place[comparison.second]
        if one == other:
            raise ValueError(f"a vote sets an item against itself: {comparison}")
        twice = round(2 * comparison.score)
        wins += [(one, other)] * twice + [(other, one)] * (2 - twice)
        votes[[one, other]] += 1
        pairs.append((one, other))
    precision = 1 / prior_std**2
    strengths = np.zeros(len(order))
    if wins and len(order) > 1:
        strengths = choix.opt_pairwise(len(order), wins, alpha=2 * precision)
    deviations = np.sqrt(np.diag(_covariance(strengths, pairs, precision)))
    ratings = [
        Rating(item, float(s), float(d), float(s - 1.96 * d), float(s + 1.96 * d), int(n))
        for item, s, d, n in zip(order, strengths, deviations, votes, strict=True)
    ]
    return sorted(ratings, key=lambda rating: -rating.strength)


def _covariance(
    strengths: np.ndarray, pairs: list[tuple[int, int]], precision: float
) -> np.ndarray:
    """Inverse of the curvature at the mode, (N, N)."""
    curvature = np.eye(len(strengths)) * precision
    if pairs:
        one, other = np.array(pairs).T
        chance = 1 / (1 + np.exp(strengths[other] - strengths[one]))
        weight = chance * (1 - chance)
        np.add.at(curvature, (one, one), weight)
        np.add.at(curvature, (other, other), weight)
        np.add.at(curvature, (one, other), -weight)
        np.add.at(curvature, (other, one), -weight)
    return np.linalg.inv(curvature)
