"""How a melody moves: from note to note, from beat to beat, and over phrases and the whole tune."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from musicgen.melody import BAR
from prefs.heard import PHRASE, Heard, mean_of

Array = NDArray[np.float64]

_CELLS = ("one note", "two even", "long and short", "short and long", "three", "four", "held over")
_QUARTERS = ("first", "second", "third", "last")

FAMILIES: dict[str, tuple[str, ...]] = {
    "intervals": (
        *(f"{size} {way}" for size in ("steps", "thirds", "wide leaps") for way in ("up", "down")),
        "runs of steps",
        "broken chords",
        "neighbour notes",
        "turns after a leap",
        "turns after a rise",
        "longest way one direction",
    ),
    "beats": (
        *(f"beats of {cell}" for cell in _CELLS),
        "beats like the one before",
        "different rhythms of a beat",
        "notes held over a beat",
        "beats that begin with a note",
        "first beat the longest",
        "higher notes on the beat",
    ),
    "arcs": (
        *(f"{quarter} bar of a phrase high" for quarter in _QUARTERS),
        "bars high in the middle",
        *(f"{quarter} quarter of the tune high" for quarter in _QUARTERS),
        "place of the highest note",
        "lowest note below the tonic",
        "highest note above the tonic",
        "notes near the middle of the range",
        "phrases differ in register",
    ),
    "meter": ("beats in a bar", "beats of three parts"),
}
NAMES: tuple[str, ...] = tuple(name for family in FAMILIES.values() for name in family)


def values(heard: Heard) -> list[float]:
    """One for each of NAMES."""
    meter = [BAR / heard.beat, float(heard.compound)]
    return [*_intervals(heard), *_beats(heard), *_arcs(heard), *meter]


def _intervals(heard: Heard) -> list[float]:
    steps = np.diff(heard.steps)
    size, way = np.abs(steps), np.sign(steps)
    same = way[1:] == way[:-1]
    leaps = size[:-1] >= 3
    turned = way[1:] == -way[:-1]
    lengths = np.diff(np.flatnonzero(np.diff(way, prepend=9, append=9)))  # runs of one direction
    return [
        *(
            mean_of(inside & (way == sign))
            for inside in (size == 1, size == 2, size >= 3)
            for sign in (1, -1)
        ),
        mean_of(same & (size[1:] == 1) & (size[:-1] == 1)),
        mean_of(same & (size[1:] >= 2) & (size[:-1] >= 2)),
        mean_of(turned & (size[1:] == 1) & (size[:-1] == 1)),
        mean_of(turned[leaps]),
        mean_of(turned[way[:-1] > 0]),
        float(lengths.max()) if len(lengths) else 0.0,
    ]


def _beats(heard: Heard) -> list[float]:
    beat = heard.beat
    inside = heard.bars >= 0
    bars, places, lengths = (each[inside] for each in (heard.bars, heard.places, heard.lengths))
    beats = bars * (BAR // beat) + places // beat
    cells: dict[int, list[int]] = {}
    for number, place in zip(beats.tolist(), (places % beat).tolist(), strict=True):
        cells.setdefault(number, []).append(place)
    total = heard.count * (BAR // beat)
    patterns = [tuple(cells.get(number, ())) for number in range(total)]
    shares = np.bincount([_cell(one, beat) for one in patterns], minlength=8)[:7] / total
    on = places % beat == 0
    octaves = np.log2(lengths)
    firsts = places == 0
    pitches = heard.pitches[inside]
    over = ~on & (places % beat + lengths > beat)
    return [
        *shares,
        mean_of(np.array([one == other for one, other in pairwise(patterns)])),
        len(set(patterns)) / total,
        mean_of(over),
        mean_of(np.array([bool(one) and one[0] == 0 for one in patterns])),
        mean_of(octaves[firsts]) - mean_of(octaves),
        mean_of(pitches[on]) - mean_of(pitches),
    ]


def _cell(places: tuple[int, ...], beat: int) -> int:
    """The number of a beat's rhythm in _CELLS, 7 for any other."""
    if not places or places[0] > 0:
        return 6
    if len(places) == 1:
        return 0
    if len(places) == 2:
        half = 2 * places[1]
        return 1 if half == beat else 2 if half > beat else 3
    return 4 if len(places) == 3 else 5 if len(places) == 4 else 7


def _arcs(heard: Heard) -> list[float]:
    pitches = heard.pitches[heard.sounding].astype(float)  # (B, SLOTS)
    means = pitches.mean(1)
    whole = len(means) // PHRASE * PHRASE
    phrases = means[:whole].reshape(-1, PHRASE) if whole else means.mean() * np.ones((1, PHRASE))
    profile = (phrases - phrases.mean(1, keepdims=True)).mean(0)
    eighths = pitches.reshape(len(means), 8, -1).mean(-1)
    flat = pitches.ravel()
    quarters = [float(each.mean() - flat.mean()) for each in np.array_split(flat, 4)]
    notes = heard.pitches
    center = (int(notes.max()) + int(notes.min())) / 2
    tonics = notes[heard.degrees == 0]
    home = float(tonics.mean()) if len(tonics) else float(notes.mean())
    return [
        *profile,
        float((eighths[:, 2:6].mean(1) - eighths[:, [0, 1, 6, 7]].mean(1)).mean()),
        *quarters,
        float(notes.argmax() / len(notes)),
        home - float(notes.min()),
        float(notes.max()) - home,
        mean_of(np.abs(notes - center) <= np.ptp(notes) / 4),
        float(phrases.mean(1).std()),
    ]
