"""How much the votes at hand teach, and what more of them would: a learning curve.

A probe is fitted to shares of the votes, in folds that share no tune, and asked about the votes it
has not seen. On plain statistics alone (`learning_curve`) it needs no model and so takes a second;
the report of a run (reward_report.py) draws the curve of what its own reward model reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefs.probe import FEWEST_VOTES, Comparisons, ProbeError, Projection, fit_probe
from prefs.statistics import PLAIN, plain_statistics

SHARES = (0.25, 0.5, 0.75, 1.0)
DRAWS = 6  # random subsets and folds a share, averaged
BELIEVED = 0.02  # nearer to chance than this, nothing has been learned yet
_CEILING = 0.9  # nobody agrees with themselves more often than this for long
_FEW_MISSES = 0.95  # above it, the unseen votes were too few to say more than "nearly all"


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy on unseen votes after so many votes."""

    votes: tuple[int, ...]
    accuracy: tuple[float, ...]
    twice: float | None  # what twice as many votes would bring, if it goes on like this

    def line(self) -> str:
        """What the votes teach, in one or two sentences."""
        if not self.votes:
            return "Too few votes yet to say what they teach."
        now = self.accuracy[-1]
        if now < 0.5 + BELIEVED:
            return (
                "They do not yet say which tunes you would like: a model that learned from most of "
                "them guesses the rest no better than a coin. More votes will tell."
            )
        if now > _FEW_MISSES:
            return "A model that learned from them would guess nearly all new votes right."
        said = f"A model that learned from them would guess about {now:.0%} of new votes right"
        if self.twice is None or self.twice < now + 0.005:
            return f"{said}."
        return f"{said}; with twice as many votes, {self.twice:.0%}."


def learning_curve(tunes: Sequence[str], votes: Comparisons, *, seed: int = 0) -> LearningCurve:
    """The curve for votes on `tunes`, given as ABC text; empty for fewer votes than teach."""
    if len(votes) < FEWEST_VOTES:
        return LearningCurve((), (), None)
    table = np.array([plain_statistics(abc) for abc in tunes]).reshape(len(tunes), PLAIN)
    features = Projection.of(table, PLAIN)(table)
    rng = np.random.default_rng(seed)
    counts, accuracies = [], []
    for share in SHARES:
        count = round(share * len(votes))
        if count < FEWEST_VOTES:
            continue
        accuracy = accuracy_after(features, votes, count, rng)
        if accuracy is not None:
            counts.append(count)
            accuracies.append(accuracy)
    return LearningCurve(tuple(counts), tuple(accuracies), _twice(counts, accuracies))


def accuracy_after(
    features: NDArray[np.float64],
    votes: Comparisons,
    count: int,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    sizes: Sequence[int] = (),
) -> float | None:
    """Mean accuracy of probes that saw `count` votes, cross-validated within those.

    A tune's number decides its fold, so the numbers are drawn anew each time. `sizes` are those of
    the families of features, as a probe has them.
    """
    found = []
    for _ in range(draws):
        some = votes.take(rng.permutation(len(votes))[:count])
        used = rng.permutation(np.unique(np.concatenate([some.first, some.second])))
        number = np.empty(len(features), dtype=np.int64)
        number[used] = np.arange(len(used))
        renumbered = Comparisons(number[some.first], number[some.second], some.outcome)
        try:
            accuracy = fit_probe(features[used], renumbered, sizes=sizes).accuracy
        except ProbeError:
            continue
        if np.isfinite(accuracy):
            found.append(accuracy)
    return float(np.mean(found)) if found else None


def _twice(counts: Sequence[int], accuracies: Sequence[float]) -> float | None:
    """A straight line over the logarithm of the number of votes, one doubling further."""
    if len(counts) < 2:
        return None
    slope, _ = np.polyfit(np.log2(counts), accuracies, 1)
    return float(min(accuracies[-1] + max(float(slope), 0.0), max(_CEILING, accuracies[-1])))
