"""A verdict that stays valid while people look: betting on the mean of votes.

Scores are 1 for a win, 1/2 for a tie, 0 for a loss. Against each possible mean m somebody bets,
once that the true mean is larger, once that it is smaller; if m is true, neither capital is ever
likely to reach 1/alpha (Ville's inequality), at whatever vote one stops. The means not yet ruled
out make a confidence sequence: the hedged capital process of Waudby-Smith and Ramdas (2024),
section 4.2, with predictable plug-in bets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "not yet known"]

ALPHA = 0.05  # two-sided: the chance that the verdict is ever wrong when there is no difference
_TRUNCATION = 0.5  # a bet never risks more than this share of the capital
_MEANS = np.linspace(0.0005, 0.9995, 1000)
_MOST_VOTES = 100_000


@dataclass(frozen=True)
class BlindTrial:
    """Where a blind trial stands after some votes."""

    votes: int
    win_rate: float  # mean score of the new model; 1/2 before any vote
    interval: tuple[float, float]  # holds the true win rate at all times, with chance 1 - alpha
    verdict: Verdict
    votes_to_go: int | None  # about how many more, if the win rate stays; None: a verdict is there

    def line(self) -> str:
        """The state in one sentence."""
        if self.votes == 0:
            return "No blind votes yet."
        low, high = self.interval
        text = (
            f"It won {self.win_rate:.0%} of {self.votes} blind pairs "
            f"(between {low:.0%} and {high:.0%})"
        )
        if self.verdict == "not yet known":
            return f"{text}; not yet known which is better, {_about(self.votes_to_go)}."
        return f"{text}; it is {self.verdict}."


def blind_trial(scores: Sequence[float], *, alpha: float = ALPHA) -> BlindTrial:
    """The state of a trial after `scores`, each 1, 1/2 or 0, in the order in which they were cast.

    Raises ValueError for a score outside 0 to 1.
    """
    x = np.asarray(scores, dtype=np.float64)
    if len(x) and not ((x >= 0) & (x <= 1)).all():
        raise ValueError("a score lies outside 0 to 1: give 1 for a win, 0.5 for a tie, 0")
    if not len(x):
        return BlindTrial(0, 0.5, (0.0, 1.0), "not yet known", None)
    # The sequence is the intersection over time: a mean once ruled out stays so.
    open_means = _MEANS[running_capital(x, _MEANS, alpha).max(0) < 1 / alpha]
    rate = float(x.mean())
    low, high = (open_means[0], open_means[-1]) if len(open_means) else (rate, rate)
    against_half = running_capital(x, np.array([0.5]), alpha)[:, 0]
    verdict = _verdict(x, against_half, alpha)
    togo = None if verdict != "not yet known" else _votes_to_go(rate, len(x), alpha)
    return BlindTrial(len(x), rate, (float(low), float(high)), verdict, togo)


def running_capital(x: Array, means: Array, alpha: float) -> Array:
    """Capital (T, M) of the bets against each mean (M,) after each of the scores (T,)."""
    bets = _bets(x, alpha)[:, None]
    rising = np.minimum(bets, _TRUNCATION / means)
    falling = np.minimum(bets, _TRUNCATION / (1 - means))
    distance = x[:, None] - means
    up = np.cumsum(np.log1p(rising * distance), axis=0)
    down = np.cumsum(np.log1p(-falling * distance), axis=0)
    return np.asarray(np.exp(np.minimum(np.maximum(up, down) - math.log(2), 700.0)))


def _bets(x: Array, alpha: float) -> Array:
    """How much is bet at each vote, (T,), from the votes before it alone."""
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (before * t * np.log(1 + t))))


def _verdict(x: Array, capital: Array, alpha: float) -> Verdict:
    reached = np.flatnonzero(capital >= 1 / alpha)
    if not len(reached):
        return "not yet known"
    # the first crossing decides, whatever came later
    return "better" if x[: reached[0] + 1].mean() > 0.5 else "worse"


def _votes_to_go(rate: float, votes: int, alpha: float) -> int | None:
    """Votes still missing if the true win rate is the one seen so far; None: out of reach."""
    gain = abs(rate - 0.5)
    if gain < 0.005:
        return None
    # each vote adds about the divergence of the win rate from 1/2 to the best bettor's log capital
    rate = min(max(rate, 0.01), 0.99)
    divergence = math.log(2) + rate * math.log(rate) + (1 - rate) * math.log(1 - rate)
    needed = 1.5 * math.log(2 / alpha) / divergence  # the plug-in bets waste about a third
    return max(5, round(needed) - votes) if needed < _MOST_VOTES else None


def _about(votes: int | None) -> str:
    return "and the two are close" if votes is None else f"about {votes} more votes"
