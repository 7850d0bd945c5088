"""A tune -> the notes that sound, repeats and parts played out, ties joined."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from abc_tools.structure import play_order
from abc_tools.tune import WHOLE, Bar, Chord, Key, Mark, Note, Overlay, Rest, Span, Tempo, Tune

MAX_SOUNDING_NOTES = 10_000  # of one voice: over half an hour of music


class SoundingNote(NamedTuple):
    """A note as it sounds. Onset and length in whole notes, the tune starting at 0."""

    onset: Fraction
    length: Fraction
    pitch: int
    span: Span


# A note of a bar: ticks after the bar's start, length, pitch, tied, marks before it, start, end.
_Event = tuple[int, int, int, bool, tuple[Mark, ...], int, int]
_NO_EVENTS: tuple[tuple, ...] = ((),) * 7
_ONLY_NOTES = {Note}


class _BarEvents(NamedTuple):
    """What a bar plays: its notes in order of onset, tempo changes, length, whether ties occur."""

    columns: tuple[tuple, ...]  # of `_Event`s: their offsets, their lengths, their pitches, ...
    tempi: list[tuple[int, Tempo]]
    ticks: int
    has_ties: bool


@dataclass(frozen=True, slots=True)
class Performance:
    """The notes of one voice in order of onset, as parallel tuples in ticks.

    `starts` and `ends` are offsets of each note in `Tune.source`, `marks` what stands before it.
    `tempi` holds (tick, tempo) for each Q: passed, `bar_times` (start, length) of each bar played;
    `total` is the end of the last bar, `shift` the semitones that clef or `transpose=` add.
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


def unfold(tune: Tune, voice: int = 0) -> Performance:
    """What one voice plays, the first by default; a tune without notes gives none.

    A tie joins a note to the next one of the same pitch that starts where it ends.
    """
    onsets: list[int] = []
    lengths: list[int] = []
    pitches: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    marks: list[tuple[Mark, ...]] = []
    tempi: list[tuple[int, Tempo]] = []
    bar_times: list[tuple[int, int]] = []
    now = 0
    if tune.voices:
        bars = tune.voices[voice].bars
        known: dict[int, _BarEvents] = {}
        open_ties: dict[int, int] = {}  # pitch -> index of the note that a tie keeps open
        previous = -1
        for index in play_order(tune, tune.voices[voice]):
            events = known.get(index)
            if events is None:
                events = known[index] = _bar_events(bars[index])
            for offset, tempo in events.tempi:
                tempi.append((now + offset, tempo))
            if not events.ticks:
                continue
            if index <= previous:
                open_ties.clear()  # a tie does not reach back to the start of a repeat
            previous = index
            if not events.has_ties and not open_ties:
                offsets, own_lengths, own_pitches, _, own_marks, own_starts, own_ends = (
                    events.columns
                )
                onsets += [now + offset for offset in offsets]
                lengths += own_lengths
                pitches += own_pitches
                starts += own_starts
                ends += own_ends
                marks += own_marks
            else:
                for offset, length, pitch, tied, before, start, end in zip(
                    *events.columns, strict=True
                ):
                    onset = now + offset
                    held = open_ties.pop(pitch, None)
                    if held is not None and onsets[held] + lengths[held] == onset:
                        lengths[held] += length
                        if tied:
                            open_ties[pitch] = held
                        continue
                    if tied:
                        open_ties[pitch] = len(onsets)
                    onsets.append(onset)
                    lengths.append(length)
                    pitches.append(pitch)
                    starts.append(start)
                    ends.append(end)
                    marks.append(before)
            bar_times.append((now, events.ticks))
            now += events.ticks
            if len(onsets) > MAX_SOUNDING_NOTES:
                break
    return Performance(
        tuple(onsets), tuple(lengths), tuple(pitches), tuple(starts), tuple(ends), tuple(marks),
        tuple(tempi), tuple(bar_times), now, tune.tempo, tune.key.shift,
    )  # fmt: skip


def _bar_events(bar: Bar) -> _BarEvents:
    """The notes of one bar as they sound."""
    if {*map(type, bar.elements)} == _ONLY_NOTES:
        return _plain_bar_events(bar)
    notes: list[_Event] = []
    tempi: list[tuple[int, Tempo]] = []
    now = longest = 0
    has_ties = False
    shift = bar.key.shift
    for element in bar.elements:
        if isinstance(element, Note):
            pitch, _, _, ticks, _, tied, marks, _, start, end = element
            notes.append((now, ticks, pitch + shift, tied, marks, start, end))
            now += ticks
            has_ties = has_ties or tied
        elif isinstance(element, Chord):
            marks = element.marks
            for note in element.notes:
                pitch = note.pitch + shift
                notes.append((now, note.ticks, pitch, note.tied, marks, note.start, note.end))
                marks = ()
                has_ties = has_ties or note.tied
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
        notes.sort(key=lambda event: event[0])
    columns = tuple(zip(*notes, strict=True)) or _NO_EVENTS
    return _BarEvents(columns, tempi, max(now, longest), has_ties)


def _plain_bar_events(bar: Bar) -> _BarEvents:
    """The same for a bar of nothing but notes, as nearly all are: its columns are at hand."""
    pitches, _, _, lengths, _, tied, marks, _, starts, ends = zip(*bar.elements, strict=True)
    *offsets, ticks = accumulate(lengths, initial=0)
    if bar.key.shift:
        pitches = tuple(pitch + bar.key.shift for pitch in pitches)
    columns = (tuple(offsets), lengths, pitches, tied, marks, starts, ends)
    return _BarEvents(columns, [], ticks, any(tied))
