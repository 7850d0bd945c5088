"""How the bars and phrases of a tune are like each other: in notes, in shape, in rhythm.

Likeness in notes is the share of time in which the same pitch sounds; in shape, the same steps of
the scale above the bar's first note; in rhythm, the share of the beginnings of notes that coincide.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from prefs.heard import PHRASE, Heard, mean_of

Array = NDArray[np.float64]

_LAGS = {1: "one bar", 2: "two bars", 4: "four bars", 8: "eight bars"}
_KINDS = ("notes", "shape", "rhythm")
_ALIKE = 0.8  # from here on two bars count as the same

FAMILIES: dict[str, tuple[str, ...]] = {
    "bars and those before": (
        *(f"{kind} as {lag} before" for kind in _KINDS for lag in _LAGS.values()),
    ),
    "phrases": (
        *(
            f"{where} of phrases alike in {kind}"
            for kind in _KINDS
            for where in ("beginnings", "endings")
        ),
        "beginnings like two phrases before",
        "endings like two phrases before",
        "third bar of a phrase like its first",
        "fourth bar of a phrase like its second",
    ),
    "returns": (
        "bars taken up higher or lower",
        "pairs of bars taken up higher or lower",
        "first phrase comes back",
        "last phrase like the first",
        "different phrases",
        "parts end alike",
        "parts begin alike",
    ),
}
NAMES: tuple[str, ...] = tuple(name for family in FAMILIES.values() for name in family)


def values(heard: Heard) -> list[float]:
    """One for each of NAMES; what a tune is too short for is 0."""
    likeness = dict(zip(_KINDS, _likenesses(heard), strict=True))
    notes, shape = likeness["notes"], likeness["shape"]
    found = [_lagged(likeness[kind], lag) for kind in _KINDS for lag in _LAGS]
    for kind in _KINDS:
        found += _by_place(likeness[kind], PHRASE)
    found += _by_place(notes, 2 * PHRASE)
    inside = [notes[start : start + PHRASE, start : start + PHRASE] for start in _starts(notes)]
    found += [mean_of([one[0, 2] for one in inside]), mean_of([one[1, 3] for one in inside])]
    for lag in (1, 2):
        moved = (_band(shape, lag) >= _ALIKE) & (_band(notes, lag) < 1 - _ALIKE)
        found.append(mean_of(moved))
    return [*found, *_returns(notes), *_of_parts(heard, notes)]


def _likenesses(heard: Heard) -> tuple[Array, Array, Array]:
    """(B, B) of each kind, from 0 to 1."""
    pitches, steps = heard.pitches[heard.sounding], heard.steps[heard.sounding]
    steps = steps - steps[:, :1]
    notes = (pitches[:, None] == pitches[None]).mean(-1)
    shape = (steps[:, None] == steps[None]).mean(-1)
    struck = heard.struck.astype(np.float64)
    both, each = struck @ struck.T, struck.sum(1)
    rhythm = both / np.maximum(each[:, None] + each[None] - both, 1)
    return notes, shape, rhythm


def _starts(table: Array) -> range:
    """First bars of the whole phrases."""
    return range(0, len(table) - PHRASE + 1, PHRASE)


def _band(table: Array, lag: int) -> Array:
    return np.diagonal(table, lag)


def _lagged(table: Array, lag: int) -> float:
    return mean_of(_band(table, lag))


def _by_place(table: Array, lag: int) -> list[float]:
    """How the first two and the last two bars of phrases are like those `lag` bars before."""
    band = _band(table, lag)
    late = np.arange(len(band)) % PHRASE >= PHRASE // 2
    return [mean_of(band[~late]), mean_of(band[late])]


def _returns(notes: Array) -> list[float]:
    starts = list(_starts(notes))
    if len(starts) < 2:
        return [0.0, 0.0, 1.0]
    whole = np.array(
        [[mean_of(np.diagonal(notes[i : i + 4, j : j + 4])) for j in starts] for i in starts]
    )
    fresh = [row for row in range(len(starts)) if not (whole[row, :row] >= _ALIKE).any()]
    return [float(whole[0, 1:].max()), float(whole[0, -1]), len(fresh) / len(starts)]


def _of_parts(heard: Heard, notes: Array) -> list[float]:
    """Likeness of the last two and of the first two bars of neighbouring parts."""
    bars = [heard.bars[heard.parts == part].clip(0) for part in np.unique(heard.parts)]
    edges = [(int(one.min()), int(one.max())) for one in bars if np.ptp(one) >= 2]
    ends, begins = [], []
    for (start, end), (other_start, other_end) in pairwise(edges):
        ends += [notes[end - back, other_end - back] for back in (0, 1)]
        begins += [notes[start + on, other_start + on] for on in (0, 1)]
    return [mean_of(ends), mean_of(begins)]
