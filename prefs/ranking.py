"""Bradley-Terry strengths of tunes or models from votes, with intervals.

P(a beats b) = sigmoid(strength a - strength b + side + length x), where `side` is what being shown
first is worth and x the number of doublings by which a is longer than b; a tie is half a win of
each. Normal priors of mean 0 make an answer exist for any votes, connected or not. choix (Maystre)
finds the mode without the two covariates, Newton's method takes them in from there. Strength and
interval are those of the normal distribution that is nearest to the posterior (Opper and Archambeau
2009): with few votes a posterior leans away from 0, and an interval around its mode is too narrow.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import choix
import numpy as np
from numpy.typing import NDArray

from prefs.logistic import sigmoid

Array = NDArray[np.float64]

PRIOR_STD = 1.5  # of a strength, in logits: 95% of items win between 5% and 95% against the mean
EFFECT_STD = 1.0  # of what the side and a doubling of length are worth, in logits
_STEPS = 50
_ROUNDS = 10
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()


@dataclass(frozen=True)
class Comparison:
    """One vote between two items: `score` is 1 if the first won, 1/2 for a tie, 0 if it lost."""

    first: Hashable
    second: Hashable
    score: float
    doublings: float = 0.0  # log2 of how many times longer the first is


@dataclass(frozen=True)
class Rating:
    """The strength of an item in logits above the average item, and how sure it is."""

    item: Hashable
    strength: float
    std: float
    low: float  # of the interval that holds it with 95%
    high: float
    votes: int


@dataclass(frozen=True)
class Effect:
    """What something other than the items is worth, in logits, with its 95% interval."""

    value: float
    std: float

    @property
    def low(self) -> float:
        return self.value - 1.96 * self.std

    @property
    def high(self) -> float:
        return self.value + 1.96 * self.std

    @property
    def chance(self) -> float:
        """That it decides for its side between two equal items."""
        return float(sigmoid(np.array(self.value)))


@dataclass(frozen=True)
class Ranking:
    """The items, the strongest first, and what the votes say of side and length."""

    ratings: tuple[Rating, ...]
    side: Effect  # of being shown first
    length: Effect  # of being twice as long


def rank(
    items: Iterable[Hashable],
    comparisons: Iterable[Comparison],
    *,
    prior_std: float = PRIOR_STD,
    about_mean: bool = False,
) -> Ranking:
    """All `items`; one without votes stands at 0 with the prior's width.

    `about_mean`: the intervals are those of the distance from the average of these items, which
    votes tell more exactly than the distance from the average of all that there could be.
    Raises ValueError for a comparison of an item that is not among `items`, or with itself.
    """
    order = list(dict.fromkeys(items))
    votes = _Votes.of(order, comparisons)
    precision = 1 / prior_std**2
    strengths = np.zeros(len(order))
    if len(votes.score) and len(order) > 1:
        # choix knows wins only: a win is counted twice, a tie once for each, and the prior twice;
        # its penalty is alpha times the sum of squares, half the precision of a normal prior
        strengths = choix.opt_pairwise(len(order), votes.wins(), alpha=precision)
    fit = _Fit(votes, len(order), precision, whole=about_mean)
    strengths, effects = fit.nearest(strengths)
    deviations, effect_deviations = fit.deviations(strengths, effects)
    if about_mean and len(order):
        strengths = strengths - strengths.mean()
    counts = np.bincount(np.concatenate([votes.one, votes.other]), minlength=len(order))
    ratings = [
        Rating(item, float(s), float(d), float(s - 1.96 * d), float(s + 1.96 * d), int(n))
        for item, s, d, n in zip(order, strengths, deviations, counts, strict=True)
    ]
    side, length = (
        Effect(float(v), float(d)) for v, d in zip(effects, effect_deviations, strict=True)
    )
    return Ranking(tuple(sorted(ratings, key=lambda rating: -rating.strength)), side, length)


@dataclass(frozen=True)
class _Votes:
    """The comparisons as arrays, (V,) each, and the covariates, (V, 2)."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    score: Array
    covariates: Array

    @classmethod
    def of(cls, order: list[Hashable], comparisons: Iterable[Comparison]) -> _Votes:
        place = {item: index for index, item in enumerate(order)}
        rows = []
        for comparison in comparisons:
            if comparison.first not in place or comparison.second not in place:
                raise ValueError(f"a vote is on an item that is not ranked: {comparison}")
            one, other = place[comparison.first], place[comparison.second]
            if one == other:
                raise ValueError(f"a vote sets an item against itself: {comparison}")
            rows.append((one, other, comparison.score, 1.0, comparison.doublings))
        table = np.array(rows, dtype=np.float64).reshape(-1, 5)
        places = table[:, :2].astype(np.int64)
        return cls(places[:, 0], places[:, 1], table[:, 2], table[:, 3:])

    def wins(self) -> list[tuple[int, int]]:
        """Pairs (winner, loser), two for each vote."""
        found: list[tuple[int, int]] = []
        for one, other, score in zip(
            self.one.tolist(), self.other.tolist(), self.score, strict=True
        ):
            twice = round(2 * float(score))
            found += [(one, other)] * twice + [(other, one)] * (2 - twice)
        return found


class _Fit:
    """The normal distribution nearest to the posterior. Its curvature in the strengths falls into
    blocks that no vote connects; the two covariates touch all of them and are eliminated last."""

    def __init__(self, votes: _Votes, items: int, precision: float, *, whole: bool) -> None:
        self.votes, self.items, self.precision, self.whole = votes, items, precision, whole
        self.blocks = [_Block.of(votes, np.arange(items))] if whole else _blocks(votes, items)
        self.spread = np.zeros(len(votes.score))  # std of each vote's lead, in logits

    def nearest(self, strengths: Array) -> tuple[Array, Array]:
        """Means of the strengths (N,) and of the effects (2,), from near the mode `strengths`."""
        found = self._balanced(strengths, np.zeros(2))
        for _ in range(_ROUNDS):
            before, self.spread = self.spread, self._lead_deviations(*found)
            found = self._balanced(*found)
            if np.abs(self.spread - before).max(initial=0) < 1e-3:
                break
        return found

    def _balanced(self, strengths: Array, effects: Array) -> tuple[Array, Array]:
        """Newton's method: where votes and priors balance, given how sure the leads are."""
        votes = self.votes
        for _ in range(_STEPS):
            missing = votes.score - self._chance(strengths, effects) @ _NODE_WEIGHTS
            gradient = -self.precision * strengths
            np.add.at(gradient, votes.one, missing)
            np.add.at(gradient, votes.other, -missing)
            of_effects = votes.covariates.T @ missing - effects / EFFECT_STD**2
            weights = self._weights(strengths, effects)
            reach, rest = self._eliminated(weights)
            inner = self._solved(weights, gradient)
            step = np.linalg.solve(rest, of_effects - self._border(weights).T @ inner)
            inner = inner - reach @ step
            largest = max(float(np.abs(inner).max(initial=0)), float(np.abs(step).max()))
            strengths = strengths + inner / max(1.0, largest)
            effects = effects + step / max(1.0, largest)
            if largest < 1e-8:
                break
        return strengths, effects

    def deviations(self, strengths: Array, effects: Array) -> tuple[Array, Array]:
        """Standard deviations of strengths (N,), from their mean if `whole`, and effects (2,)."""
        weights = self._weights(strengths, effects)
        reach, rest = self._eliminated(weights)
        covariance = np.linalg.inv(rest)
        variances = np.zeros(self.items)
        for block in self.blocks:
            part = reach[block.items]
            full = np.linalg.inv(block.curvature(weights, self.precision))
            full = full + part @ covariance @ part.T
            if self.whole and len(full):
                full = full - full.mean(0) - full.mean(1)[:, None] + full.mean()
            variances[block.items] = np.diag(full)
        return np.sqrt(np.maximum(variances, 0)), np.sqrt(np.diag(covariance))

    def _lead_deviations(self, strengths: Array, effects: Array) -> Array:
        """Standard deviation of each vote's lead, (V,)."""
        votes = self.votes
        weights = self._weights(strengths, effects)
        reach, rest = self._eliminated(weights)
        through = votes.covariates - reach[votes.one] + reach[votes.other]  # the effects' part
        variances = np.einsum("vi,ij,vj->v", through, np.linalg.inv(rest), through)
        for block in self.blocks:
            inverse = np.linalg.inv(block.curvature(weights, self.precision))
            own = np.diag(inverse)
            both = inverse[block.one, block.other]
            variances[block.votes] += own[block.one] + own[block.other] - 2 * both
        return np.asarray(np.sqrt(variances))

    def _chance(self, strengths: Array, effects: Array) -> Array:
        """That the first wins, at each node of the distribution of the vote's lead, (V, nodes)."""
        votes = self.votes
        lead = strengths[votes.one] - strengths[votes.other] + votes.covariates @ effects
        return sigmoid(lead[:, None] + self.spread[:, None] * _NODES)

    def _weights(self, strengths: Array, effects: Array) -> Array:
        chance = self._chance(strengths, effects)
        return np.asarray((chance * (1 - chance)) @ _NODE_WEIGHTS)

    def _border(self, weights: Array) -> Array:
        """Curvature between strengths and effects, (N, 2)."""
        border = np.zeros((self.items, 2))
        weighted = weights[:, None] * self.votes.covariates
        np.add.at(border, self.votes.one, weighted)
        np.add.at(border, self.votes.other, -weighted)
        return border

    def _eliminated(self, weights: Array) -> tuple[Array, Array]:
        """How strengths follow the effects, (N, 2), and the curvature left to these, (2, 2)."""
        border = self._border(weights)
        reach = self._solved(weights, border)
        own = (self.votes.covariates * weights[:, None]).T @ self.votes.covariates
        return reach, own + np.eye(2) / EFFECT_STD**2 - border.T @ reach

    def _solved(self, weights: Array, right: Array) -> Array:
        """Inverse curvature of the strengths times `right`, (N,) or (N, 2)."""
        found = np.zeros_like(right)
        for block in self.blocks:
            curvature = block.curvature(weights, self.precision)
            found[block.items] = np.linalg.solve(curvature, right[block.items])
        return found


@dataclass(frozen=True)
class _Block:
    """Items that votes connect, and the votes between them with places in `items`."""

    items: NDArray[np.int64]
    votes: NDArray[np.int64]
    one: NDArray[np.int64]
    other: NDArray[np.int64]

    @classmethod
    def of(cls, votes: _Votes, items: NDArray[np.int64]) -> _Block:
        """`items` in rising order, all votes being between them."""
        return cls(items, np.arange(len(votes.score)), votes.one, votes.other)

    def curvature(self, weights: Array, precision: float) -> Array:
        weight = weights[self.votes]
        found = np.eye(len(self.items)) * precision
        np.add.at(found, (self.one, self.one), weight)
        np.add.at(found, (self.other, self.other), weight)
        np.add.at(found, (self.one, self.other), -weight)
        np.add.at(found, (self.other, self.one), -weight)
        return found


def _blocks(votes: _Votes, items: int) -> list[_Block]:
    parent = list(range(items))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in zip(votes.one.tolist(), votes.other.tolist(), strict=True):
        parent[root(one)] = root(other)
    members: dict[int, list[int]] = {}
    for index in range(items):
        members.setdefault(root(index), []).append(index)
    place = np.zeros(items, dtype=np.int64)
    for block in members.values():
        place[block] = np.arange(len(block))
    cast: dict[int, list[int]] = {}
    for number, one in enumerate(votes.one.tolist()):
        cast.setdefault(root(one), []).append(number)
    found = []
    for name, block in members.items():
        numbers = np.array(cast.get(name, []), dtype=np.int64)
        one, other = place[votes.one[numbers]], place[votes.other[numbers]]
        found.append(_Block(np.array(block, dtype=np.int64), numbers, one, other))
    return found
