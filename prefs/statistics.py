"""Musical statistics of a tune: most of what a reward model reads, and all that pairing needs.

They read the same text as activations.py, the tune as its model wrote it, its title left out.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abc_tools import Tune, parse_tune
from musicgen.corpus import bar_fingerprints
from musicgen.melody import BAR, Melody
from prefs import harmony_statistics, likeness_statistics, motion_statistics
from prefs.heard import DEGREES, WHITE, Heard

_FEWEST_IN_A_PHRASE = 4  # notes

# Each family has a prior of its own in a reward model, so that the statistics that a rater does not
# mind do not blur those that they do.
FAMILIES: dict[str, tuple[str, ...]] = {
    "shape": (
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
    ),
    "structure": (
        "different bars",
        "different rhythms",
        "likeness of the parts",
        "phrases ending on the tonic",
        "phrases ending on the fifth",
        "ends on the tonic",
        "compressed size",
    ),
    "phrase shapes": (
        "second half higher",
        "phrases rising",
        "phrases bending",
        "phrases ending on a long note",
        "phrases ending by step",
    ),
    "flow": (
        "leaps turned back",
        "range of a bar",
        "uneven lengths",
        "long notes",
        "bars like the one before",
        "bars like the second before",
        "rhythms like the bar before",
        "halves apart in notes",
        "halves apart in rhythm",
        "notes outside the key",
    ),
    "degrees": tuple(f"share of degree {degree}" for degree in DEGREES),
    **likeness_statistics.FAMILIES,
    **harmony_statistics.FAMILIES,
    **motion_statistics.FAMILIES,
}
STATISTICS: tuple[str, ...] = tuple(name for family in FAMILIES.values() for name in family)
WIDTHS: tuple[int, ...] = tuple(len(family) for family in FAMILIES.values())
PLAIN = sum(WIDTHS[:5])  # statistics of the families up to "degrees"


def statistics(abc: str) -> NDArray[np.float64]:
    """The STATISTICS of a tune, (len(STATISTICS),); zeros if it has fewer than two notes."""
    tune = parse_tune(abc)
    melody = Melody.of(tune)
    if len(melody.pitches) < 2:
        return np.zeros(len(STATISTICS))
    heard = Heard.of(tune, melody)
    return np.array(
        [
            *_plain(tune, melody, abc),
            *likeness_statistics.values(heard),
            *harmony_statistics.values(heard),
            *motion_statistics.values(heard),
        ]
    )


def plain_statistics(abc: str) -> NDArray[np.float64]:
    """The first PLAIN of them, in half the time: enough to compare tunes by under one prior."""
    tune = parse_tune(abc)
    melody = Melody.of(tune)
    return np.array(_plain(tune, melody, abc) if len(melody.pitches) > 1 else [0.0] * PLAIN)


def _plain(tune: Tune, melody: Melody, abc: str) -> list[float]:
    return [
        *_shape(melody),
        *_structure(tune, melody, abc),
        *_phrases(melody),
        *_flow(tune, melody),
        *_degrees(tune, melody),
    ]


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


def _phrases(melody: Melody) -> list[float]:
    """Contour and cadence of phrases of four bars, and how the halves of the tune differ."""
    pitches, waits = melody.pitches.astype(float), melody.waits.astype(np.int64)
    bars = melody.bars.astype(np.int64) - int(melody.bars[0])
    later = bars > int(bars[-1]) // 2
    higher = pitches[later].mean() - pitches[~later].mean() if later.any() else 0.0
    slopes, bends, long_ends, step_ends = [], [], [], []
    for phrase in range(int(bars[-1]) // 4 + 1):
        inside = np.flatnonzero(bars // 4 == phrase)
        place = (bars[inside] % 4 + melody.places[inside] / BAR) / 2 - 1  # -1 to 1
        if len(inside) < _FEWEST_IN_A_PHRASE or np.ptp(place) < 1:
            continue  # of less than two bars no shape is known
        shape = np.stack([np.ones_like(place), place, place**2 - 1 / 3], axis=1)
        fitted = np.linalg.lstsq(shape, pitches[inside], rcond=None)[0]
        slopes.append(fitted[1])
        bends.append(fitted[2])
        last = int(inside[-1])
        long_ends.append(waits[last] > np.median(waits[inside]) or last == len(pitches) - 1)
        step_ends.append(abs(pitches[last] - pitches[last - 1]) <= 2)
    if not slopes:
        return [higher, 0.0, 0.0, 0.0, 0.0]
    return [higher, *(float(np.mean(each)) for each in (slopes, bends, long_ends, step_ends))]


def _flow(tune: Tune, melody: Melody) -> list[float]:
    """How notes and bars follow each other, and notes that the key does not have."""
    steps = np.diff(melody.pitches.astype(np.int64))
    waits = np.log2(np.maximum(melody.waits[:-1], 1).astype(float))
    leaps = np.flatnonzero(np.abs(steps[:-1]) >= 5)
    back = np.sign(steps[leaps + 1]) == -np.sign(steps[leaps])
    starts = np.flatnonzero(np.diff(melody.bars, prepend=melody.bars[0] - 1))
    highest = np.maximum.reduceat(melody.pitches, starts)
    lowest = np.minimum.reduceat(melody.pitches, starts)
    bars = [bar.shape for bar in bar_fingerprints(tune)]
    rhythms = [tuple(place for place, _ in shape) for shape in bars]
    later = melody.bars > (int(melody.bars[0]) + int(melody.bars[-1])) // 2
    known = {(white + move) % 12 for white, move in zip(WHITE, tune.key.alterations, strict=True)}
    return [
        float(back.mean()) if len(back) else 0.0,
        float((highest - lowest).mean()),
        float(np.mean(np.abs(np.diff(waits)) > 0.5)) if len(waits) > 1 else 0.0,
        float(np.mean(melody.waits[:-1] >= BAR // 4)),
        _alike(bars, 1),
        _alike(bars, 2),
        _alike(rhythms, 1),
        _apart(melody.pitches % 12, later, 12),
        _apart(melody.places, later, int(melody.places.max()) + 1),
        float(np.mean([int(pitch) % 12 not in known for pitch in melody.pitches])),
    ]


def _degrees(tune: Tune, melody: Melody) -> list[float]:
    counts = np.bincount((melody.pitches - tonic_of(tune)) % 12, minlength=12)
    return list(counts / counts.sum())


def tonic_of(tune: Tune) -> int:
    """Pitch class of the key's tonic; of a tune without key, that of C."""
    return tune.key.tonic_pitch or 0


def _alike(bars: Sequence[object], distance: int) -> float:
    """Share of bars that equal the one `distance` before them."""
    same = [one == other for one, other in zip(bars, bars[distance:], strict=False)]
    return float(np.mean(same)) if same else 0.0


def _apart(values: NDArray[np.integer], later: NDArray[np.bool_], size: int) -> float:
    """How far the values of both halves of a tune are apart: 0 alike, 1 nothing in common."""
    if later.all() or not later.any():
        return 0.0
    one, other = (
        np.bincount(values[half], minlength=size) / half.sum() for half in (~later, later)
    )
    return float(np.abs(one - other).sum() / 2)
