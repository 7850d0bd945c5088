"""Each instrument as it really sounds, with TimGM6mb: level, peak, onsets, no gaps."""

import numpy as np
import pytest
from audio_signals import (
    envelope,
    midi_file,
    onset_delays_ms,
    peak_dbfs,
    reel,
    spaced_notes,
)

import soundfonts
from abc_tools.audio import INSTRUMENTS, AudioOptions, render_audio
from abc_tools.encode import decode
from abc_tools.loudness import integrated_loudness

FONT = soundfonts.pretty_midi_font()
# Milliseconds from the MIDI onset until a note has half its amplitude, measured, rounded up.
SPEAKS_WITHIN_MS = {
    "fiddle": 60,
    "flute": 60,
    "accordion": 40,
    "harp": 25,
    "banjo": 25,
    "guitar": 25,
    "pipes": 35,
    "whistle": 80,
}


def rendered(midi, instrument, format="wav", **options):
    return decode(render_audio(midi, AudioOptions(instrument, format, FONT, **options)))


def test_every_instrument_of_the_table_is_measured_here():
    assert SPEAKS_WITHIN_MS.keys() == INSTRUMENTS.keys()


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_a_reel_is_within_one_unit_of_the_target_loudness_and_below_its_peak(instrument):
    frames, rate_hz = rendered(reel(), instrument)
    assert integrated_loudness(frames, rate_hz) == pytest.approx(-20.0, abs=1.0)
    assert peak_dbfs(frames) <= -1.0


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_notes_speak_in_time(instrument):
    onsets, midi = spaced_notes()
    frames, rate_hz = rendered(midi, instrument)
    delays = onset_delays_ms(frames, rate_hz, onsets)
    assert max(delays) <= SPEAKS_WITHIN_MS[instrument], delays


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_there_is_no_silence_inside_a_tune(instrument):
    frames, rate_hz = rendered(reel(6.0), instrument)
    music = frames[round(0.1 * rate_hz) : round(5.9 * rate_hz)]
    quietest = 20 * np.log10(envelope(music, rate_hz, window_seconds=0.05).min())
    assert quietest > -60.0


def test_instruments_sound_different_and_one_instrument_always_the_same():
    midi = reel(2.0)
    sounds = {name: render_audio(midi, AudioOptions(name, "wav", FONT)) for name in INSTRUMENTS}
    assert len(set(sounds.values())) == len(INSTRUMENTS)
    assert render_audio(midi, AudioOptions("harp", "wav", FONT)) == sounds["harp"]


def test_the_instrument_replaces_the_program_that_the_midi_asks_for():
    notes = [(0.0, 0.5, 69), (0.5, 0.5, 71)]
    plain, with_program = midi_file(notes), midi_file(notes, program=56)
    options = AudioOptions("flute", "wav", FONT)
    assert render_audio(with_program, options) == render_audio(plain, options)


def test_a_melody_on_any_channel_gets_the_instrument():
    notes = [(0.0, 0.5, 69), (0.5, 0.5, 71)]
    options = AudioOptions("banjo", "wav", FONT)
    assert render_audio(midi_file(notes, channel=3), options) == render_audio(
        midi_file(notes, channel=0), options
    )


@pytest.mark.parametrize("format", ["wav", "mp3", "ogg"])
def test_a_tune_of_peaks_is_turned_down_instead_of_clipped(format):
    # Very short low notes with long silences: the peak is reached before the loudness.
    midi = midi_file([(3.0 * number, 0.06, 45) for number in range(3)], velocity=127)
    frames, rate_hz = rendered(midi, "whistle", format)
    assert integrated_loudness(frames, rate_hz) < -20.3
    assert -2.0 < peak_dbfs(frames) <= -1.0
    at_the_peak = np.abs(frames) > 0.999 * np.abs(frames).max()
    assert at_the_peak.sum() < 10, "a clipped wave stays at its highest value"
