"""The tracks of a MIDI file as bytes: one of tempo, meter and key, and tracks of notes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import add, sub
from typing import NamedTuple

from abc_tools.tempo import Clock
from abc_tools.tune import Key, Meter, Tune
from abc_tools.unfold import Performance

_MOST_REMEMBERED = 16384  # notes of one channel and velocity


def conductor_track(tune: Tune, clock: Clock) -> bytes:
    """Title, meter, key signature and tempi."""
    title = tune.title.encode("utf-8")[:120]
    meter = tune.bars[0].meter if tune.bars else tune.meter
    events = [b"\0\xff\x03" + _variable(len(title)) + title] if title else []
    if meter.ticks and meter.denominator & (meter.denominator - 1) == 0 and meter.numerator < 256:
        events.append(_meter_event(meter))
    events.append(_key_event(tune.key))
    now = 0
    for tick, microseconds in clock.tempi:
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


class Notes(NamedTuple):
    """Notes of a track. `unit` of their ticks make one of the file, on which each note begins."""

    starts: Sequence[int]
    lengths: Sequence[int]
    pitches: Sequence[int]
    unit: int


def note_track(name: str, events: list[bytes], channel: int, program: int) -> bytes:
    """The program, then the events of notes."""
    head = [bytes((0, 0xC0 | channel, program))]
    if name:
        head.append(b"\0\xff\x03" + _variable(len(name)) + name.encode("ascii"))
    return _track([*head, *events])


def performed_events(
    performance: Performance, unit: int, channel: int, velocity: int
) -> list[bytes]:
    """The events of a performance of which each note begins on a tick of the file.

    Where it is as written, those of a passage are made once, however often it is played.
    """
    notes = performance.page.notes
    if performance.as_written:
        spoken = _spoken_notes(channel, velocity, unit)
        try:
            events = [*map(spoken.__getitem__, zip(repeat(0), notes.ticks, notes.pitches))]
            return performance.unrolled(events)
        except _NotOneByOne:
            pass
    sounding = Notes(performance.onsets, performance.lengths, performance.pitches, unit)
    return note_events(sounding, channel, velocity)


def note_events(notes: Notes, channel: int, velocity: int) -> list[bytes]:
    """Notes on and off in order of time; off before on, so that repeated notes speak again."""
    spoken = _spoken_notes(channel, velocity, notes.unit)
    try:
        return [
            *map(spoken.__getitem__, zip(_waits(notes), notes.lengths, notes.pitches, strict=True))
        ]
    except _NotOneByOne:
        return _mixed_notes(notes, channel, velocity)


def _waits(notes: Notes) -> list[int]:
    """Ticks from the end of each note to the start of the next; before the first, from 0."""
    ends = map(add, notes.starts, notes.lengths)
    return list(map(sub, notes.starts, chain((0,), ends)))


class _NotOneByOne(Exception):
    """A note that begins before the last has ended, lasts less than a tick of the file or has no
    MIDI number."""


class _SpokenNotes(dict[tuple[int, int, int], bytes]):
    """(ticks before a note, its length, pitch) -> the bytes of its two events; remembered.

    `unit` ticks make one of the file. A note begins on one of those, and if it ends between two its
    end is rounded down, so what comes before the next note is rounded up. Raises _NotOneByOne for a
    note that cannot be written so.
    """

    def __init__(self, channel: int, velocity: int, unit: int):
        super().__init__()
        self.channel = channel
        self.velocity = velocity
        self.unit = unit

    def __missing__(self, key: tuple[int, int, int]) -> bytes:
        wait, length, pitch = key
        if wait < 0 or length < self.unit or not 0 <= pitch < 128:
            raise _NotOneByOne
        on = _event(-(-wait // self.unit), 0x90 | self.channel, pitch, self.velocity)
        chunk = on + _event(length // self.unit, 0x80 | self.channel, pitch, 0)
        if len(self) < _MOST_REMEMBERED:
            self[key] = chunk
        return chunk


@lru_cache(maxsize=16)
def _spoken_notes(channel: int, velocity: int, unit: int) -> _SpokenNotes:
    """The notes of one channel, velocity and unit, the same object for every tune."""
    return _SpokenNotes(channel, velocity, unit)


def _mixed_notes(notes: Notes, channel: int, velocity: int) -> list[bytes]:
    """The events of notes that may sound together; those without a MIDI number are left out."""
    # One number an event: tick, then off (0) before on (128), then pitch. Numbers sort fast.
    events = []
    starts, lengths, pitches, unit = notes
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
