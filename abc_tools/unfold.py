"""A tune -> the notes that sound, repeats and parts played out, ties joined."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, compress
from math import gcd
from operator import itemgetter, sub
from typing import NamedTuple, TypeVar

from abc_tools.structure import play_ranges
from abc_tools.tune import (
    WHOLE,
    Bar,
    Chord,
    Key,
    Mark,
    Note,
    NoteColumns,
    Overlay,
    Rest,
    Span,
    Tempo,
    Tune,
    Voice,
    note_columns,
)

MAX_SOUNDING_NOTES = 10_000  # of one voice: over half an hour of music

T = TypeVar("T")


class SoundingNote(NamedTuple):
    """A note as it sounds. Onset and length in whole notes, the tune starting at 0."""

    onset: Fraction
    length: Fraction
    pitch: int
    span: Span


class Page(NamedTuple):
    """The notes of a voice in the order of the page, as if no bar were repeated.

    `notes` and `onsets` have an item a note; `bar_starts` (ticks) and `first_notes` (indices) one a
    bar, and one for the end of the last. `tempi` holds the bar and the tick of each Q:. Without
    `onsets`, each note begins where the one before it ends.
    """

    notes: NoteColumns
    onsets: list[int] | None
    bar_starts: list[int]
    first_notes: list[int]
    tempi: list[tuple[int, int, Tempo]]


class Passage(NamedTuple):
    """Bars and their notes that are played as they are written, `later` by so many ticks."""

    bars: range
    notes: slice
    later: int


@dataclass(frozen=True)
class Performance:
    """The notes of one voice in order of onset, as parallel tuples in ticks.

    It is kept as passages of the page; each tuple is made from them when it is first asked for.
    `total` is the end of the last bar, `shift` the semitones that clef or `transpose=` add;
    `as_written` says that each note ends where the next begins and none is tied.
    """

    page: Page
    passages: tuple[Passage, ...]
    total: int
    tempo: Tempo | None
    shift: int
    as_written: bool

    def unrolled(self, column: Sequence[T]) -> list[T]:
        """An item for each note of the page -> one for each that is played, tied ones included."""
        played: list[T] = []
        for passage in self.passages:
            played += column[passage.notes]
        return played

    def begins_on(self, unit: int) -> bool:
        """Whether each note begins on a multiple of so many ticks."""
        if self.as_written and not any([ticks % unit for ticks in {*self.page.notes.ticks}]):
            return True
        return gcd(*self.onsets) % unit == 0

    @cached_property
    def onsets(self) -> tuple[int, ...]:
        return self._sounding(self._unrolled_onsets)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return self._sounding(self._joined[0] if self._joined else self._unrolled_ticks)

    @cached_property
    def pitches(self) -> tuple[int, ...]:
        return self._sounding(self.unrolled(self.page.notes.pitches))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each note begins in `Tune.source`."""
        return self._sounding(self.unrolled(self.page.notes.starts))

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Where each note ends in `Tune.source`."""
        return self._sounding(self.unrolled(self.page.notes.ends))

    @cached_property
    def marks(self) -> tuple[tuple[Mark, ...], ...]:
        """What stands before each note."""
        return self._sounding(self.unrolled(self.page.notes.marks))

    @cached_property
    def tempi(self) -> tuple[tuple[int, Tempo], ...]:
        """(tick, tempo) of each tempo change that is played."""
        if not self.page.tempi:
            return ()
        return tuple(
            (tick + passage.later, tempo)
            for passage in self.passages
            for bar, tick, tempo in self.page.tempi
            if bar in passage.bars
        )

    @cached_property
    def bar_times(self) -> tuple[tuple[int, int], ...]:
        """(start, length) of each bar that is played and has a length."""
        starts = self.page.bar_starts
        lengths = list(map(sub, starts[1:], starts))
        return tuple(
            [
                (starts[bar] + later, lengths[bar])
                for bars, _, later in self.passages
                for bar in bars
                if lengths[bar]
            ]
        )

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

    # --- ties ---

    @cached_property
    def _unrolled_onsets(self) -> Sequence[int]:
        """When each note that is played begins, tied ones included."""
        onsets = self.page.onsets
        if onsets is None:
            lengths = self._unrolled_ticks
            return (0, *accumulate(lengths[:-1])) if lengths else ()
        return [onset + later for _, notes, later in self.passages for onset in onsets[notes]]

    @cached_property
    def _unrolled_ticks(self) -> list[int]:
        return self.unrolled(self.page.notes.ticks)

    @cached_property
    def _joined(self) -> tuple[list[int], list[bool]] | None:
        """(lengths of the notes as ties make them, which notes still sound of themselves), of all
        notes that are played; None if none is tied."""
        if not any(self.page.notes.tied):
            return None
        return _join_ties(
            self._unrolled_onsets,
            self._unrolled_ticks,
            self.unrolled(self.page.notes.pitches),
            self.unrolled(self.page.notes.tied),
            _ends_of_ties(self.passages),
        )

    def _sounding(self, column: Sequence[T]) -> tuple[T, ...]:
        """Only the items of notes that sound of themselves."""
        return tuple(compress(column, self._joined[1]) if self._joined else column)


def unfold(tune: Tune, voice: int = 0) -> Performance:
    """What one voice plays, the first by default; a tune without notes gives none.

    A tie joins a note to the next one of the same pitch that starts where it ends.
    """
    part = tune.voices[voice] if tune.voices else Voice("", ())
    page = _page(part.bars, note_columns(part.bars) if voice else tune.columns)
    passages, total = _passages(page, play_ranges(tune, part))
    as_written = page.onsets is None and not any(page.notes.tied)
    return Performance(page, tuple(passages), total, tune.tempo, tune.key.shift, as_written)


def _page(bars: tuple[Bar, ...], columns: NoteColumns | None) -> Page:
    """The notes of bars; `columns` are the `note_columns` of them."""
    if columns and not any([bar.key.shift for bar in bars]):
        bar_starts = list(accumulate([bar.ticks for bar in bars], initial=0))
        first_notes = list(accumulate([len(bar.elements) for bar in bars], initial=0))
        return Page(columns, None, bar_starts, first_notes, [])
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
    return Page(NoteColumns.of(notes), onsets, bar_starts, first_notes, tempi)


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


def _passages(page: Page, ranges: list[range]) -> tuple[list[Passage], int]:
    """(the passages of a performance, when the last ends); no more after `MAX_SOUNDING_NOTES`."""
    passages = []
    now = 0
    room = MAX_SOUNDING_NOTES
    for bars in ranges:
        first = page.first_notes[bars.start]
        stop = min(bars.stop, bisect_right(page.first_notes, first + room))
        last = page.first_notes[stop]
        later = now - page.bar_starts[bars.start]
        passages.append(Passage(range(bars.start, stop), slice(first, last), later))
        now = later + page.bar_starts[stop]
        room -= last - first
        if room < 0:
            break
    return passages, now


def _ends_of_ties(passages: Sequence[Passage]) -> list[int]:
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
