"""Which of several pairs a vote on would teach most.

The measure is the expected information about the rater's taste (BALD: Houlsby et al. 2011): the
entropy of the vote less what of it is noise, under the posterior of the Bradley-Terry probe over
plain musical statistics. The probe is fitted now and then; from vote to vote it only gets surer
about what was asked, so that the next pair asks something else. Before there are votes to fit, the
prior says 0 for every tune, and what teaches most is the pair whose tunes differ most.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefs.logistic import sigmoid
from prefs.probe import FEWEST_VOTES, Comparisons, Probe, ProbeError, Projection, fit_probe
from prefs.records import Pair
from prefs.statistics import plain_statistics
from prefs.store import Store
from prefs.training_votes import training_votes

Array = NDArray[np.float64]

REFIT_EVERY = 10  # votes
MOST_COMPARED = 128  # pairs, those drawn last: what was passed over so often need not be heard
PRIOR_RIDGE = 10.0
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_features = functools.lru_cache(maxsize=20_000)(plain_statistics)


def information(mean: Array, std: Array) -> Array:
    """Nats (N,) that a vote is expected to say about a taste by which the first tune leads by
    `mean` logits, known to within `std`, both (N,)."""
    chance = sigmoid(mean[:, None] + std[:, None] * _NODES)
    return _entropy(chance @ _WEIGHTS) - _entropy(chance) @ _WEIGHTS


class Informative:
    """Chooses among learning pairs, from the votes in a store. Not safe for several threads."""

    def __init__(self) -> None:
        self._fitted = -REFIT_EVERY
        self._scale: Projection | None = None
        self._probe: Probe | None = None  # as fitted, or the prior

    def choose(self, store: Store, pairs: Sequence[Pair]) -> int:
        """Index of the pair to be voted on next, of pairs in the order they were drawn in."""
        if len(pairs) < 2:
            return 0
        passed_over = max(0, len(pairs) - MOST_COMPARED)
        pairs = pairs[passed_over:]
        tunes = store.tunes([id for pair in pairs for id in (pair.first, pair.second)])
        table = np.array([_features(tune.abc) for tune in tunes])
        scale, probe = self._known(store, table)
        return passed_over + int(np.argmax(gain(probe, scale(table[::2]) - scale(table[1::2]))))

    def _known(self, store: Store, table: Array) -> tuple[Projection, Probe]:
        votes = training_votes(store)
        if self._scale is None or self._probe is None or len(votes) >= self._fitted + REFIT_EVERY:
            self._fitted = len(votes)
            voted = np.array([_features(abc) for abc in votes.tunes]).reshape(-1, table.shape[1])
            self._scale = Projection.of(np.vstack([voted, table]), table.shape[1])
            self._probe = probe_of(self._scale(voted), votes.comparisons)
        cast = votes.comparisons
        since = slice(self._probe.votes, None)
        first, second = (
            np.array([_features(votes.tunes[place]) for place in side[since].tolist()])
            for side in (cast.first, cast.second)
        )
        if not len(first):
            return self._scale, self._probe
        return self._scale, self._probe.narrowed(self._scale(first) - self._scale(second))


def gain(probe: Probe, differences: Array) -> Array:
    """Nats (N,) that votes on pairs of tunes that differ by (N, K) are expected to say each."""
    return information(*probe.utility(differences))


def probe_of(features: Array, votes: Comparisons) -> Probe:
    """The probe for tunes `features` (N, K), the prior where there is too little to fit."""
    prior = Probe.prior(features.shape[1], PRIOR_RIDGE)
    if len(votes) < FEWEST_VOTES:
        return prior
    try:
        return fit_probe(features, votes)
    except ProbeError:
        return prior


def _entropy(chance: Array) -> Array:
    p = np.clip(chance, 1e-12, 1 - 1e-12)
    return np.asarray(-(p * np.log(p) + (1 - p) * np.log(1 - p)))
