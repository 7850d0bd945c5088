"""MIDI bytes -> what a synthesizer is told, and when.

read_events(midi) -> Events    seconds from the start, tempo changes followed, tracks merged
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import mido

from abc_tools.audio_options import AudioError

DRUM_CHANNEL = 9  # channel 10 of General MIDI, counted from 0
DEFAULT_TEMPO = 500_000  # microseconds a quarter note, where the file says nothing
LONGEST_SECONDS = 1200.0
PLAYED = {"note_on", "note_off", "control_change", "pitchwheel", "program_change"}
BANK_SELECT = (0, 32)
ACCOMPANIMENTS = {"chords", "accompaniment", "bass", "drums"}  # names of tracks; ours is "chords"
# Onsets that a caller read from a list in milliseconds are this exact at best.
ONSET_TOLERANCE_SECONDS = 0.001


@dataclass(frozen=True)
class Events:
    """Channel messages in playing order, each with its time in seconds.

    `seconds` is the length of the music without any release tail. `melody` are the channels whose
    program the player chooses: there are no program changes for them.
    """

    messages: tuple[tuple[float, mido.Message], ...]
    seconds: float
    melody: frozenset[int]

    @property
    def channels(self) -> frozenset[int]:
        """The channels that have notes."""
        return frozenset(message.channel for _, message in self.messages if _starts(message))


def read_events(midi: bytes, tempo_factor: float = 1.0, start_seconds: float = 0.0) -> Events:
    """The events of a MIDI file, faster by `tempo_factor`, from `start_seconds` on.

    `start_seconds` counts at the tempo of the file. Notes that began before it are left out,
    controllers and programs set before it hold.
    Raises AudioError if the bytes are not a MIDI file, hold no notes or last over 20 minutes.
    """
    try:
        file = mido.MidiFile(file=io.BytesIO(midi), clip=True)
        timed = _in_seconds(file)
    except (OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        # mido has no error class of its own: damaged bytes surface as any of these.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AudioError(f"not a readable MIDI file ({reason})") from None
    melody = frozenset(range(16)) - _accompaniment(file)
    messages = []
    now = 0.0
    for now, message in timed:
        if message.type not in PLAYED or (message.channel in melody and _chooses_sound(message)):
            continue
        early = now < start_seconds - ONSET_TOLERANCE_SECONDS
        if not (early and _starts(message)):
            messages.append((max(0.0, now - start_seconds) / tempo_factor, message))
    if not any(_starts(message) for _, message in messages):
        what = f" after {start_seconds:g} s" if start_seconds else ""
        raise AudioError(f"the tune has no notes{what}, so there is nothing to hear")
    seconds = max(0.0, now - start_seconds) / tempo_factor
    if seconds > LONGEST_SECONDS:
        raise AudioError(
            f"the tune lasts {seconds:.0f} s; at most {LONGEST_SECONDS:.0f} s are rendered"
        )
    return Events(tuple(messages), seconds, melody)


def _in_seconds(file: mido.MidiFile) -> list[tuple[float, mido.Message]]:
    """All messages of all tracks in playing order, each with its time in seconds.

    Iterating over the file would say the same, but copies each message twice: 5 ms a tune.
    """
    if file.type == 2:
        raise ValueError("its tracks are separate songs")
    timed = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            timed.append((tick, message))
    timed.sort(key=lambda item: item[0])  # stable: at one tick the first track speaks first
    seconds, last_tick, tempo = 0.0, 0, DEFAULT_TEMPO
    out = []
    for tick, message in timed:
        seconds += mido.tick2second(tick - last_tick, file.ticks_per_beat, tempo)
        last_tick = tick
        out.append((seconds, message))
        if message.type == "set_tempo":
            tempo = message.tempo
    return out


def _starts(message: mido.Message) -> bool:
    return message.type == "note_on" and message.velocity > 0


def _chooses_sound(message: mido.Message) -> bool:
    if message.type == "control_change":
        return message.control in BANK_SELECT
    return message.type == "program_change"


def _accompaniment(file: mido.MidiFile) -> frozenset[int]:
    """The drum channel and the channels of tracks that are named as an accompaniment."""
    channels = {DRUM_CHANNEL}
    for track in file.tracks:
        if track.name.strip().lower() in ACCOMPANIMENTS:
            channels |= {message.channel for message in track if not message.is_meta}
    return frozenset(channels)
