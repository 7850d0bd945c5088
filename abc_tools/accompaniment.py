"""Chord symbols ("Am", "D7/F#") -> bass notes and chords on the beats."""

from __future__ import annotations

import re
from bisect import bisect_right

from abc_tools.playing import Played
from abc_tools.tune import LETTERS, WHOLE, Meter, Tune
from abc_tools.unfold import Performance

_SYMBOL = re.compile(r"([A-G])([#b♯♭]?)(maj7|m7b5|min|dim|aug|sus2|sus4|sus|m7|mM7|m6|m|7|6|9|\+)?")
_BASS = re.compile(r"/([A-G])([#b♯♭]?)")
_SEMITONE = (0, 2, 4, 5, 7, 9, 11)
_INTERVALS = {
    "": (0, 4, 7), "maj7": (0, 4, 7, 11), "m": (0, 3, 7), "min": (0, 3, 7), "m7": (0, 3, 7, 10),
    "mM7": (0, 3, 7, 11), "m6": (0, 3, 7, 9), "7": (0, 4, 7, 10), "9": (0, 4, 7, 10),
    "6": (0, 4, 7, 9), "dim": (0, 3, 6), "m7b5": (0, 3, 6, 10), "aug": (0, 4, 8), "+": (0, 4, 8),
    "sus": (0, 5, 7), "sus4": (0, 5, 7), "sus2": (0, 2, 7),
}  # fmt: skip
_LOWEST_BASS, _LOWEST_CHORD = 40, 52  # E2 and E3


def chord_pitches(symbol: str) -> tuple[int, tuple[int, ...]] | None:
    """(bass, chord) as MIDI numbers, None for text that is no chord symbol.

    >>> chord_pitches("Am")
    (45, (52, 57, 60))
    """
    match = _SYMBOL.match(symbol)
    if not match:
        return None
    root = _pitch_class(match[1], match[2])
    slash = _BASS.search(symbol)
    bass = _pitch_class(slash[1], slash[2]) if slash else root
    chord = tuple(
        _LOWEST_CHORD + (root + interval - _LOWEST_CHORD) % 12
        for interval in _INTERVALS[match[3] or ""]
    )
    return _LOWEST_BASS + (bass - _LOWEST_BASS) % 12, tuple(sorted(chord))


def _pitch_class(letter: str, sign: str) -> int:
    return _SEMITONE[LETTERS.index(letter)] + (sign in ("#", "♯")) - (sign in ("b", "♭"))


def accompaniment(performance: Performance, tune: Tune) -> list[Played]:
    """Bass on the first beat of a half bar (of a bar in threes), the chord on the other beats.

    Each symbol holds until the next; nothing sounds before the first.
    """
    places: list[int] = []
    chords: list[tuple[int, tuple[int, ...]]] = []
    for onset, marks in zip(performance.onsets, performance.marks, strict=True):
        for mark in marks:
            found = chord_pitches(mark.text[1:-1]) if mark.kind == "chord symbol" else None
            if found:
                places.append(onset)
                chords.append(found)
    if not places:
        return []
    meter = tune.bars[0].meter
    beat, cycle = _beats(meter)
    notes: list[Played] = []
    for bar_start, bar_ticks in performance.bar_times:
        # A pick-up counts from the barline after it.
        first = max(0, meter.ticks - bar_ticks) if meter.ticks else 0
        for place in range(-(-first // beat), -(-(first + bar_ticks) // beat)):
            tick = bar_start + place * beat - first
            index = bisect_right(places, tick) - 1
            if index < 0:
                continue
            bass, chord = chords[index]
            end = min(tick + beat, bar_start + bar_ticks)
            pitches = (bass,) if place % cycle == 0 else chord
            notes += [Played(tick, end, pitch) for pitch in pitches]
    return notes


def _beats(meter: Meter) -> tuple[int, int]:
    """(ticks of a beat, beats from one bass note to the next)."""
    if meter.compound:
        # In jigs the chord comes on the third eighth of each group, after the bass on the first.
        return WHOLE // 8, 3
    if meter.numerator % 3 == 0 and meter.numerator:
        return WHOLE // meter.denominator, 3
    if meter.text in ("C|", "4/4"):
        return WHOLE // 4, 2
    return WHOLE // 8, 2
