"""The harmony that a melody suggests, the colour of its scale, and how its phrases close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prefs.heard import DEGREES, PHRASE, Heard, mean_of

Array = NDArray[np.float64]

_ROOTS = ("I", "II", "III", "IV", "V", "VI", "VII")
_ROOT_WEIGHT = 0.1  # how much more the root of a triad counts than its other notes

FAMILIES: dict[str, tuple[str, ...]] = {
    "chords": (
        *(f"bars on chord {root}" for root in _ROOTS),
        "changes of chord",
        "moves of a fourth or fifth between chords",
        "moves of a step between chords",
        "time on notes of the chord",
        "chord notes on the beats",
        "phrases closing on chord I",
        "phrases closing on chord V",
    ),
    "colour": (
        *(f"time on degree {degree}" for degree in DEGREES),
        "degrees that are hardly used",
        "tonic on the beats",
        "fifth on the beats",
    ),
    "cadences": (
        "phrases ending on the second",
        "phrases ending on the third",
        "phrases closing as the last one",
        "length of the last note of a phrase",
        "phrases ending from above by step",
        "phrases ending from below by step",
        "phrases ending on a repeated note",
        "phrases ending on the beat",
        "half phrases ending on the tonic",
        "first phrase ends on the tonic",
    ),
}
NAMES: tuple[str, ...] = tuple(name for family in FAMILIES.values() for name in family)


def values(heard: Heard) -> list[float]:
    """One for each of NAMES."""
    return [*_chords(heard), *_colour(heard), *_cadences(heard)]


def chord_roots(heard: Heard) -> tuple[NDArray[np.int64], Array]:
    """For each bar the triad of the key that most of it belongs to, 0 to 6, and how much does."""
    degrees = heard.degrees[heard.sounding]
    inside = _triads(heard)[:, degrees]  # (7, B, SLOTS)
    weight = inside.mean(-1)
    rooted = weight + _ROOT_WEIGHT * (degrees[None] == heard.scale[:, None, None]).mean(-1)
    roots = rooted.argmax(0)
    return roots, np.take_along_axis(weight, roots[None], 0)[0]


def _triads(heard: Heard) -> Array:
    """(7, 12): which degrees the triad on each step of the scale has."""
    table = np.zeros((7, 12))
    for root in range(7):
        table[root, heard.scale[[root, (root + 2) % 7, (root + 4) % 7]]] = 1
    return table


def _chords(heard: Heard) -> list[float]:
    roots, inside = chord_roots(heard)
    moves = np.diff(roots) % 7
    on_beat = (heard.bars >= 0) & (heard.places % heard.beat == 0)
    fits = _triads(heard)[roots[heard.bars[on_beat]], heard.degrees[on_beat]]
    closing = roots[_closing_bars(heard)]
    return [
        *(np.bincount(roots, minlength=7) / len(roots)),
        mean_of(moves != 0),
        mean_of((moves == 3) | (moves == 4)),
        mean_of((moves == 1) | (moves == 6)),
        float(inside.mean()),
        mean_of(fits),
        mean_of(closing == 0),
        mean_of(closing == 4),
    ]


def _colour(heard: Heard) -> list[float]:
    time = np.bincount(heard.degrees, weights=heard.lengths, minlength=12)
    shares = time / time.sum()
    on_beat = heard.degrees[heard.places % heard.beat == 0]
    return [
        *shares,
        float(np.mean(shares[heard.scale] < 0.04)),  # of the time: about one note in a part
        mean_of(on_beat == 0),
        mean_of(on_beat == 7),
    ]


def _cadences(heard: Heard) -> list[float]:
    last_of_bars = heard.last_of_bars()
    ends = last_of_bars[_closing_bars(heard)]
    halves = last_of_bars[PHRASE // 2 - 1 :: PHRASE]
    degrees = heard.degrees[ends]
    approach = (heard.pitches[ends] - heard.pitches[ends - 1])[ends > 0]
    return [
        mean_of((degrees == 2) | (degrees == 1)),
        mean_of((degrees == 4) | (degrees == 3)),
        mean_of(degrees[:-1] == degrees[-1]),
        float(np.log2(heard.lengths[ends] / heard.beat).mean()),
        mean_of((approach < 0) & (approach >= -2)),
        mean_of((approach > 0) & (approach <= 2)),
        mean_of(approach == 0),
        mean_of(heard.places[ends] % heard.beat == 0),
        mean_of(heard.degrees[halves] == 0),
        float(degrees[0] == 0),
    ]


def _closing_bars(heard: Heard) -> NDArray[np.int64]:
    """The fourth bar of each phrase; of a shorter tune its last."""
    return np.arange(min(PHRASE, heard.count) - 1, heard.count, PHRASE)
