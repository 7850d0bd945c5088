"""Penalised logistic regression, and how strong the penalty should be for each family of columns.

The prior on a weight is normal with mean 0; its precision is the penalty. Columns of a family share
one precision, which is chosen by the evidence: the likelihood of the votes with the weights
integrated out, by Laplace's approximation (MacKay 1992). A family that says nothing about the votes
gets a high precision and so hardly any weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST_PRECISION = 3.0
LOWEST, HIGHEST = 0.05, 1e3
_ROUNDS = 40
_SETTLED = 0.05  # change of the logarithm of a precision


def fit_weights(
    design: Array, outcome: Array, penalty: Array, start: Array | None = None
) -> tuple[Array, Array]:
    """Newton's method on the penalised log-likelihood: weights (K,) and their covariance (K, K).

    `design` is (N, K), `outcome` (N,) from 0 to 1, `penalty` (K,).
    """
    weights = np.zeros(design.shape[1]) if start is None else start
    for _ in range(50):
        chance = sigmoid(design @ weights)
        gradient = design.T @ (outcome - chance) - penalty * weights
        hessian = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return weights, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def family_precisions(
    design: Array, outcome: Array, sizes: Sequence[int], last: float, start: Array | None = None
) -> Array:
    """A precision for each family, whose `sizes` columns stand side by side, (len(sizes),).

    A last column of the design, which belongs to no family, keeps the precision `last`. MacKay's
    update: the number of weights that the votes determine over the sum of their squares.
    """
    family = np.repeat(np.arange(len(sizes)), sizes)
    found = np.full(len(sizes), FIRST_PRECISION) if start is None else start
    weights = None
    for _ in range(_ROUNDS):
        weights, covariance = fit_weights(design, outcome, np.append(found[family], last), weights)
        unsure = np.bincount(family, np.diag(covariance)[:-1], len(sizes))
        squares = np.bincount(family, weights[:-1] ** 2, len(sizes))
        determined = np.maximum(np.asarray(sizes) - found * unsure, 0.0)
        fresh = np.clip(determined / np.maximum(squares, 1e-12), LOWEST, HIGHEST)
        settled = np.abs(np.log(fresh / found)).max(initial=0.0) < _SETTLED
        found = fresh
        if settled:
            break
    return found


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))
