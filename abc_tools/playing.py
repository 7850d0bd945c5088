"""From written notes to played ones: grace notes, and on request swing and ornaments.

All of it works on `Played` notes in ticks; the first part of a note that is divided keeps its
index, so that a page can still point at the note in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, compress, count
from operator import add, sub
from typing import NamedTuple

from abc_tools.tune import WHOLE, Key, Mark, Meter, Tune
from abc_tools.unfold import Performance

GRACE = WHOLE // 32  # length of one grace note where the note after it leaves room
_SIXTEENTH = WHOLE // 16

# What a decoration makes of its note: scale steps away from it, one after another, with lengths in
# parts of the note; None fills the note with alternations.
_ORNAMENTS: dict[str, tuple[tuple[int, int], ...] | None] = {
    "roll": ((0, 4), (1, 1), (0, 3), (-1, 1), (0, 3)),
    "mordent": ((0, 1), (-1, 1), (0, 6)),
    "pralltriller": ((0, 1), (1, 1), (0, 6)),
    "turn": ((1, 1), (0, 1), (-1, 1), (0, 1)),
    "cut": ((1, 1), (0, 11)),
    "trill": None,
}
_DECORATION = {
    "~": "roll", "R": "roll", "!roll!": "roll", "T": "trill", "!trill!": "trill", "!tr!": "trill",
    "M": "mordent", "!mordent!": "mordent", "!lowermordent!": "mordent",
    "P": "pralltriller", "!uppermordent!": "pralltriller", "!pralltriller!": "pralltriller",
    "!turn!": "turn", "!cut!": "cut", "!+!": "cut", "!plus!": "cut",
}  # fmt: skip
_SWUNG = {"hornpipe", "barndance", "schottische", "highland fling"}


class Played(NamedTuple):
    """A note to play: start and end in ticks, MIDI number."""

    start: int
    end: int
    pitch: int


class PlayedNotes(NamedTuple):
    """The notes of a performance as they are played, in its order, and what is played besides."""

    starts: Sequence[int]
    lengths: Sequence[int]
    pitches: tuple[int, ...]
    extra: list[Played]

    @classmethod
    def unchanged(cls, performance: Performance) -> PlayedNotes:
        """A performance without anything besides."""
        return cls(performance.onsets, performance.lengths, performance.pitches, [])


def played_notes(
    performance: Performance, tune: Tune, graces: bool, ornaments: bool, swing: bool
) -> PlayedNotes | None:
    """The performance with graces, ornaments and swing, each if asked for; None if it is as it was
    before."""
    swings = swing and _may_swing(performance, tune)
    every_mark = chain.from_iterable(filter(None, performance.page.notes.marks))
    graces = graces and any([mark.kind == "grace" for mark in every_mark])
    marked = [*compress(count(), performance.marks)] if graces or ornaments else []
    if not (marked or swings):
        return None
    onsets = list(performance.onsets)
    ends = list(map(add, onsets, performance.lengths))
    if swings:
        warp = _Swing(tune.bars[0].meter)
        onsets = [warp(tick) for tick in onsets]
        ends = [warp(tick) for tick in ends]
    extra: list[Played] = []
    for index in marked:
        marks = performance.marks[index]
        if graces:
            _play_graces(index, marks, onsets, ends, extra, performance.shift)
        if ornaments:
            pitch = performance.pitches[index]
            _play_ornament(index, marks, onsets, ends, extra, pitch, tune.key)
    return PlayedNotes(onsets, list(map(sub, ends, onsets)), performance.pitches, extra)


def _play_graces(
    index: int, marks: tuple[Mark, ...], onsets: list[int], ends: list[int],
    extra: list[Played], shift: int,
) -> None:  # fmt: skip
    """Grace notes sound when their note should, which begins later by at most half its length."""
    graces = [note for mark in marks if mark.kind == "grace" for note in mark.data]
    if not graces:
        return
    start = onsets[index]
    each = min(GRACE, (ends[index] - start) // (2 * len(graces)))
    if each <= 0:
        return
    for place, note in enumerate(graces):
        begin = start + place * each
        extra.append(Played(begin, begin + each, note.pitch + shift))
    later = start + each * len(graces)
    # The notes of a chord begin together.
    for other in range(index, len(onsets)):
        if onsets[other] != start:
            break
        if ends[other] > later:
            onsets[other] = later


def _play_ornament(
    index: int, marks: tuple[Mark, ...], onsets: list[int], ends: list[int],
    extra: list[Played], pitch: int, key: Key,
) -> None:  # fmt: skip
    """Divide a decorated note; its own note becomes the first part."""
    names = [_DECORATION[mark.text] for mark in marks if mark.text in _DECORATION]
    start, end = onsets[index], ends[index]
    length = end - start
    if not names or length < _SIXTEENTH:
        return
    shape = _ORNAMENTS[names[0]]
    if shape is None:
        turns = max(1, length // (2 * GRACE))
        shape = ((0, 1), (1, 1)) * turns
        if length % (2 * GRACE):
            shape += ((0, 1),)
    parts = sum(part for _, part in shape)
    done = 0
    pieces = []
    for move, part in shape:
        begin = start + length * done // parts
        done += part
        pieces.append(Played(begin, start + length * done // parts, _scale_step(pitch, move, key)))
    if shape[0][0]:  # the ornament begins on a neighbour: highlight it, sound it first
        extra.append(pieces.pop(0))
        onsets[index] = pieces[0].start
    ends[index] = pieces[0].end
    extra += pieces[1:]


def _scale_step(pitch: int, move: int, key: Key) -> int:
    """The next note of the key above (1) or below (-1) a pitch."""
    if not move:
        return pitch
    scale = {
        (natural + alteration) % 12
        for natural, alteration in zip((0, 2, 4, 5, 7, 9, 11), key.alterations, strict=True)
    }
    for distance in (1, 2, 3):
        if (pitch + move * distance) % 12 in scale:
            return pitch + move * distance
    return pitch + 2 * move


def _may_swing(performance: Performance, tune: Tune) -> bool:
    """A hornpipe or barndance in even notes; one that is written dotted swings already."""
    if tune.rhythm not in _SWUNG or not tune.bars:
        return False
    dotted = sum(length in (_SIXTEENTH * 3, _SIXTEENTH * 3 // 2) for length in performance.lengths)
    return dotted * 8 < len(performance.lengths)


class _Swing:
    """Bends time so that the first of two even eighths takes two thirds of the beat."""

    def __init__(self, meter: Meter):
        # Hornpipes in 2/4 are written in sixteenths.
        self.beat = WHOLE // 8 if meter.text == "2/4" else WHOLE // 4

    def __call__(self, tick: int) -> int:
        beats, inside = divmod(tick, self.beat)
        half = self.beat // 2
        if inside <= half:
            return beats * self.beat + inside * 4 // 3
        return beats * self.beat + self.beat * 2 // 3 + (inside - half) * 2 // 3
