"""What simulated raters may like in a tune: one number each, larger is better liked.

Each is a function of the written notes alone. None is one of the reward model's own statistics;
busy and gentle lie near some, swinging, arched and contrasting do not. Tastes that must be learned
first (likeness to real tunes, surprise) are in learned_tastes.py.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from abc_tools import Tune
from abc_tools.structure import sections
from musicgen.melody import BAR, Melody
from prefs.statistics import tonic_of

Array = NDArray[np.float64]

FEWEST_NOTES = 8  # of a tune that is judged at all; any tune that passes the gate has more

# what a note on each degree adds: gapped scales and flat sevenths against the leading tone
_COLOUR = np.array([0, 0.5, 0.25, 0.5, 0, -0.5, -0.25, 0, 0.5, 0.25, 1.0, -1.0])
_STEP = 2  # semitones; more is a skip
_LEAP = 5
_PULSES = 8  # in a bar of simple meter: eighths of 4/4, sixteenths of 2/4


def busy(tune: Tune) -> float:
    """Many short notes: how much shorter than the meter's pulse they are, in octaves of time."""
    waits = np.maximum(Melody.of(tune).waits[:-1], 1)
    pulse = BAR / (tune.meter.numerator if tune.meter.compound else _PULSES)
    return float(np.log2(pulse / waits).mean())


def gentle(tune: Tune) -> float:
    """Steps rather than skips; a leap only if a step back follows it."""
    intervals = np.diff(Melody.of(tune).pitches.astype(np.int64))
    size = np.abs(intervals)
    leaps = np.flatnonzero(size[:-1] >= _LEAP)
    after = intervals[leaps + 1]
    healed = (np.sign(after) == -np.sign(intervals[leaps])) & (np.abs(after) <= _STEP)
    harsh = (len(leaps) - healed.sum()) / len(intervals)
    return float(np.mean((size > 0) & (size <= _STEP)) - 2 * harsh)


def arched(tune: Tune) -> float:
    """Phrases of four bars that rise to their middle and fall to their end, in semitones."""
    melody = Melody.of(tune)
    bars = melody.bars.astype(np.int64) - melody.bars.min()
    heights = []
    for phrase in range(bars.max() // 4 + 1):
        inside = bars // 4 == phrase
        place = (bars[inside] % 4 + melody.places[inside] / BAR) / 4
        if inside.sum() >= FEWEST_NOTES:
            middle = (place >= 0.25) & (place < 0.75)
            pitches = melody.pitches[inside].astype(float)
            if middle.any() and not middle.all():
                heights.append(pitches[middle].mean() - pitches[~middle].mean())
    return float(np.mean(heights)) if heights else 0.0


def swinging(tune: Tune) -> float:
    """Long and short notes by turns: dotted pairs rather than even runs."""
    quarters = np.log2(_lengths_in_quarters(tune, Melody.of(tune)))
    uneven = np.abs(np.diff(quarters)) > 0.5
    turns = uneven[1:] & uneven[:-1]
    return float(uneven.mean() + turns.mean())


def modal(tune: Tune) -> float:
    """Modal colour: flat sevenths and gapped scales, no leading tone; weighted by length."""
    melody = Melody.of(tune)
    degrees = (melody.pitches[:-1].astype(np.int64) - tonic_of(tune)) % 12
    lengths = _lengths_in_quarters(tune, melody)
    return float((_COLOUR[degrees] * lengths).sum() / lengths.sum())


def contrasting(tune: Tune) -> float:
    """Parts that differ: in register, in the notes of their scale, in rhythm, in their bars."""
    melody = Melody.of(tune)
    parts = [place for place in _parts(tune, melody) if place.sum() >= FEWEST_NOTES]
    if len(parts) < 2:
        return 0.0
    return float(np.mean([_difference(melody, one, other) for one, other in pairwise(parts)]))


def _difference(melody: Melody, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    pitches = melody.pitches.astype(float)
    register = abs(pitches[one].mean() - pitches[other].mean()) / 12
    scale, rhythm = (
        np.abs(_shares(values[one], size) - _shares(values[other], size)).sum() / 2
        for values, size in (
            (melody.pitches % 12, 12),
            (melody.places, int(melody.places.max()) + 1),
        )
    )
    return float(register + scale + rhythm)


def _shares(values: NDArray[np.int16] | NDArray[np.uint16], size: int) -> Array:
    return np.bincount(values, minlength=size) / len(values)


def _parts(tune: Tune, melody: Melody) -> list[NDArray[np.bool_]]:
    """For each part of the tune, which notes of the melody are in it."""
    bars = tune.bars
    return [
        (melody.offsets >= bars[part.start].start) & (melody.offsets < bars[part.end - 1].end)
        for part in sections(bars)
    ]


def _lengths_in_quarters(tune: Tune, melody: Melody) -> Array:
    """Time to the next note, (N - 1,), in quarter notes of the tune's first meter."""
    measure = float(tune.meter.length or 1) * 4
    waits: Array = np.maximum(melody.waits[:-1], 1) / BAR * measure
    return waits
