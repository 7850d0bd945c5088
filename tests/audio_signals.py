"""MIDI to render and ways to measure what comes back; used by the test_audio files."""

import io

import mido
import numpy as np

SCALE = (62, 64, 66, 67, 69, 71, 73, 74, 76, 78, 79, 81)
REEL_EIGHTH_SECONDS = 0.15


def midi_file(notes, *, channel=0, velocity=90, name="", extra_tracks=(), program=None):
    """MIDI bytes of one track. `notes`: (onset seconds, length seconds, pitch), 120 a minute."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    if name:
        track.append(mido.MetaMessage("track_name", name=name))
    if program is not None:
        track.append(mido.Message("program_change", channel=channel, program=program))
    timed = []
    for onset, length, pitch in notes:
        on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        off = on.copy(velocity=0)
        timed += [(round(onset * 960), 1, on), (round((onset + length) * 960), 0, off)]
    written = 0
    for tick, _, message in sorted(timed, key=lambda item: item[:2]):
        track.append(message.copy(time=tick - written))
        written = tick
    file.tracks.extend([track, *extra_tracks])
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def reel(seconds=6.0, seed=1):
    """Eighth notes without gaps that wander along D major; bytes, the same for a seed."""
    random = np.random.default_rng(seed)
    place, notes = 5, []
    for number in range(round(seconds / REEL_EIGHTH_SECONDS)):
        place = int(np.clip(place + random.integers(-2, 3), 0, len(SCALE) - 1))
        notes.append((number * REEL_EIGHTH_SECONDS, REEL_EIGHTH_SECONDS, SCALE[place]))
    return midi_file(notes)


def spaced_notes(count=8, spacing_seconds=0.75, length_seconds=0.25):
    """(onsets in seconds, bytes): notes far enough apart to tell where each begins."""
    onsets = [number * spacing_seconds for number in range(count)]
    notes = [(onset, length_seconds, 67 + place) for place, onset in enumerate(onsets)]
    return onsets, midi_file(notes)


def envelope(frames, rate_hz, window_seconds=0.005):
    """Root mean square in windows that follow each other; shape=(windows,)."""
    window = round(rate_hz * window_seconds)
    count = len(frames) // window
    return np.sqrt(np.mean(np.square(frames[: count * window].reshape(count, window)), axis=1))


def onset_delays_ms(frames, rate_hz, onsets, length_seconds=0.25):
    """For each onset the milliseconds until the note has half the amplitude it reaches."""
    levels = envelope(frames, rate_hz)
    delays = []
    for onset in onsets:
        note = levels[round(onset / 0.005) : round((onset + length_seconds) / 0.005)]
        delays.append(float(np.argmax(note >= note.max() / 2)) * 5.0)
    return delays


def peak_dbfs(frames):
    return 20 * np.log10(np.max(np.abs(frames)))


def empty_soundfont(version=2):
    """The bytes of a soundfont with the right lists and nothing in them."""

    def chunk(name, content):
        return name + len(content).to_bytes(4, "little") + content

    info = b"INFO" + chunk(b"ifil", version.to_bytes(2, "little") + bytes(2))
    lists = [chunk(b"LIST", content) for content in (info, b"sdta", b"pdta")]
    return chunk(b"RIFF", b"sfbk" + b"".join(lists))
