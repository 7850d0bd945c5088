"""A Bayesian Bradley-Terry probe: votes -> a linear utility over features, and how sure it is.

P(first beats second) = sigmoid(w . (x_first - x_second) + bias), a tie counting as half a win of
each; `bias` is the rater's leaning to the first side and no part of a tune's utility. The prior on
w is normal: of one width, chosen by cross-validation over the votes in folds that share no tune, or
of one width for each family of features, chosen by the evidence (logistic.py). The posterior is
Laplace's approximation at its mode (MacKay 1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prefs.logistic import Array, family_precisions, fit_weights, sigmoid

RIDGES: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
FEWEST_VOTES = 20
_TINY = 1e-3  # of the largest principal component: smaller ones are rounding
_OF_THE_SIDE = 1.0  # precision of the leaning to a side: about one logit
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
    sizes: tuple[int, ...] = ()  # how many of the K belong to each family, where there are families

    @classmethod
    def of_families(
        cls, features: Array, widths: Sequence[int], components: int = 1_000
    ) -> Projection:
        """Each family of `widths` neighbouring columns by itself, all of them equally spread.

        Of a family at most so many principal components are kept, all of the same variance: so it
        does not matter which of several combinations of the same statistics are in it (Zellner's
        g-prior).
        """
        ends = np.cumsum(widths)
        parts = []
        for end, width in zip(ends, widths, strict=True):
            columns = features[:, end - width : end]
            part = cls.of(columns, components)
            spread = part(columns).std(0) * np.sqrt(max(1, part.axes.shape[1]))
            parts.append(replace(part, axes=part.axes / spread))
        sizes = tuple(part.axes.shape[1] for part in parts)
        axes = np.zeros((int(sum(widths)), sum(sizes)))
        column = 0
        for end, width, part, size in zip(ends, widths, parts, sizes, strict=True):
            axes[end - width : end, column : column + size] = part.axes
            column += size
        mean, scale = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "scale")
        )
        return cls(mean, scale, axes, sizes)

    @classmethod
    def of(cls, features: Array, components: int) -> Projection:
        """Fitted on `features` (N, D); of constant columns nothing is kept."""
        mean, scale = features.mean(0), features.std(0)
        scale = np.where(scale > 1e-9, scale, np.inf)
        _, sizes, axes = np.linalg.svd((features - mean) / scale, full_matrices=False)
        kept = min(components, int((sizes > _TINY * sizes[0]).sum())) if sizes[0] > 0 else 0
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
    sizes: tuple[int, ...] = ()  # of the families of features; `ridge` is then not a number

    @classmethod
    def prior(cls, width: int, ridge: float) -> Probe:
        """What is known before any vote: every weight 0, to within 1 / sqrt(ridge)."""
        weights, covariance = np.zeros(width), np.eye(width) / ridge
        return cls(weights, covariance, 0.0, ridge, float("nan"), 0)

    def narrowed(self, differences: Array) -> Probe:
        """How sure it is once pairs of tunes that differ by (N, K) are voted on, however that ends.

        The weights stay as they are. A vote that is won by chance p adds p (1 - p) to the precision
        along its difference (Laplace's approximation; Sherman and Morrison's formula).
        """
        covariance = self.covariance
        for difference in differences:
            along = covariance @ difference
            variance = float(difference @ along)
            lead = float(difference @ self.weights) / np.sqrt(1 + np.pi * variance / 8)
            chance = float(sigmoid(np.array(lead)))
            curvature = chance * (1 - chance)
            shrunk = np.outer(along, along) * (curvature / (1 + curvature * variance))
            covariance = covariance - shrunk
        return replace(self, covariance=covariance)

    def utility(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (N,) of the utility in logits, for features (N, K)."""
        variance = np.einsum("nk,kl,nl->n", features, self.covariance, features)
        return features @ self.weights, np.sqrt(variance)

    def win_probability(self, first: Array, second: Array) -> Array:
        """P(first is preferred) for features (N, K), the uncertainty averaged in, no side bias.

        The average over the posterior is MacKay's: sigmoid(m / sqrt(1 + pi v / 8)).
        """
        mean, std = self.utility(first - second)
        return sigmoid(mean / np.sqrt(1 + np.pi * std**2 / 8))


def fit_probe(
    features: Array,
    votes: Comparisons,
    *,
    folds: int = 5,
    ridges: Sequence[float] = RIDGES,
    sizes: Sequence[int] = (),
) -> Probe:
    """The probe for tunes `features` (N, K) and the votes on them.

    With the `sizes` of families of features each has a prior of its own, and `ridges` is not used;
    what is held out has then no part in choosing them either.

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
    if sizes:
        ridge = float("nan")
        likelihood, accuracy = _held_out(features, votes, ridge, folds, sizes)
    else:
        best = max(
            ((_held_out(features, votes, ridge, folds), ridge) for ridge in ridges),
            key=lambda found: found[0][0],
        )
        (likelihood, accuracy), ridge = best
    weights, covariance = _fit(features, votes, ridge, sizes)
    return Probe(
        weights[:-1],
        covariance[:-1, :-1],
        float(weights[-1]),
        ridge,
        accuracy,
        len(votes),
        likelihood,
        tuple(sizes),
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


def _held_out(
    features: Array, votes: Comparisons, ridge: float, folds: int, sizes: Sequence[int] = ()
) -> tuple[float, float]:
    """Mean log-likelihood and accuracy on votes whose tunes the fit has not seen."""
    held, logits = held_out_logits(features, votes, ridge, folds=folds, sizes=sizes)
    if not len(held):
        return 0.0 if sizes else -ridge * 1e-9, float("nan")
    decided = held.outcome != 0.5
    hits = (logits > 0)[decided] == (held.outcome > 0.5)[decided]
    likelihood = float(np.mean(_log_likelihood(logits, held.outcome)))
    return likelihood, float(np.mean(hits)) if len(hits) else float("nan")


def held_out_logits(
    features: Array,
    votes: Comparisons,
    ridge: float,
    *,
    folds: int = 5,
    sizes: Sequence[int] = (),
) -> tuple[Comparisons, Array]:
    """Votes and, for each, the logit that its first tune wins by a fit that saw neither tune.

    `ridge` and `sizes` are those of the probe.

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
            weights, _ = _fit(features, seen, ridge, sizes)
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


def _fit(
    features: Array, votes: Comparisons, ridge: float, sizes: Sequence[int] = ()
) -> tuple[Array, Array]:
    """Weights with the bias last, and their covariance."""
    design = _design(features, votes)
    if sizes:
        precisions = family_precisions(design, votes.outcome, sizes, _OF_THE_SIDE)
        penalty = np.repeat(precisions, sizes)
    else:
        penalty = np.full(design.shape[1] - 1, ridge)
    return fit_weights(design, votes.outcome, np.append(penalty, _OF_THE_SIDE))


def _log_likelihood(logits: Array, outcome: Array) -> Array:
    return outcome * -np.logaddexp(0, -logits) + (1 - outcome) * -np.logaddexp(0, logits)
