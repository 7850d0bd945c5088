"""A tune -> the notes that sound, repeats and parts played out, ties joined."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, chain, compress
from operator import itemgetter, sub
from typing import NamedTuple

from abc_tools.structure import play_ranges
from abc_tools.tune import (
    WHOLE,
    Bar,
    Chord,
    Key,
    Mark,
    Note,
    Overlay,
    Rest,
    Span,
    Tempo,
    Tune,
    Voice,
)

MAX_SOUNDING_NOTES = 10_000  # of one voice: over half an hour of music
_ONLY_NOTES = {Note}
_NO_COLUMNS: tuple[tuple, ...] = ((),) * len(Note._fields)


class SoundingNote(NamedTuple):
    """A note as it sounds. Onset and length in whole notes, the tune starting at 0."""

    onset: Fraction
    length: Fraction
    pitch: int
    span: Span


@dataclass(frozen=True, slots=True)
class Performance:
    """The notes of one voice in order of onset, as parallel tuples in ticks.

    `starts` and `ends` are offsets of each note in `Tune.source`, `marks` what stands before it.
    `tempi` holds (tick, tempo) for each Q: passed, `bar_times` (start, length) of each bar played;
    `total` is the end of the last bar, `shift` the semitones that clef or `transpose=` add;
    `gapless` says that it is known that each note ends where the next begins.
    """

    onsets: tuple[int, ...]
    lengths: tuple[int, ...]
    pitches: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    marks: tuple[tuple[Mark, ...], ...]
    tempi: tuple[tuple[int, Tempo], ...]
    bar_times: tuple[tuple[int, int], ...]
    total: int
    tempo: Tempo | None
    shift: int
    gapless: bool = field(default=False, repr=False)

    @property
    def notes(self) -> tuple[SoundingNote, ...]:
        """The notes with exact onsets and lengths in whole notes."""
        return tuple(
            SoundingNote(Fraction(onset, WHOLE), Fraction(length, WHOLE), pitch, Span(start, end))
            for onset, length, pitch, start, end in zip(
                self.onsets, self.lengths, self.pitches, self.starts, self.ends, strict=True
            )
        )

    @property
    def length(self) -> Fraction:
        """Of the whole performance, in whole notes."""
        return Fraction(self.total, WHOLE)


class _Written(NamedTuple):
    """The notes of a voice in the order of the page, as if no bar were repeated.

    `notes` and `onsets` have an item a note; `bar_starts` (ticks) and `first_notes` (indices) one a
    bar, and one for the end of the last. `tempi` holds the bar and the tick of each Q:. Without
    `onsets`, each note begins where the one before it ends.
    """

    notes: list[Note]
    onsets: list[int] | None
    bar_starts: list[int]
    first_notes: list[int]
    tempi: list[tuple[int, int, Tempo]]


class _Passage(NamedTuple):
    """Bars and their notes that are played as they are written, `later` by so many ticks."""

    bars: range
    notes: slice
    later: int


def unfold(tune: Tune, voice: int = 0) -> Performance:
    """What one voice plays, the first by default; a tune without notes gives none.

    A tie joins a note to the next one of the same pitch that starts where it ends.
    """
    part = tune.voices[voice] if tune.voices else Voice("", ())
    written = _written(part.bars)
    passages, total = _passages(written, play_ranges(tune, part))
    notes: list[Note] = []
    for passage in passages:
        notes += written.notes[passage.notes]
    pitches, _, _, lengths, _, tied, marks, _, starts, ends = (
        zip(*notes, strict=True) if notes else _NO_COLUMNS
    )
    onsets = _onsets(written, passages, lengths)
    if any(tied):
        joined, sounds = _join_ties(onsets, lengths, pitches, tied, _ends_of_ties(passages))
        onsets, lengths, pitches, marks, starts, ends = (
            tuple(compress(column, sounds))
            for column in (onsets, joined, pitches, marks, starts, ends)
        )
    return Performance(
        onsets, lengths, pitches, starts, ends, marks,
        _tempi(written, passages), _bar_times(written, passages), total, tune.tempo, tune.key.shift,
        written.onsets is None,
    )  # fmt: skip


def _onsets(
    written: _Written, passages: list[_Passage], lengths: tuple[int, ...]
) -> tuple[int, ...]:
    """When each note that is played begins."""
    if written.onsets is None:
        return (0, *accumulate(lengths[:-1])) if lengths else ()
    return tuple([onset + later for _, notes, later in passages for onset in written.onsets[notes]])


def _written(bars: tuple[Bar, ...]) -> _Written:
    elements = list(chain.from_iterable([bar.elements for bar in bars]))
    if {*map(type, elements)} == _ONLY_NOTES and not any([bar.key.shift for bar in bars]):
        return _only_notes(bars, elements)
    notes: list[Note] = []
    onsets: list[int] = []
    bar_starts = [0]
    first_notes = [0]
    tempi: list[tuple[int, int, Tempo]] = []
    now = 0
    for index, bar in enumerate(bars):
        placed, tempi_of_bar, ticks = _placed_notes(bar)
        for offset, note in placed:
            onsets.append(now + offset)
            notes.append(note)
        tempi += [(index, now + offset, tempo) for offset, tempo in tempi_of_bar]
        now += ticks
        bar_starts.append(now)
        first_notes.append(len(notes))
    return _Written(notes, onsets, bar_starts, first_notes, tempi)


def _only_notes(bars: tuple[Bar, ...], notes: list) -> _Written:
    """The same for a voice of nothing but notes one after another, as most are: faster."""
    bar_starts = list(accumulate([bar.ticks for bar in bars], initial=0))
    first_notes = list(accumulate([len(bar.elements) for bar in bars], initial=0))
    return _Written(notes, None, bar_starts, first_notes, [])


def _placed_notes(bar: Bar) -> tuple[list[tuple[int, Note]], list[tuple[int, Tempo]], int]:
    """(notes of a bar as they sound, tempo changes, length); each with its ticks after the start.

    What stands before a chord stands before its first note.
    """
    notes: list[tuple[int, Note]] = []
    tempi: list[tuple[int, Tempo]] = []
    now = longest = 0
    shift = bar.key.shift
    for element in bar.elements:
        if isinstance(element, Note):
            notes.append((now, _shifted(element, shift)))
            now += element.ticks
        elif isinstance(element, Chord):
            first, *others = element.notes
            notes.append((now, _shifted(first._replace(marks=element.marks), shift)))
            notes += [(now, _shifted(note, shift)) for note in others]
            now += element.ticks
        elif isinstance(element, Rest):
            now += element.ticks
        elif isinstance(element, Overlay):
            longest = max(longest, now)
            now = 0
        elif isinstance(element.value, Tempo):
            tempi.append((now, element.value))
        elif isinstance(element.value, Key):
            shift = element.value.shift
    if longest:
        notes.sort(key=itemgetter(0))
    return notes, tempi, max(now, longest)


def _shifted(note: Note, shift: int) -> Note:
    return note._replace(pitch=note.pitch + shift) if shift else note


def _passages(written: _Written, ranges: list[range]) -> tuple[list[_Passage], int]:
    """(the passages of a performance, when the last ends); no more after `MAX_SOUNDING_NOTES`."""
    passages = []
    now = 0
    room = MAX_SOUNDING_NOTES
    for bars in ranges:
        first = written.first_notes[bars.start]
        stop = min(bars.stop, bisect_right(written.first_notes, first + room))
        last = written.first_notes[stop]
        later = now - written.bar_starts[bars.start]
        passages.append(_Passage(range(bars.start, stop), slice(first, last), later))
        now = later + written.bar_starts[stop]
        room -= last - first
        if room < 0:
            break
    return passages, now


def _ends_of_ties(passages: list[_Passage]) -> list[int]:
    """Where in the notes played no tie goes on: where the music jumps back, and at the end."""
    places = []
    played = reached = 0
    for bars, notes, _ in passages:
        if notes.start == notes.stop:
            continue
        if bars.start < reached:
            places.append(played)
        played += notes.stop - notes.start
        reached = bars.stop
    return [*places, played]


def _join_ties(
    onsets: Sequence[int],
    lengths: Sequence[int],
    pitches: Sequence[int],
    tied: Sequence[bool],
    stops: list[int],
) -> tuple[list[int], list[bool]]:
    """(lengths of the notes as ties make them, which notes still sound of themselves)."""
    lengths = list(lengths)
    sounds = [True] * len(onsets)
    begun: dict[int, int] = {}  # a note that a tie has swallowed -> the one that goes on for it
    for index in compress(range(len(onsets)), tied):
        first = begun.pop(index, index)
        stop = stops[bisect_right(stops, index)]
        try:
            after = pitches.index(pitches[index], index + 1, stop)
        except ValueError:
            continue
        if onsets[after] == onsets[first] + lengths[first]:
            lengths[first] += lengths[after]
            sounds[after] = False
            begun[after] = first
    return lengths, sounds


def _tempi(written: _Written, passages: list[_Passage]) -> tuple[tuple[int, Tempo], ...]:
    """(tick, tempo) of each tempo change that is played."""
    if not written.tempi:
        return ()
    return tuple(
        (tick + passage.later, tempo)
        for passage in passages
        for bar, tick, tempo in written.tempi
        if bar in passage.bars
    )


def _bar_times(written: _Written, passages: list[_Passage]) -> tuple[tuple[int, int], ...]:
    """(start, length) of each bar that is played and has a length."""
    starts = written.bar_starts
    lengths = list(map(sub, starts[1:], starts))
    return tuple(
        [
            (starts[bar] + later, lengths[bar])
            for bars, _, later in passages
            for bar in bars
            if lengths[bar]
        ]
    )
