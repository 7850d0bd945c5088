"""A tune -> a MIDI file, and where each of its notes is in time and in the text.

The bytes are written here and not by mido, which takes several milliseconds a tune; the tests read
them back with mido. Format 1: a track of tempo, meter and key, one track a voice, then "chords".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import add, sub
from typing import NamedTuple

from abc_tools.accompaniment import accompaniment
from abc_tools.playing import Played, PlayedNotes, played_notes
from abc_tools.tempo import default_tempo
from abc_tools.tune import WHOLE, Key, Meter, Tune
from abc_tools.unfold import Performance, unfold

MOST_NOTES = 20_000  # of all voices together
_DIVISIONS = (480, 10080)  # ticks in a quarter: usual, and with room for 7 and 9 in a beat
_CHORD_CHANNEL = 1
_DRUM_CHANNEL = 9
_CHANNELS = [channel for channel in range(16) if channel not in (_CHORD_CHANNEL, _DRUM_CHANNEL)]
_MOST_REMEMBERED = 16384  # notes of one channel and velocity


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


@dataclass(frozen=True, slots=True)
class MidiResult:
    """The file, and for each note of the first voice when it begins and where it is written.

    `onsets_ms` are milliseconds from the start, in order; `spans` are (start, end) offsets in
    `tune.source`, one for each onset. `seconds` is the length of the music.
    """

    data: bytes
    onsets_ms: list[float]
    spans: list[tuple[int, int]]
    seconds: float


def to_midi(tune: Tune, options: MidiOptions | None = None) -> MidiResult:
    """The MIDI file of a tune; one without notes gives a file without notes."""
    options = options or MidiOptions()
    performances = _performances(tune, options)
    first = performances[0]
    division, file_onsets, exact = _division(performances)
    unit = WHOLE // (4 * division)
    tempi = _tempo_map(tune, first, options.tempo, unit)
    tracks = [_conductor_track(tune, tempi)]
    onsets: Sequence[int] = ()
    for place, performance in enumerate(performances):
        played = played_notes(performance, tune, options.graces, options.ornaments, options.swing)
        if exact and played.starts is performance.onsets:
            notes = _Notes(played.starts, played.lengths, played.pitches, unit, performance.gapless)
            begins: Sequence[int] = file_onsets[place]
        else:
            notes = _in_file_ticks(played, unit)
            begins = notes.starts
            notes = _with_extra(notes, played.extra, unit)
        if not place:
            onsets = begins
        channel = _CHANNELS[place % len(_CHANNELS)]
        tracks.append(_note_track("", notes, channel, options.program, options.velocity))
    if options.chords and (chords := accompaniment(first, tune)):
        notes = _with_extra(_Notes((), (), (), 1), chords, unit)
        program, velocity = options.chord_program, options.chord_velocity
        tracks.append(_note_track("chords", notes, _CHORD_CHANNEL, program, velocity))
    head = b"MThd" + bytes((0, 0, 0, 6, 0, 1)) + len(tracks).to_bytes(2, "big")
    data = head + division.to_bytes(2, "big") + b"".join(tracks)
    total = max(performance.total for performance in performances) // unit
    milliseconds = _milliseconds([*onsets, total], tempi, division)
    return MidiResult(
        data,
        milliseconds[:-1],
        list(zip(first.starts, first.ends, strict=True)),
        milliseconds[-1] / 1000,
    )


def play_seconds(tune: Tune) -> float:
    """How long the first voice lasts at the tune's own tempo."""
    performance = unfold(tune)
    unit = WHOLE // (4 * _DIVISIONS[-1])
    tempi = _tempo_map(tune, performance, None, unit)
    return _milliseconds([performance.total // unit], tempi, _DIVISIONS[-1])[0] / 1000


def _performances(tune: Tune, options: MidiOptions) -> list[Performance]:
    """What each voice plays, the first one first; voices stop when the file grows too long."""
    performances = [unfold(tune, 0)]
    notes = len(performances[0].onsets)
    for voice in range(1, len(tune.voices) if options.all_voices else 0):
        if notes < MOST_NOTES:
            performances.append(unfold(tune, voice))
            notes += len(performances[-1].onsets)
    return performances


def _division(performances: list[Performance]) -> tuple[int, list[list[int]], bool]:
    """(ticks in a quarter, onsets of each performance in such ticks, whether they are exact).

    The smallest usual number is taken in which every note begins on a tick.
    """
    exact = False
    for division in _DIVISIONS:
        unit = WHOLE // (4 * division)
        onsets = [[tick // unit for tick in performance.onsets] for performance in performances]
        exact = all(
            [
                sum(whole) * unit == sum(of.onsets)
                for of, whole in zip(performances, onsets, strict=True)
            ]
        )
        if exact:
            break
    return division, onsets, exact


# --- tempo ---


def _tempo_map(
    tune: Tune, performance: Performance, quarters_per_minute: float | None, unit: int
) -> list[tuple[int, int]]:
    """[(tick, microseconds a quarter)] in order, the first at tick 0."""
    if quarters_per_minute:
        return [(0, _microseconds(quarters_per_minute))]
    meter = tune.bars[0].meter if tune.bars else tune.meter
    start = tune.tempo
    if start is None or not start.beats_per_minute:
        start = default_tempo(tune.rhythm, meter)
    tempi = {0: _microseconds(start.quarters_per_minute)}
    for tick, tempo in performance.tempi:
        if tempo.beats_per_minute:
            tempi[tick // unit] = _microseconds(tempo.quarters_per_minute)
    return sorted(tempi.items())


def _microseconds(quarters_per_minute: float) -> int:
    return max(1, min(0xFFFFFF, round(60_000_000 / quarters_per_minute)))


def _milliseconds(ticks: list[int], tempi: list[tuple[int, int]], division: int) -> list[float]:
    """When each tick is reached; `ticks` need not be in order."""
    if len(tempi) == 1:
        microseconds, parts = tempi[0][1], division * 1000
        return [tick * microseconds / parts for tick in ticks]
    times = []
    segment, base = 0, 0.0
    for tick in ticks:
        while segment and tempi[segment][0] > tick:
            segment -= 1
            base -= _length(tempi, segment, division)
        while segment + 1 < len(tempi) and tempi[segment + 1][0] <= tick:
            base += _length(tempi, segment, division)
            segment += 1
        start, microseconds = tempi[segment]
        times.append(base + (tick - start) * microseconds / (division * 1000))
    return times


def _length(tempi: list[tuple[int, int]], segment: int, division: int) -> float:
    """Milliseconds from one tempo to the next."""
    start, microseconds = tempi[segment]
    return (tempi[segment + 1][0] - start) * microseconds / (division * 1000)


# --- bytes ---


def _conductor_track(tune: Tune, tempi: list[tuple[int, int]]) -> bytes:
    """Title, meter, key signature and tempi."""
    title = tune.title.encode("utf-8")[:120]
    meter = tune.bars[0].meter if tune.bars else tune.meter
    events = [b"\0\xff\x03" + _variable(len(title)) + title] if title else []
    if meter.ticks and meter.denominator & (meter.denominator - 1) == 0 and meter.numerator < 256:
        events.append(_meter_event(meter))
    events.append(_key_event(tune.key))
    now = 0
    for tick, microseconds in tempi:
        events.append(_variable(tick - now) + b"\xff\x51\x03" + microseconds.to_bytes(3, "big"))
        now = tick
    return _track(events)


def _meter_event(meter: Meter) -> bytes:
    clocks = 36 if meter.compound else 24
    power = meter.denominator.bit_length() - 1
    return b"\0\xff\x58\x04" + bytes((meter.numerator, power, clocks, 8))


def _key_event(key: Key) -> bytes:
    sharps = max(-7, min(7, sum(key.alterations)))
    return b"\0\xff\x59\x02" + bytes((sharps & 0xFF, key.mode == "min"))


class _Notes(NamedTuple):
    """Notes of a track. `unit` of their ticks make one of the file, on which each note begins.

    `gapless` says that it is known that each ends where the next begins.
    """

    starts: Sequence[int]
    lengths: Sequence[int]
    pitches: Sequence[int]
    unit: int
    gapless: bool = False


def _in_file_ticks(played: PlayedNotes, unit: int) -> _Notes:
    """The notes of a performance in its order, rounded down to ticks of the file."""
    starts = [tick // unit for tick in played.starts]
    ends = map(add, played.starts, played.lengths)
    lengths = [max(end // unit - start, 1) for start, end in zip(starts, ends, strict=True)]
    return _Notes(starts, lengths, played.pitches, 1)


def _with_extra(notes: _Notes, extra: list[Played], unit: int) -> _Notes:
    """Notes in ticks of the file, and those that are played besides, in order of time."""
    if not extra:
        return notes
    merged = list(zip(notes.starts, notes.lengths, notes.pitches, strict=True))
    for start, end, pitch in extra:
        begin = start // unit
        merged.append((begin, max(end // unit - begin, 1), pitch))
    starts, lengths, pitches = zip(*sorted(merged), strict=True)
    return _Notes(starts, lengths, pitches, 1)


def _note_track(name: str, notes: _Notes, channel: int, program: int, velocity: int) -> bytes:
    """Notes on and off in order of time; off before on, so that repeated notes speak again."""
    chunks = [bytes((0, 0xC0 | channel, program))]
    if name:
        chunks.append(b"\0\xff\x03" + _variable(len(name)) + name.encode("ascii"))
    waits = _waits(notes)
    if _one_by_one(notes, waits):
        spoken = _spoken_notes(channel, velocity, notes.unit)
        chunks += map(spoken.__getitem__, zip(waits, notes.lengths, notes.pitches, strict=True))
    else:
        chunks += _mixed_notes(notes, channel, velocity)
    return _track(chunks)


def _waits(notes: _Notes) -> list[int]:
    """Ticks from the end of each note to the start of the next; before the first, from 0."""
    if notes.gapless:
        return [0] * len(notes.starts)
    ends = map(add, notes.starts, notes.lengths)
    return list(map(sub, notes.starts, chain((0,), ends)))


def _one_by_one(notes: _Notes, waits: list[int]) -> bool:
    """Whether each note ends before the next begins, lasts a tick of the file at least, and has a
    MIDI number."""
    pitches = notes.pitches
    return (
        bool(pitches)
        and min(pitches) >= 0
        and max(pitches) < 128
        and min(waits) >= 0
        and min(notes.lengths) >= notes.unit
    )


class _SpokenNotes(dict[tuple[int, int, int], bytes]):
    """(ticks before a note, its length, pitch) -> the bytes of its two events; remembered.

    `unit` ticks make one of the file. A note begins on one of those, and if it ends between two its
    end is rounded down, so what comes before the next note is rounded up.
    """

    def __init__(self, channel: int, velocity: int, unit: int):
        super().__init__()
        self.channel = channel
        self.velocity = velocity
        self.unit = unit

    def __missing__(self, key: tuple[int, int, int]) -> bytes:
        wait, length, pitch = key
        on = _event(-(-wait // self.unit), 0x90 | self.channel, pitch, self.velocity)
        chunk = on + _event(length // self.unit, 0x80 | self.channel, pitch, 0)
        if len(self) < _MOST_REMEMBERED:
            self[key] = chunk
        return chunk


@lru_cache(maxsize=16)
def _spoken_notes(channel: int, velocity: int, unit: int) -> _SpokenNotes:
    """The notes of one channel, velocity and unit, the same object for every tune."""
    return _SpokenNotes(channel, velocity, unit)


def _mixed_notes(notes: _Notes, channel: int, velocity: int) -> list[bytes]:
    """The events of notes that may sound together; those without a MIDI number are left out."""
    # One number an event: tick, then off (0) before on (128), then pitch. Numbers sort fast.
    events = []
    starts, lengths, pitches, unit, _ = notes
    for start, length, pitch in zip(starts, lengths, pitches, strict=True):
        if 0 <= pitch < 128:
            begin = start // unit
            events.append(begin << 8 | 128 | pitch)
            events.append(max((start + length) // unit, begin + 1) << 8 | pitch)
    chunks = []
    now = 0
    for event in sorted(events):
        tick, on, pitch = event >> 8, event & 128, event & 127
        status = 0x90 if on else 0x80
        chunks.append(_event(tick - now, status | channel, pitch, velocity if on else 0))
        now = tick
    return chunks


@lru_cache(maxsize=16384)
def _event(wait: int, status: int, pitch: int, velocity: int) -> bytes:
    """A note on or off, `wait` ticks after the event before it."""
    return _variable(wait) + bytes((status, pitch, velocity))


def _track(events: list[bytes]) -> bytes:
    body = b"".join(events) + b"\0\xff\x2f\0"
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def _variable(number: int) -> bytes:
    """Variable-length quantity: seven bits a byte, the highest bit set on all but the last."""
    out = bytes((number & 127,))
    while number := number >> 7:
        out = bytes((number & 127 | 128,)) + out
    return out
