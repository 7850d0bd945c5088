"""What simulated raters may like in a tune: one number each, larger is better liked.

Each is a function of the written notes alone. None is one of the reward model's own statistics, but
most lie near to some: of the variance over sound tunes of the base model a linear regression on all
statistics explains, on tunes that it was not fitted to,

    swinging 99%, gentle 97%, modal 99%, busy 93%, arched 77%, contrasting 79%
    weighty 95%, gapped 80%, roaming 89%, rhyming 55%
    running 94%, chordal 85%, climactic 78%, droning 76%, answering 42%
    driving 74%, tumbling 93%, leaning 68%                                       (held out)

and of the tastes that must be learned first (learned_tastes.py), surprising 74%, likeness 15%,
homely 16%. benchmarks/preference/final.py measures this again for each taste;
rounded and ringing are held out too and were not measured yet.
"""

from __future__ import annotations

from itertools import groupby, pairwise

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
# (12, 24): which degrees the major and the minor triad on each degree have, the root counted more
_TRIADS = np.array(
    [
        [1.1 * (note == 0) + (note in (third, 7)) for note in (np.arange(12) - root) % 12]
        for root in range(12)
        for third in (4, 3)
    ]
).T
_STEP = 2  # semitones; more is a skip
_LEAP = 5
_OPEN_STRINGS = (55, 62, 69, 76)  # of a fiddle: G, D, A, E
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


def gapped(tune: Tune) -> float:
    """Few degrees of the scale, most of the time: the negative entropy of their shares, in nats."""
    time = _time_on_degrees(tune, Melody.of(tune)).sum(0)
    shares = time[time > 0] / time.sum()
    return float((shares * np.log(shares)).sum())


def roaming(tune: Tune) -> float:
    """Harmony on the move: bars that suggest another chord than the one before, or than I and V."""
    roots = _chord_roots(tune, Melody.of(tune))
    changes = float(np.mean(roots[1:] != roots[:-1])) if len(roots) > 1 else 0.0
    return changes + float(np.mean(~np.isin(roots, (0, 7))))


def weighty(tune: Tune) -> float:
    """Long notes on the beats and short ones between them: the difference in octaves of time."""
    melody = Melody.of(tune)
    lengths = np.log2(_lengths_in_quarters(tune, melody))
    on_beat = _on_beats(tune, melody.places[:-1])
    if on_beat.all() or not on_beat.any():
        return 0.0
    return float(lengths[on_beat].mean() - lengths[~on_beat].mean())


def rhyming(tune: Tune) -> float:
    """Phrases of four bars that end like the phrase before and began differently, from -1 to 1."""
    bars = _notes_of_bars(tune, Melody.of(tune))
    phrases = [bars[start : start + 4] for start in range(0, len(bars) - 3, 4)]
    rhymes = []
    for one, other in pairwise(phrases):
        first, second, third, last = (_shared(a, b) for a, b in zip(one, other, strict=True))
        rhymes.append((third + last - first - second) / 2)
    return float(np.mean(rhymes)) if rhymes else 0.0


def running(tune: Tune) -> float:
    """Long runs up or down the scale: for the mean interval, how many steps are in its run."""
    intervals = np.diff(Melody.of(tune).pitches.astype(np.int64))
    ways = np.where(np.abs(intervals) <= _STEP, np.sign(intervals), 0)
    lengths = []
    for way, run in groupby(ways.tolist()):
        count = len(list(run))
        lengths.extend([count if way else 0] * count)
    return float(np.mean(lengths))


def chordal(tune: Tune) -> float:
    """Broken chords: the share of runs of three notes that are a major or a minor triad."""
    notes = Melody.of(tune).pitches.astype(np.int64) % 12
    runs = zip(notes.tolist(), notes[1:].tolist(), notes[2:].tolist(), strict=False)
    return float(np.mean([_is_triad(run) for run in runs]))


def droning(tune: Tune) -> float:
    """Beats that keep to few notes: the negative entropy of the pitches that begin on them."""
    melody = Melody.of(tune)
    pitches = melody.pitches[_on_beats(tune, melody.places)]
    if not len(pitches):
        return 0.0
    shares = np.unique(pitches, return_counts=True)[1] / len(pitches)
    return float((shares * np.log(shares)).sum())


def climactic(tune: Tune) -> float:
    """One summit, two thirds into the tune: minus how far off it comes and how often it is heard.

    Both are parts of the tune, in notes.
    """
    pitches = Melody.of(tune).pitches
    summits = np.flatnonzero(pitches == pitches.max())
    return float(-abs(summits[0] / len(pitches) - 2 / 3) - 2 * len(summits) / len(pitches))


def answering(tune: Tune) -> float:
    """Phrases of four bars, two to ask and two to answer: alike as they begin, not as they end."""
    bars = _notes_of_bars(tune, Melody.of(tune))
    found = []
    for start in range(0, len(bars) - 3, 4):
        asked, closed, answer, end = bars[start : start + 4]
        found.append(_shared(asked, answer) - _shared(closed, end))
    return float(np.mean(found)) if found else 0.0


def driving(tune: Tune) -> float:
    """Bars that hurry into the next: the notes begun in the last beat less those in the first.

    In notes a bar.
    """
    beat = BAR // _beats(tune)
    bars = _notes_of_bars(tune, Melody.of(tune))
    leads = [
        sum(place >= BAR - beat for place, _ in bar) - sum(place < beat for place, _ in bar)
        for bar in bars
    ]
    return float(np.mean(leads)) if leads else 0.0


def tumbling(tune: Tune) -> float:
    """A line that leaps up and tumbles down: the mean rise less the mean fall, in semitones."""
    intervals = np.diff(Melody.of(tune).pitches.astype(np.int64))
    rises, falls = intervals[intervals > 0], -intervals[intervals < 0]
    if not (len(rises) and len(falls)):
        return 0.0
    return float(rises.mean() - falls.mean())


def leaning(tune: Tune) -> float:
    """Dissonance resolved: the share of notes on beats that step from outside a chord into it."""
    melody = Melody.of(tune)
    degrees = (melody.pitches.astype(np.int64) - tonic_of(tune)) % 12
    chords = _chords(tune, melody)
    numbers = np.unique(melody.bars, return_inverse=True)[1]
    fits = _TRIADS[degrees, chords[numbers]] > 0
    size = np.abs(np.diff(melody.pitches.astype(np.int64)))
    leans = ~fits[:-1] & fits[1:] & (size > 0) & (size <= _STEP)
    on_beat = _on_beats(tune, melody.places[:-1])
    return float(leans[on_beat].mean()) if on_beat.any() else 0.0


def rounded(tune: Tune) -> float:
    """Parts that close with the two bars that the first closed with, and go other ways before.

    From -1 to 1; bars are compared from the end.
    """
    melody = Melody.of(tune)
    parts = [_by_bars(melody, place)[::-1] for place in _parts(tune, melody)]
    parts = [bars for bars in parts if len(bars) >= 4]
    found = []
    for part in parts[1:]:
        alike = [_shared(one, other) for one, other in zip(parts[0], part, strict=False)]
        found.append(np.mean(alike[:2]) - np.mean(alike[2:]))
    return float(np.mean(found)) if found else 0.0


def ringing(tune: Tune) -> float:
    """Open strings of the fiddle: the share of the tune's time spent on them."""
    melody = Melody.of(tune)
    lengths = _lengths_in_quarters(tune, melody)
    return float(lengths[np.isin(melody.pitches[:-1], _OPEN_STRINGS)].sum() / lengths.sum())


def _is_triad(notes: tuple[int, ...]) -> bool:
    """Whether three pitch classes are one of the 24 triads.

    >>> _is_triad((7, 0, 4)), _is_triad((9, 0, 4)), _is_triad((0, 2, 4))
    (True, True, False)
    """
    return any({(note - root) % 12 for note in notes} in ({0, 4, 7}, {0, 3, 7}) for root in notes)


def _on_beats(tune: Tune, places: NDArray[np.uint16]) -> NDArray[np.bool_]:
    return np.asarray(places % max(1, BAR // _beats(tune)) == 0)


def _beats(tune: Tune) -> int:
    return max(1, tune.meter.numerator // 3 if tune.meter.compound else tune.meter.numerator)


def _chord_roots(tune: Tune, melody: Melody) -> NDArray[np.int64]:
    """For each bar the degree (0 to 11) of the triad that the most of its time belongs to."""
    return _chords(tune, melody) // 2


def _chords(tune: Tune, melody: Melody) -> NDArray[np.int64]:
    """For each bar the column of _TRIADS that the most of its time belongs to."""
    return np.asarray(np.argmax(_time_on_degrees(tune, melody) @ _TRIADS, axis=1))


def _time_on_degrees(tune: Tune, melody: Melody) -> Array:
    """(bars, 12) in 720ths of a bar: how long the notes that begin in a bar stay on a degree."""
    degrees = (melody.pitches.astype(np.int64) - tonic_of(tune)) % 12
    numbers = np.unique(melody.bars, return_inverse=True)[1]
    time = np.zeros((numbers.max() + 1, 12))
    np.add.at(time, (numbers, degrees), np.maximum(melody.waits, 1))
    return time


def _notes_of_bars(tune: Tune, melody: Melody) -> list[set[tuple[int, int]]]:
    """(place, pitch) of the notes of each bar that holds any, a pick-up bar left out."""
    first = int(melody.bars[0]) + (tune.bars[0].ticks < tune.meter.ticks)
    return _by_bars(melody, melody.bars >= first)


def _by_bars(melody: Melody, chosen: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """(place, pitch) of the chosen notes, bar by bar."""
    found: dict[int, set[tuple[int, int]]] = {}
    columns = (melody.bars, melody.places, melody.pitches)
    for bar, place, pitch in zip(*(column[chosen].tolist() for column in columns), strict=True):
        found.setdefault(bar, set()).add((place, pitch))
    return list(found.values())


def _shared(one: set[tuple[int, int]], other: set[tuple[int, int]]) -> float:
    return 2 * len(one & other) / (len(one) + len(other))


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
