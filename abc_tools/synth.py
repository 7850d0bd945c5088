"""MIDI events -> sound, by libfluidsynth where it is installed, else by the midirenderer wheel.

    load_synth() -> Synth         the better one that loads on this machine
    Synth.render(...)             (frames, frame rate): one channel, float32

A fresh fluidsynth synthesizer for each tune gives the same bits each time; one that is kept does
not, because its effects remember. It costs 15 ms, for only the samples of the programs in use are
loaded (`synth.dynamic-sample-loading`): 0.03 s instead of 2.7 s for a font with Ogg samples.

Reverb and chorus are off: fluidsynth's default reverb lies 25 dB below the notes, where nobody
hears it, and takes 40% of the time.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import io
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import mido
import numpy as np
import soundfile

from abc_tools.audio_options import AudioError
from abc_tools.loudness import Frames
from abc_tools.midi_events import DRUM_CHANNEL, Events

TAIL_SECONDS = 0.5  # after the last event, for notes to die away
FADE_SECONDS = 0.2  # the end of the tail, so that a long string does not stop with a click
DRUM_BANK = 128
CHUNK = 8192  # frames
_ONE_IMPORT = threading.Lock()
MISSING = (
    "no sound library. Install one: sudo apt-get install libfluidsynth3"
    " | sudo dnf install fluidsynth-libs | brew install fluid-synth | pip install midirenderer"
)


class Synth(Protocol):
    """One way to turn events into sound. `name` and `version` change when its sound may change."""

    name: str
    version: str
    reads_compressed_fonts: bool

    def render(
        self, events: Events, program: int, font: Path, rate_hz: int
    ) -> tuple[Frames, int]: ...


@functools.cache
def load_synth() -> Synth:
    """Fluidsynth, or midirenderer where its C library is missing; AudioError where both are.

    The answer is kept: looking for a C library that is not there takes 0.3 s.
    """
    with contextlib.suppress(ImportError):
        return FluidSynth(_import_fluidsynth())
    try:
        import midirenderer
    except ImportError:
        raise AudioError(MISSING) from None
    return MidiRenderer(midirenderer)


class FluidSynth:
    """libfluidsynth through pyfluidsynth, event by event. Onsets are exact to 64 frames (2 ms)."""

    name = "fluidsynth"
    reads_compressed_fonts = True

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._write = _bind_write_float(library)
        self.version = str(_c_function(library, "fluid_version_str", ctypes.c_char_p)().decode())
        _silence_log(library)

    def render(self, events: Events, program: int, font: Path, rate_hz: int) -> tuple[Frames, int]:
        options = {
            "synth.chorus.active": 0,
            "synth.reverb.active": 0,
            "synth.cpu-cores": 1,
            "synth.dynamic-sample-loading": 1,
            "synth.lock-memory": 0,
        }
        synth = self._library.Synth(gain=0.5, samplerate=float(rate_hz), channels=16, **options)
        try:
            self._choose_programs(synth, events, program, font)
            frames = self._play(synth, events, rate_hz)
        finally:
            synth.delete()
        return _with_fade(frames, rate_hz), rate_hz

    def _choose_programs(self, synth: Any, events: Events, program: int, font: Path) -> None:
        font_id = synth.sfload(str(font))
        if font_id == -1:
            raise AudioError(f"{font}: fluidsynth cannot load this soundfont; choose another")
        for channel in events.channels:
            bank = DRUM_BANK if channel == DRUM_CHANNEL else 0
            wanted = program if channel in events.melody else 0
            if synth.program_select(channel, font_id, bank, wanted) != 0 and not bank:
                raise AudioError(f"{font}: has no General MIDI program {wanted}; choose another")

    def _play(self, synth: Any, events: Events, rate_hz: int) -> Frames:
        # Short buffers that stay in the processor's cache: fresh memory costs more than the sound.
        total = round((events.seconds + TAIL_SECONDS) * rate_hz)
        frames = np.empty(total, dtype=np.float32)
        left = np.empty(CHUNK, dtype=np.float32)
        right = np.empty(CHUNK, dtype=np.float32)
        buffers = (left.ctypes.data, 0, 1, right.ctypes.data, 0, 1)
        written = 0
        for seconds, message in (*events.messages, (events.seconds + TAIL_SECONDS, None)):
            now = min(total, round(seconds * rate_hz))
            while written < now:
                count = min(CHUNK, now - written)
                self._write(synth.synth, count, *buffers)
                np.add(left[:count], right[:count], out=frames[written : written + count])
                written += count
            if message is not None:
                _tell(synth, message)
        return frames


class MidiRenderer:
    """The midirenderer wheel (rustysynth): no C library, no compressed fonts, always 48 kHz."""

    name = "midirenderer"
    reads_compressed_fonts = False

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self.version = importlib.metadata.version("midirenderer")

    def render(self, events: Events, program: int, font: Path, rate_hz: int) -> tuple[Frames, int]:
        """`rate_hz` is only a wish; the second value says what came of it."""
        midi = _midi_file(events, program)
        try:
            wave = self._library.render_wave_from(font.read_bytes(), midi)
        except RuntimeError as error:
            raise AudioError(f"{font}: midirenderer cannot use it ({error})") from None
        stereo, rate_hz = soundfile.read(io.BytesIO(wave), dtype="float32", always_2d=True)
        total = round((events.seconds + TAIL_SECONDS) * rate_hz)
        frames = np.zeros(total, dtype=np.float32)
        played = stereo[:total].mean(axis=1)
        frames[: len(played)] = played
        return _with_fade(frames, rate_hz), rate_hz


def _with_fade(frames: Frames, rate_hz: int) -> Frames:
    length = min(len(frames), round(FADE_SECONDS * rate_hz))
    if length:
        frames[-length:] *= np.linspace(1.0, 0.0, length, dtype=np.float32)
    return frames


def _tell(synth: Any, message: mido.Message) -> None:
    match message.type:
        case "note_on":  # with velocity 0 it ends the note, in fluidsynth as in the MIDI standard
            synth.noteon(message.channel, message.note, message.velocity)
        case "note_off":
            synth.noteoff(message.channel, message.note)
        case "control_change":
            synth.cc(message.channel, message.control, message.value)
        case "pitchwheel":
            synth.pitch_bend(message.channel, message.pitch)
        case "program_change":
            synth.program_change(message.channel, message.program)


def _midi_file(events: Events, program: int) -> bytes:
    """The events as a MIDI file of one track, 48,000 ticks a second, as long as the tail lasts."""
    ticks_a_second = 48_000
    file = mido.MidiFile(type=0, ticks_per_beat=ticks_a_second // 2)  # at the default 120 a minute
    track = mido.MidiTrack()
    file.tracks.append(track)
    for channel in sorted(events.channels & events.melody):
        track.append(mido.Message("program_change", channel=channel, program=program))
        # Reverb and chorus off, as with fluidsynth.
        track.append(mido.Message("control_change", channel=channel, control=91, value=0))
        track.append(mido.Message("control_change", channel=channel, control=93, value=0))
    # Controller 3 means nothing to General MIDI: it only keeps the file going.
    last = mido.Message("control_change", control=3, value=0)
    written = 0
    for seconds, message in (*events.messages, (events.seconds + TAIL_SECONDS, last)):
        now = round(seconds * ticks_a_second)
        track.append(message.copy(time=now - written))
        written = now
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def _import_fluidsynth() -> ModuleType:
    """pyfluidsynth with its C library; ImportError if either is missing or of the wrong kind."""
    try:
        # Where the variable CI is set, pyfluidsynth prints the name of the library it found. Two
        # threads that redirect at once would leave the process without its standard output.
        with _ONE_IMPORT, contextlib.redirect_stdout(io.StringIO()):
            import fluidsynth
    except OSError as error:  # found, but for another machine or with parts missing
        raise ImportError(str(error)) from error
    if not hasattr(fluidsynth, "cfunc"):  # the package "fluidsynth" of 2012 has the same name
        raise ImportError("fluidsynth is not pyfluidsynth")
    return fluidsynth


def _c_function(library: ModuleType, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of libfluidsynth that pyfluidsynth does not bind itself."""
    numbered = [(f"argument_{place}", kind, 1) for place, kind in enumerate(arguments)]
    function = library.cfunc(name, result, *numbered)
    if function is None:
        raise ImportError(f"this libfluidsynth has no {name}")
    return function


def _bind_write_float(library: ModuleType) -> Callable[..., int]:
    """fluid_synth_write_float: no dither, no clipping, straight into our arrays.

    (synth, frames, left, left offset, left step, right, right offset, right step) -> 0
    """
    channel = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
    return _c_function(
        library,
        "fluid_synth_write_float",
        ctypes.c_int,
        *(ctypes.c_void_p, ctypes.c_int),
        *channel,
        *channel,
    )


def _silence_log(library: ModuleType) -> None:
    """Nothing on stderr: what goes wrong comes back as a return code and becomes an AudioError."""
    set_log = _c_function(
        library,
        "fluid_set_log_function",
        ctypes.c_void_p,
        *(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
    )
    for level in range(5):  # panic, error, warning, information, debugging
        set_log(level, None, None)
