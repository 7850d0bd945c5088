"""MIDI bytes -> the bytes of an audio file: rendered, brought to one loudness, encoded.

    render_audio(midi, AudioOptions(instrument="flute", format="flac")) -> bytes
    AudioCache(folder).get(midi, options) -> Path      rendered once, found again afterwards

The same MIDI, options, soundfont and machine give the same bytes. Nothing heavy is imported and no
C library loaded before the first tune is rendered.

A file has one channel and begins at the MIDI's time 0, so that a note that sounds from `onsets_ms`
is heard there; it ends half a second after the last event. Loudness is -20 LUFS (ITU-R BS.1770-4),
less where the decoded peak would pass -1 dBFS, which a few short notes with long gaps can do.

There is no way to get a tune in pieces as it is made: its loudness must be known before the first
piece, and by then four fifths of the time that a flac file takes are over.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from abc_tools.audio_cache import AudioCache
from abc_tools.audio_options import INSTRUMENTS, AudioError, AudioOptions

if TYPE_CHECKING:
    from abc_tools.synth import Synth

__all__ = ["INSTRUMENTS", "AudioCache", "AudioError", "AudioOptions", "render_audio"]


def render_audio(midi: bytes, options: AudioOptions | None = None) -> bytes:
    """The audio file, in the format and by the instrument of `options` (default: fiddle, mp3).

    Raises AudioError, one line, if the MIDI cannot be read or holds no notes, or if the sound
    library or the soundfont is missing or damaged.
    """
    from abc_tools import encode, loudness, midi_events, synth

    options = options or AudioOptions()
    events = midi_events.read_events(midi, options.tempo_factor, options.start_seconds)
    renderer = synth.load_synth()
    font = find_soundfont(options, renderer)
    frames, rate_hz = renderer.render(
        events,
        INSTRUMENTS[options.instrument],
        font,
        encode.preferred_rate_hz(options.format),
    )
    gain = loudness.normalising_gain(frames, rate_hz)
    return encode.encode(frames, rate_hz, options.format, gain)


def find_soundfont(options: AudioOptions, renderer: Synth) -> Path:
    """The font that `options` name, else the first on this machine that the renderer can read."""
    import soundfonts

    try:
        return soundfonts.find(options.soundfont, compressed=renderer.reads_compressed_fonts)
    except soundfonts.SoundfontError as error:
        raise AudioError(str(error)) from None
