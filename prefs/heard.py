"""A tune as it is heard, bar by bar: what the families of musical statistics read.

Bars are counted as a musician counts them: a pick-up is no bar of its own, and a short bar and the
pick-up after it are one. Phrases are four such bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abc_tools import Tune
from abc_tools.structure import sections
from musicgen.melody import BAR, Melody

Ints = NDArray[np.int64]
SLOTS = 48  # of a bar: sixteenths of 4/4 and triplets begin on one
PHRASE = 4  # bars
DEGREES = ("1", "b2", "2", "b3", "3", "4", "#4", "5", "b6", "6", "b7", "7")
_SLOT = BAR // SLOTS
WHITE = (0, 2, 4, 5, 7, 9, 11)  # semitones of C D E F G A B


@dataclass(frozen=True)
class Heard:
    """The notes of a tune's melody, and what sounds when.

    pitches   (N,) MIDI numbers
    degrees   (N,) semitones above the tonic, 0 to 11
    steps     (N,) numbers of the key's scale steps, seven to an octave
    lengths   (N,) 720ths of a bar until the next note begins; the last one's until its bar ends
    bars      (N,) which bar each begins in, from 0; -1 in a pick-up before the first
    places    (N,) 720ths of a bar since that bar began
    parts     (N,) number of the part each stands in, from 0
    sounding  (B, SLOTS) index of the note that sounds in each slot of each bar
    struck    (B, SLOTS) whether a note begins there
    beat      720ths of a bar
    compound  whether beats are of three parts, as in 6/8
    scale     (7,) semitones of the key's scale above the tonic, the tonic first
    """

    pitches: Ints
    degrees: Ints
    steps: Ints
    lengths: Ints
    bars: Ints
    places: Ints
    parts: Ints
    sounding: Ints
    struck: NDArray[np.bool_]
    beat: int
    compound: bool
    scale: Ints

    @classmethod
    def of(cls, tune: Tune, melody: Melody) -> Heard:
        """Of a tune with at least one note; `melody` is that tune's."""
        bars, places = _counted(tune, melody)
        bars += max(0, -int(bars.max()))  # nothing but a pick-up is a bar after all
        onsets = bars * SLOTS + places // _SLOT
        count = max(1, int(bars.max()) + 1)
        clock = np.arange(count * SLOTS)
        sounding = (np.searchsorted(onsets, clock, side="right") - 1).clip(0)
        struck = np.zeros(count * SLOTS, dtype=bool)
        struck[onsets[onsets >= 0]] = True
        lengths = melody.waits.astype(np.int64).clip(1)
        lengths[-1] = max(1, BAR - int(places[-1]))
        tonic = tune.key.tonic_pitch or 0
        pitches = melody.pitches.astype(np.int64)
        known = sorted(
            (white + move - tonic) % 12
            for white, move in zip(WHITE, tune.key.alterations, strict=True)
        )
        scale = np.array(known, dtype=np.int64)
        above, degrees = np.divmod(pitches - tonic, 12)
        steps = above * 7 + (np.searchsorted(scale, degrees, side="right") - 1).clip(0)
        meter = tune.meter
        beats = max(1, meter.numerator // 3 if meter.compound else meter.numerator)
        return cls(
            pitches=pitches,
            degrees=degrees,
            steps=steps,
            lengths=lengths,
            bars=bars,
            places=places,
            parts=_parts(tune, melody),
            sounding=sounding.reshape(count, SLOTS),
            struck=struck.reshape(count, SLOTS),
            beat=max(1, BAR // beats),
            compound=meter.compound,
            scale=scale,
        )

    @property
    def count(self) -> int:
        """Bars."""
        return len(self.sounding)

    def last_of_bars(self) -> Ints:
        """(B,) index of the last note that begins in a bar, or of the one held through it."""
        return np.asarray(self.sounding[:, -1])


def mean_of(found: NDArray[Any] | Sequence[float]) -> float:
    """0 where there is nothing to take a mean of."""
    return float(np.mean(found)) if len(found) else 0.0


def _counted(tune: Tune, melody: Melody) -> tuple[Ints, Ints]:
    """Bars and places of the notes, pick-ups joined to the short bars before them."""
    lengths = [0.0]  # by the melody's number of the bar, in 720ths of one
    for bar in tune.bars:
        if bar.ticks:
            length = bar.ticks * BAR / (bar.meter.ticks or bar.ticks)
            if bar.joined and len(lengths) > 1:
                lengths[-1] += length
            else:
                lengths.append(length)
    number_of, moved = np.zeros(len(lengths), dtype=np.int64), np.zeros(len(lengths))
    number, filled = -1, 0.0
    for written, length in enumerate(lengths[1:], start=1):
        if written == 1 and length < BAR - 1:
            number_of[1], moved[1], filled = -1, BAR - length, BAR
        elif filled > 0 and filled + length < BAR + 1:
            number_of[written], moved[written] = number, filled
            filled += length
        else:
            number += 1
            number_of[written], filled = number, length
    written_bars = melody.bars.astype(np.int64)
    places = melody.places.astype(np.int64) + moved[written_bars].astype(np.int64)
    return number_of[written_bars], places.clip(0, BAR - 1)


def _parts(tune: Tune, melody: Melody) -> Ints:
    starts = [tune.bars[part.start].start for part in sections(tune.bars)]
    return (np.searchsorted(starts, melody.offsets, side="right") - 1).clip(0).astype(np.int64)
