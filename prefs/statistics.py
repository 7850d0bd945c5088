"""Musical statistics of a tune: half of what a reward model reads, and all that pairing needs.

They read the same text as activations.py, the tune as its model wrote it, its title left out.
"""

from __future__ import annotations

import zlib
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from abc_tools import Tune, parse_tune
from musicgen.corpus import bar_fingerprints
from musicgen.melody import Melody

_DEGREES = ("1", "b2", "2", "b3", "3", "4", "#4", "5", "b6", "6", "b7", "7")

STATISTICS: tuple[str, ...] = (
    "bars",
    "notes a bar",
    "register",
    "range",
    "spread of pitch",
    "mean interval",
    "share of steps",
    "share of leaps",
    "share of repeated notes",
    "share rising",
    "turning points",
    "share of short notes",
    "variety of lengths",
    "off the beat",
    "different bars",
    "different rhythms",
    "likeness of the parts",
    "phrases ending on the tonic",
    "phrases ending on the fifth",
    "ends on the tonic",
    "compressed size",
    *(f"share of degree {degree}" for degree in _DEGREES),
)


def statistics(abc: str) -> NDArray[np.float64]:
    """The STATISTICS of a tune, (len(STATISTICS),); zeros if it has fewer than two notes."""
    tune = parse_tune(abc)
    melody = Melody.of(tune)
    if len(melody.pitches) < 2:
        return np.zeros(len(STATISTICS))
    return np.array([*_shape(melody), *_structure(tune, melody, abc), *_degrees(tune, melody)])


def _shape(melody: Melody) -> list[float]:
    pitches = melody.pitches.astype(float)
    waits = melody.waits[:-1].astype(float)
    bars = len(set(melody.bars.tolist()))
    steps = np.diff(pitches)
    size = np.abs(steps)
    moving = np.sign(steps[steps != 0])
    lengths = np.array(list(Counter(waits.tolist()).values()), dtype=float)
    shares = lengths / lengths.sum()
    return [
        np.log2(bars),
        len(pitches) / bars,
        pitches.mean(),
        np.ptp(pitches),
        pitches.std(),
        size.mean(),
        np.mean((size > 0) & (size <= 2)),
        np.mean(size >= 5),
        np.mean(size == 0),
        np.mean(steps > 0),
        np.mean(moving[1:] != moving[:-1]) if len(moving) > 1 else 0.0,
        np.mean(waits < np.median(waits)),
        float(-(shares * np.log2(shares)).sum()),
        np.mean(melody.places % 90 != 0),  # 720ths of a bar: not on an eighth part of it
    ]


def _structure(tune: Tune, melody: Melody, abc: str) -> list[float]:
    bars = bar_fingerprints(tune)
    rhythms = {tuple(place for place, _ in bar.shape) for bar in bars}
    half = len(bars) // 2
    alike = sum(one == other for one, other in zip(bars[:half], bars[half:], strict=False))
    tonic = tonic_of(tune)
    last_of_bar = {
        int(bar): int(pitch) for bar, pitch in zip(melody.bars, melody.pitches, strict=True)
    }
    numbers = sorted(last_of_bar)
    ends = [(last_of_bar[number] - tonic) % 12 for number in numbers[3::4]] or [0]
    music = abc[abc.index("K:") :].encode() if "K:" in abc else abc.encode()
    return [
        len(set(bars)) / max(1, len(bars)),
        len(rhythms) / max(1, len(bars)),
        alike / max(1, half),
        float(np.mean([end == 0 for end in ends])),
        float(np.mean([end == 7 for end in ends])),
        float((int(melody.pitches[-1]) - tonic) % 12 == 0),
        len(zlib.compress(music, 9)) / max(1, len(melody.pitches)),
    ]


def _degrees(tune: Tune, melody: Melody) -> list[float]:
    counts = np.bincount((melody.pitches - tonic_of(tune)) % 12, minlength=12)
    return list(counts / counts.sum())


def tonic_of(tune: Tune) -> int:
    """Pitch class of the key's tonic; of a tune without key, that of C."""
    name = tune.key.tonic
    if not name or name == "HP":
        return 9 if name else 0
    return "C.D.EF.G.A.B".index(name[0]) + name.count("#") - name[1:].count("b")
