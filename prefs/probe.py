"""A Bayesian Bradley-Terry probe: votes -> a linear utility over features, and how sure it is.

P(first beats second) = sigmoid(w . (x_first - x_second) + bias), a tie counting as half a win of
each; `bias` is the rater's leaning to the first side and no part of a tune's utility. The prior on
w is normal; its width is chosen by cross-validation over the votes, in folds that share no tune.
The posterior is Laplace's approximation at its mode (MacKay 1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIDGES: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
FEWEST_VOTES = 20
LADDER_HINT = (
    "until then `musicgen generate --model ladder` plays a model that was tuned without votes"
)


class ProbeError(ValueError):
    """Votes that nothing can be learned from; the message says what is missing."""


@dataclass(frozen=True)
class Comparisons:
    """Votes as indices into a table of tunes: first (N,), second (N,), outcome (N,) in 0, .5, 1."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    outcome: Array  # 1: the first won

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Comparisons:
        return Comparisons(self.first[chosen], self.second[chosen], self.outcome[chosen])


@dataclass(frozen=True)
class Projection:
    """Features, standardised and turned to their principal components, (D,) -> (K,)."""

    mean: Array
    scale: Array
    axes: Array  # (D, K)

    @classmethod
    def of(cls, features: Array, components: int) -> Projection:
        """Fitted on `features` (N, D); of constant columns nothing is kept."""
        mean, scale = features.mean(0), features.std(0)
        scale = np.where(scale > 1e-9, scale, np.inf)
        _, sizes, axes = np.linalg.svd((features - mean) / scale, full_matrices=False)
        kept = min(components, int((sizes > 1e-6 * sizes[0]).sum())) if sizes[0] > 0 else 0
        spread = sizes[:kept] / np.sqrt(len(features))
        # whitening by halves: strong directions stay strong, but no single one rules
        return cls(mean, scale, axes[:kept].T / np.sqrt(spread))

    def __call__(self, features: Array) -> Array:
        return (features - self.mean) / self.scale @ self.axes


@dataclass(frozen=True)
class Probe:
    """A fitted utility: weights (K,), their covariance (K, K), the leaning to the first side."""

    weights: Array
    covariance: Array
    first_side: float
    ridge: float
    accuracy: float  # on votes held out by cross-validation, ties left out
    votes: int
    likelihood: float = float("nan")  # mean log-likelihood of a held-out vote, in nats

    def utility(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (N,) of the utility in logits, for features (N, K)."""
        variance = np.einsum("nk,kl,nl->n", features, self.covariance, features)
        return features @ self.weights, np.sqrt(variance)

    def win_probability(self, first: Array, second: Array) -> Array:
        """P(first is preferred) for features (N, K), the uncertainty averaged in, no side bias.

        The average over the posterior is MacKay's: sigmoid(m / sqrt(1 + pi v / 8)).
        """
        mean, std = self.utility(first - second)
        return _sigmoid(mean / np.sqrt(1 + np.pi * std**2 / 8))


def fit_probe(
    features: Array, votes: Comparisons, *, folds: int = 5, ridges: Sequence[float] = RIDGES
) -> Probe:
    """The probe for tunes `features` (N, K) and the votes on them.

    Raises ProbeError when there are too few votes, or none that prefers a tune.
    """
    decided = int((votes.outcome != 0.5).sum())
    if len(votes) < FEWEST_VOTES:
        raise ProbeError(
            f"{len(votes)} votes are too few to learn from: cast at least {FEWEST_VOTES} "
            f"(a few hundred teach much more); {LADDER_HINT}"
        )
    if decided == 0:
        raise ProbeError(
            f"all {len(votes)} votes are ties, so nothing says which tunes are better: vote for "
            "one tune of a pair where you can"
        )
    if _cancel_out(votes):
        raise ProbeError(
            f"the {len(votes)} votes contradict each other: every pair has as many votes for one "
            "tune as for the other, so nothing says which tunes are better"
        )
    best = max(
        ((_held_out(features, votes, ridge, folds), ridge) for ridge in ridges),
        key=lambda found: found[0][0],
    )
    (likelihood, accuracy), ridge = best
    weights, covariance = _fit(features, votes, ridge)
    return Probe(
        weights[:-1],
        covariance[:-1, :-1],
        float(weights[-1]),
        ridge,
        accuracy,
        len(votes),
        likelihood,
    )


def _cancel_out(votes: Comparisons) -> bool:
    """Whether for each pair of tunes the votes for one and for the other are equal in number."""
    net: dict[tuple[int, int], float] = {}
    rows = zip(votes.first.tolist(), votes.second.tolist(), votes.outcome.tolist(), strict=True)
    for first, second, outcome in rows:
        lead = outcome - 0.5 if first < second else 0.5 - outcome
        pair = (min(first, second), max(first, second))
        net[pair] = net.get(pair, 0.0) + lead
    return not any(net.values())


def _held_out(features: Array, votes: Comparisons, ridge: float, folds: int) -> tuple[float, float]:
    """Mean log-likelihood and accuracy on votes whose tunes the fit has not seen."""
    held, logits = held_out_logits(features, votes, ridge, folds=folds)
    if not len(held):
        return -ridge * 1e-9, float("nan")
    decided = held.outcome != 0.5
    hits = (logits > 0)[decided] == (held.outcome > 0.5)[decided]
    likelihood = float(np.mean(_log_likelihood(logits, held.outcome)))
    return likelihood, float(np.mean(hits)) if len(hits) else float("nan")


def held_out_logits(
    features: Array, votes: Comparisons, ridge: float, *, folds: int = 5
) -> tuple[Comparisons, Array]:
    """Votes and, for each, the logit that its first tune wins by a fit that saw neither tune.

    Votes whose tunes are in different folds are left out.
    """
    fold_of = _folds_of_tunes(len(features), votes, folds)
    first, second = fold_of[votes.first], fold_of[votes.second]
    places: list[int] = []
    logits: list[float] = []
    for fold in range(folds):
        held = np.flatnonzero((first == fold) & (second == fold))
        seen = votes.take((first != fold) & (second != fold))
        if len(held) and len(seen):
            weights, _ = _fit(features, seen, ridge)
            places += held.tolist()
            logits += (_design(features, votes.take(held)) @ weights).tolist()
    return votes.take(np.array(places, dtype=np.int64)), np.array(logits)


def _folds_of_tunes(tunes: int, votes: Comparisons, folds: int) -> NDArray[np.int64]:
    """A fold for each tune; tunes that votes connect share one, unless all hang together."""
    parent = list(range(tunes))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in zip(votes.first.tolist(), votes.second.tolist(), strict=True):
        parent[root(one)] = root(other)
    roots = np.array([root(index) for index in range(tunes)])
    groups, group_of, sizes = np.unique(roots, return_inverse=True, return_counts=True)
    if len(groups) < folds or sizes.max() > tunes / 2:
        return np.arange(tunes) % folds
    return np.asarray(group_of, dtype=np.int64) % folds


def _design(features: Array, votes: Comparisons) -> Array:
    difference = features[votes.first] - features[votes.second]
    return np.hstack([difference, np.ones((len(votes), 1))])


def _fit(features: Array, votes: Comparisons, ridge: float) -> tuple[Array, Array]:
    """Newton's method on the penalised log-likelihood: weights with the bias last, covariance."""
    design = _design(features, votes)
    penalty = np.full(design.shape[1], ridge)
    penalty[-1] = 1.0  # the leaning to a side has a prior of its own: about one logit
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = _sigmoid(design @ weights)
        gradient = design.T @ (votes.outcome - chance) - penalty * weights
        hessian = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return weights, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def _log_likelihood(logits: Array, outcome: Array) -> Array:
    return outcome * -np.logaddexp(0, -logits) + (1 - outcome) * -np.logaddexp(0, logits)


def _sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))
