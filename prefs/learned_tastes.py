"""Tastes that are learned first: likeness to real tunes, and surprise. For simulated raters only.

Both read a tune as its steps: the interval to the next note and the time until it begins, so key
and meter do not matter. Neither reads a feature of the reward model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abc_tools import Tune, parse_tune
from musicgen.melody import Melody
from prefs.statistics import tonic_of

Array = NDArray[np.float64]
Step = tuple[int, int]  # semitones, time in 720ths of a bar

_BITS = 10
_BUCKETS = 2**_BITS
_LONGEST = 3  # steps in a run
_PENALTY = 1.0  # of the discriminator's weights, on standardised features


def steps_of(tune: Tune) -> list[Step]:
    """The steps of a tune's melody; intervals beyond an octave count as an octave."""
    melody = Melody.of(tune)
    intervals = np.diff(melody.pitches.astype(np.int64)).clip(-12, 12)
    return list(zip(intervals.tolist(), melody.waits[:-1].tolist(), strict=True))


@dataclass(frozen=True)
class Surprise:
    """Mean surprise of a tune's steps, in nats, to a model of runs of three steps.

    Probabilities are interpolated from longer to shorter runs as Witten and Bell (1991) do: a run
    seen N times with T different continuations takes N / (N + T) of its own counts.
    """

    following: dict[tuple[Step, ...], Counter[Step]]
    symbols: int
    read: Callable[[Tune], list[Step]]

    @classmethod
    def of(cls, tunes: Sequence[str], read: Callable[[Tune], list[Step]] = steps_of) -> Surprise:
        """Learned from tunes as ABC text, which `read` takes as steps."""
        following: dict[tuple[Step, ...], Counter[Step]] = {}
        for abc in tunes:
            steps = read(parse_tune(abc))
            for place, step in enumerate(steps):
                for length in range(min(_LONGEST - 1, place) + 1):
                    run = tuple(steps[place - length : place])
                    following.setdefault(run, Counter())[step] += 1
        return cls(following, len(following.get((), ())) + 1, read)

    def __call__(self, tune: Tune) -> float:
        steps = self.read(tune)
        nats = [
            -np.log(self.probability(tuple(steps[max(0, place - _LONGEST + 1) : place]), step))
            for place, step in enumerate(steps)
        ]
        return float(np.mean(nats)) if nats else 0.0

    def probability(self, run: tuple[Step, ...], step: Step) -> float:
        """P(step | the steps before it)."""
        shorter = self.probability(run[1:], step) if run else 1 / self.symbols
        counts = self.following.get(run)
        if not counts:
            return shorter
        total, kinds = counts.total(), len(counts)
        return (counts[step] + kinds * shorter) / (total + kinds)


def degrees_of(tune: Tune) -> list[Step]:
    """For each note its degree in semitones above the tonic, and its place in 720ths of a bar."""
    melody = Melody.of(tune)
    degrees = (melody.pitches.astype(np.int64) - tonic_of(tune)) % 12
    return list(zip(degrees.tolist(), melody.places.tolist(), strict=True))


@dataclass(frozen=True)
class Homeliness:
    """How much less a tune surprises who knows real tunes than who knows a model's, in nats a note.

    Heard are the degrees of the scale and where in the bar they fall, not intervals and lengths.
    """

    real: Surprise
    written: Surprise

    @classmethod
    def of(cls, real: Sequence[str], written: Sequence[str]) -> Homeliness:
        """Learned from equally many tunes of the corpus and sound ones of the base model."""
        spaced = real[:: max(1, len(real) // max(1, len(written)))]
        return cls(*(Surprise.of(tunes, degrees_of) for tunes in (spaced, written)))

    def __call__(self, tune: Tune) -> float:
        return self.written(tune) - self.real(tune)


@dataclass(frozen=True)
class Likeness:
    """Log odds that a tune is a real one and no model's: logistic regression on runs of steps.

    Features are the counts of runs of one to three steps, by hash in 1,024 buckets, square roots
    taken; the fit is ridge-penalised maximum likelihood by Newton's method.
    """

    mean: Array
    scale: Array
    weights: Array  # the constant last

    @classmethod
    def of(cls, real: Sequence[str], written: Sequence[str]) -> Likeness:
        """Told apart: tunes of the corpus, and sound tunes of the base model, as ABC text."""
        table = np.array([_run_counts(parse_tune(abc)) for abc in [*real, *written]])
        is_real = np.array([1.0] * len(real) + [0.0] * len(written))
        # each side has the same weight, however many tunes it has
        share = np.where(is_real > 0, 0.5 / max(1, len(real)), 0.5 / max(1, len(written)))
        share *= len(table)
        mean, scale = table.mean(0), np.maximum(table.std(0), 1e-2) * np.sqrt(table.shape[1])
        design = np.hstack([(table - mean) / scale, np.ones((len(table), 1))])
        penalty = np.full(design.shape[1], _PENALTY)
        penalty[-1] = 1e-6
        weights = np.zeros(design.shape[1])
        for _ in range(12):
            chance = 1 / (1 + np.exp(-(design @ weights)))
            gradient = design.T @ (share * (is_real - chance)) - penalty * weights
            curved = (design * (share * chance * (1 - chance))[:, None]).T @ design
            step = np.linalg.solve(curved + np.diag(penalty), gradient)
            weights += step
            if np.abs(step).max() < 1e-3 * np.abs(weights).max():
                break
        return cls(mean, scale, weights)

    def __call__(self, tune: Tune) -> float:
        features = (_run_counts(tune) - self.mean) / self.scale
        return float(features @ self.weights[:-1] + self.weights[-1])


def _run_counts(tune: Tune) -> Array:
    steps = steps_of(tune)
    counts = np.zeros(_BUCKETS)
    for length in range(1, _LONGEST + 1):
        for place in range(len(steps) - length + 1):
            counts[_bucket(steps[place : place + length])] += 1
    return np.sqrt(counts / max(1, len(steps)))


def _bucket(run: Sequence[Step]) -> int:
    """By multiplicative hashing (Knuth): the upper bits of the last product."""
    value = 17
    for interval, wait in run:
        value = (value + (interval + 12) * 4_096 + wait + 1) * 0x9E3779B97F4A7C15 % 2**64
    return value >> (64 - _BITS)
