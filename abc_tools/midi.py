"""A tune -> a MIDI file, and where each of its notes is in time and in the text.

The bytes are written here and not by mido, which takes several milliseconds a tune; the tests read
them back with mido. Format 1: a track of tempo, meter and key, one track a voice, then "chords".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import add

from abc_tools.accompaniment import accompaniment
from abc_tools.midi_tracks import (
    Notes,
    conductor_track,
    note_events,
    note_track,
    performed_events,
)
from abc_tools.playing import Played, PlayedNotes, played_notes
from abc_tools.tempo import Clock, clock
from abc_tools.tune import WHOLE, Tune
from abc_tools.unfold import Performance, unfold

MOST_NOTES = 20_000  # of all voices together
_DIVISIONS = (480, 10080)  # ticks in a quarter: usual, and with room for 7 and 9 in a beat
_CHORD_CHANNEL = 1
_DRUM_CHANNEL = 9
_CHANNELS = [channel for channel in range(16) if channel not in (_CHORD_CHANNEL, _DRUM_CHANNEL)]


@dataclass(frozen=True, slots=True)
class MidiOptions:
    """How a tune is played. The defaults play what is written, and nothing else.

    graces       grace notes sound, and take a little of the note after them
    ornaments    rolls, cuts, trills, turns and mordents are played out
    swing        hornpipes and barndances that are written in even notes are played uneven
    chords       chord symbols are played on a track named "chords"
    all_voices   voices after the first are played too
    tempo        quarters a minute instead of the tune's own tempo
    program      General MIDI program (from 0) of the melody
    """

    graces: bool = True
    ornaments: bool = False
    swing: bool = False
    chords: bool = False
    all_voices: bool = True
    tempo: float | None = None
    program: int = 110
    chord_program: int = 25
    velocity: int = 96
    chord_velocity: int = 56


_AS_WRITTEN = MidiOptions()


@dataclass(frozen=True)
class MidiResult:
    """The file, the length of the music, and for each note of the first voice when it begins and
    where it is written; the last two are worked out when they are first asked for.

    `ticks` are those of the file on which the notes begin; None says that they are played as they
    are in the performance.
    """

    data: bytes
    seconds: float
    performance: Performance = field(repr=False)
    clock: Clock = field(repr=False)
    ticks: Sequence[int] | None = field(repr=False)

    @cached_property
    def onsets_ms(self) -> list[float]:
        """When each note begins, in milliseconds from the start, in order."""
        ticks = self.ticks
        if ticks is None:
            unit = self.clock.unit
            ticks = [tick // unit for tick in self.performance.onsets]
        return self.clock.milliseconds(ticks)

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """(start, end) offsets in `tune.source`, one for each onset."""
        return list(zip(self.performance.starts, self.performance.ends, strict=True))


def to_midi(tune: Tune, options: MidiOptions | None = None) -> MidiResult:
    """The MIDI file of a tune; one without notes gives a file without notes."""
    options = options or _AS_WRITTEN
    performances = _performances(tune, options)
    first = performances[0]
    division, exact = _division(performances)
    time = clock(tune, first, division, options.tempo)
    tracks = [conductor_track(tune, time)]
    begins: Sequence[int] | None = None
    for place, performance in enumerate(performances):
        channel = _CHANNELS[place % len(_CHANNELS)]
        played = played_notes(performance, tune, options.graces, options.ornaments, options.swing)
        if exact and not played:
            events = performed_events(performance, time.unit, channel, options.velocity)
        else:
            notes = _in_file_ticks(played or PlayedNotes.unchanged(performance), time.unit)
            begins = begins if place else notes.starts
            notes = _with_extra(notes, played.extra if played else [], time.unit)
            events = note_events(notes, channel, options.velocity)
        tracks.append(note_track("", events, channel, options.program))
    if options.chords and (chords := accompaniment(first, tune)):
        notes = _with_extra(Notes((), (), (), 1), chords, time.unit)
        events = note_events(notes, _CHORD_CHANNEL, options.chord_velocity)
        tracks.append(note_track("chords", events, _CHORD_CHANNEL, options.chord_program))
    head = b"MThd" + bytes((0, 0, 0, 6, 0, 1)) + len(tracks).to_bytes(2, "big")
    data = head + division.to_bytes(2, "big") + b"".join(tracks)
    total = max([performance.total for performance in performances]) // time.unit
    return MidiResult(data, time.milliseconds([total])[0] / 1000, first, time, begins)


def play_seconds(tune: Tune) -> float:
    """How long the first voice lasts at the tune's own tempo."""
    performance = unfold(tune)
    time = clock(tune, performance, _DIVISIONS[-1])
    return time.milliseconds([performance.total // time.unit])[0] / 1000


def _performances(tune: Tune, options: MidiOptions) -> list[Performance]:
    """What each voice plays, the first one first; voices stop when the file grows too long."""
    performances = [unfold(tune, 0)]
    for voice in range(1, len(tune.voices) if options.all_voices else 0):
        if sum([len(performance.onsets) for performance in performances]) >= MOST_NOTES:
            break
        performances.append(unfold(tune, voice))
    return performances


def _division(performances: list[Performance]) -> tuple[int, bool]:
    """(ticks in a quarter, whether every note begins on such a tick).

    The smallest usual number is taken with which they do.
    """
    for division in _DIVISIONS:
        unit = WHOLE // (4 * division)
        if all([performance.begins_on(unit) for performance in performances]):
            return division, True
    return _DIVISIONS[-1], False


def _in_file_ticks(played: PlayedNotes, unit: int) -> Notes:
    """The notes of a performance in its order, rounded down to ticks of the file."""
    starts = [tick // unit for tick in played.starts]
    ends = map(add, played.starts, played.lengths)
    lengths = [max(end // unit - start, 1) for start, end in zip(starts, ends, strict=True)]
    return Notes(starts, lengths, played.pitches, 1)


def _with_extra(notes: Notes, extra: list[Played], unit: int) -> Notes:
    """Notes in ticks of the file, and those that are played besides, in order of time."""
    if not extra:
        return notes
    merged = list(zip(notes.starts, notes.lengths, notes.pitches, strict=True))
    for start, end, pitch in extra:
        begin = start // unit
        merged.append((begin, max(end // unit - begin, 1), pitch))
    starts, lengths, pitches = zip(*sorted(merged), strict=True)
    return Notes(starts, lengths, pitches, 1)
