"""The melody of a tune as numbers, the same whatever its key and whatever its meter is written as.

    Melody.of(tune)      the written notes of the first voice, repeats not unfolded
    run_hashes           one number for each run of some notes, the same for the same music

A melody is a chain of steps: how many semitones up to the next note, and how long until it begins,
counted in bars. So 2/4 with sixteenths equals 4/4 with eighths. Tied notes are one note, of a chord
the highest counts, graces and ornaments are left out; a rest lengthens the note before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abc_tools.tune import WHOLE, Bar, Chord, Note, Overlay, Rest, Tune

BAR = 720  # time is counted in 720ths of a bar
_LONGEST_WAIT = 2**16 - 1
_FIRST, _NEXT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)  # odd: invertible


@dataclass(frozen=True)
class Melody:
    """The notes of a tune, in order, and where its bars begin.

    pitches    (N,) MIDI numbers, int16
    waits      (N,) time from a note's beginning to the next one's in 720ths of a bar, the last
               one's 0, uint16
    offsets    (N,) offsets of the notes in the tune's source
    bars       (N,) number of the written bar each stands in, from 1, a pick-up bar counted, int16
    places     (N,) time from the beginning of its bar to a note in 720ths of a bar, uint16
    """

    pitches: NDArray[np.int16]
    waits: NDArray[np.uint16]
    offsets: NDArray[np.int32]
    bars: NDArray[np.int16]
    places: NDArray[np.uint16]

    @classmethod
    def of(cls, tune: Tune) -> Melody:
        """The written notes of the tune's first voice; of overlays (&) the first layer."""
        notes: list[tuple[int, int, int, int]] = []  # pitch, offset, bar, place
        onsets: list[float] = []  # in 720ths of a bar since the tune's beginning
        number, clock, place, tied = 0, 0.0, 0, False
        for bar in tune.bars:
            if not bar.ticks:
                continue
            if not bar.joined or number == 0:  # an ending in mid-bar goes on with the same bar
                number, place = number + 1, 0
            measure = bar.meter.ticks or WHOLE
            for element in _first_layer(bar):
                if isinstance(element, Note | Chord):
                    top = element if isinstance(element, Note) else max(element.notes, key=_pitch)
                    if not (tied and notes and notes[-1][0] == top.pitch):
                        notes.append((top.pitch, element.start, number, place * BAR // measure))
                        onsets.append(clock)
                    tied = top.tied
                else:
                    tied = False
                place += element.ticks
                clock += element.ticks * BAR / measure
        table = np.array(notes, dtype=np.int64).reshape(-1, 4)
        waits = np.rint(np.diff(np.array(onsets + onsets[-1:]))).clip(0, _LONGEST_WAIT)
        return cls(
            pitches=table[:, 0].astype(np.int16),
            waits=waits.astype(np.uint16),
            offsets=table[:, 1].astype(np.int32),
            bars=table[:, 2].astype(np.int16),
            places=table[:, 3].clip(0, _LONGEST_WAIT).astype(np.uint16),
        )


def _first_layer(bar: Bar) -> Sequence[Note | Chord | Rest]:
    layer: list[Note | Chord | Rest] = []
    for element in bar.elements:
        if isinstance(element, Overlay):
            break
        if isinstance(element, Note | Chord | Rest):
            layer.append(element)
    return layer


def _pitch(note: Note) -> int:
    return note.pitch


def step_codes(pitches: NDArray[np.int16], waits: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """(N,) notes -> (N - 1,) steps: semitones to the next note and the time until it begins."""
    intervals = np.diff(pitches.astype(np.int64)) + 128
    codes = (intervals.astype(np.uint64) << np.uint64(16)) | waits[:-1].astype(np.uint64)
    return _mixed(codes)


def run_hashes(steps: NDArray[np.uint64], notes: int) -> NDArray[np.uint64]:
    """One hash for each run of `notes` consecutive notes, by the note it begins with."""
    count = max(0, len(steps) - (notes - 1) + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for place in range(notes - 1):
        hashes = hashes * _NEXT + steps[place : place + count]
    return hashes


def bar_hashes(
    steps: NDArray[np.uint64],
    places: NDArray[np.uint16],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
) -> NDArray[np.uint64]:
    """One hash for each bar, whose notes are begins[i] to ends[i] - 1: all but its key."""
    hashes = _mixed(places[begins].astype(np.uint64))
    lengths = ends - begins
    for place in range(1, int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        hashes[longer] = hashes[longer] * _NEXT + steps[begins[longer] + place - 1]
    return hashes * _NEXT + lengths.astype(np.uint64)


def _mixed(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Small numbers spread over 64 bits, so that sums of products hardly ever agree by chance."""
    codes = (codes + np.uint64(1)) * _FIRST
    codes = (codes ^ (codes >> np.uint64(31))) * _NEXT
    return codes ^ (codes >> np.uint64(29))
