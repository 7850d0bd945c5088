"""What tunes are like as music, and how far samples are from real tunes in each respect.

Distances are total variation: half the sum of absolute differences of two histograms, 0 for equal
ones, 1 for ones with nothing in common. Two random halves of the real tunes give the distance that
chance brings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from abc_tools import AbcError, Note, Tune, parse_tune
from abc_tools.tune import WHOLE, Bar
from musicgen.part_plan import part_plan

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_MOVES = {"#": 1, "b": -1}


def tonic_of(tune: Tune) -> int | None:
    """Pitch class of the key's tonic, None if it has none."""
    name = tune.key.tonic
    if name[:1] not in _NATURALS or name == "HP":
        return None
    return (_NATURALS[name[0]] + sum(_MOVES.get(sign, 0) for sign in name[1:])) % 12


def notes_of(bar: Bar) -> list[Note]:
    return [element for element in bar.elements if isinstance(element, Note)]


def written_notes(tune: Tune) -> list[Note]:
    """Notes as written, repeats once."""
    return [note for bar in tune.bars for note in notes_of(bar)]


def pitch_classes(tune: Tune) -> Iterator[int]:
    """Semitones above the tonic, 0..11."""
    tonic = tonic_of(tune)
    if tonic is not None:
        yield from ((note.pitch - tonic) % 12 for note in written_notes(tune))


def intervals(tune: Tune) -> Iterator[int]:
    """Semitones from note to note, at most an octave and a half either way."""
    notes = written_notes(tune)
    for one, other in pairwise(notes):
        yield max(-18, min(18, other.pitch - one.pitch))


def note_lengths(tune: Tune) -> Iterator[float]:
    """In whole notes."""
    yield from (note.ticks / WHOLE for note in written_notes(tune))


def ranges(tune: Tune) -> Iterator[int]:
    """Semitones from the lowest to the highest note."""
    pitches = [note.pitch for note in written_notes(tune)]
    if pitches:
        yield max(pitches) - min(pitches)


def plans(tune: Tune) -> Iterator[tuple[int, ...]]:
    """Bars of each part."""
    if plan := part_plan(tune):
        yield plan


def parts(tune: Tune) -> Iterator[int]:
    yield from (len(plan) for plan in plans(tune))


def bars_a_part(tune: Tune) -> Iterator[int]:
    yield from (bars for plan in plans(tune) for bars in plan)


def bar_echoes(tune: Tune) -> Iterator[int]:
    """For each bar how many bars before it the same bar last stood; 0: it is new."""
    last: dict[tuple[tuple[int, int], ...], int] = {}
    for place, bar in enumerate(tune.bars):
        notes = tuple((note.pitch, note.ticks) for note in notes_of(bar))
        if len(notes) > 1:
            yield min(16, place - last[notes]) if notes in last else 0
            last[notes] = place


def phrase_ends_on_tonic(tune: Tune) -> Iterator[bool]:
    """For each end of a part whether its last note is the tonic."""
    tonic = tonic_of(tune)
    if tonic is None:
        return
    for place, bar in enumerate(tune.bars):
        after = tune.bars[place + 1] if place + 1 < len(tune.bars) else None
        ends = bar.closes or bar.double_after or after is None
        if ends and (notes := notes_of(bar)):
            yield notes[-1].pitch % 12 == tonic


HISTOGRAMS: dict[str, Callable[[Tune], Iterable[Hashable]]] = {
    "pitch classes": pitch_classes,
    "intervals": intervals,
    "note lengths": note_lengths,
    "ranges": ranges,
    "bar echoes": bar_echoes,
    "parts": parts,
    "bars a part": bars_a_part,
}


def readable(texts: Sequence[str]) -> list[Tune]:
    """The tunes among `texts` that can be read."""
    found = []
    for text in texts:
        try:
            tune = parse_tune(text)
        except AbcError:
            continue
        if tune.bars:
            found.append(tune)
    return found


def histogram(
    tunes: Sequence[Tune], values: Callable[[Tune], Iterable[Hashable]]
) -> Counter[Hashable]:
    return Counter(value for tune in tunes for value in values(tune))


def total_variation(one: Counter[Hashable], other: Counter[Hashable]) -> float:
    """Half the sum of absolute differences of the shares.

    >>> total_variation(Counter("aab"), Counter("aac"))
    0.3333333333333333
    """
    sums = max(1, one.total()), max(1, other.total())
    return sum(abs(one[value] / sums[0] - other[value] / sums[1]) for value in one | other) / 2


def shape_figures(texts: Sequence[str], real: Sequence[str]) -> dict[str, Any]:
    """Distances of `texts` from `real`, and a few shares of their own."""
    tunes, others = readable(texts), readable(real)
    distances = {
        name: round(total_variation(histogram(tunes, values), histogram(others, values)), 4)
        for name, values in HISTOGRAMS.items()
    }
    on_tonic = [end for tune in tunes for end in phrase_ends_on_tonic(tune)]
    echoes = histogram(tunes, bar_echoes)
    near = sum(count for echo, count in echoes.items() if isinstance(echo, int) and 0 < echo <= 4)
    return {
        "distances": distances,
        "readable": len(tunes) / max(1, len(texts)),
        "parts_end_on_tonic": fmean(on_tonic) if on_tonic else 0.0,
        "bars_heard_before": 1 - echoes[0] / max(1, echoes.total()),
        "bars_heard_within_four": near / max(1, echoes.total()),
        "usual_parts": sum(all(b in (4, 8, 16) for b in plan) for t in tunes for plan in plans(t))
        / max(1, sum(1 for t in tunes for _ in plans(t))),
    }
