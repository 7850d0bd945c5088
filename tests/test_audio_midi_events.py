"""MIDI bytes -> timed messages: tempo, offset, channels, damaged files."""

import mido
import numpy as np
import pytest
from audio_signals import midi_file, reel

from abc_tools import MidiOptions, parse_tune, to_midi
from abc_tools.audio_options import AudioError
from abc_tools.midi_events import read_events

THREE_NOTES = [(0.0, 0.5, 60), (0.5, 0.5, 62), (1.0, 1.0, 64)]


def onsets(events):
    return [
        (round(seconds, 3), message.note)
        for seconds, message in events.messages
        if message.type == "note_on" and message.velocity
    ]


def accompaniment(name, channel=1, program=24):
    return mido.MidiTrack(
        [
            mido.MetaMessage("track_name", name=name),
            mido.Message("program_change", channel=channel, program=program),
            mido.Message("note_on", channel=channel, note=48, velocity=60),
            mido.Message("note_off", channel=channel, note=48, time=960),
        ]
    )


def test_seconds_follow_the_tempo_of_the_file():
    events = read_events(midi_file(THREE_NOTES))
    assert onsets(events) == [(0.0, 60), (0.5, 62), (1.0, 64)]
    assert events.seconds == pytest.approx(2.0)


def test_a_tempo_factor_of_two_halves_all_times():
    events = read_events(midi_file(THREE_NOTES), tempo_factor=2.0)
    assert onsets(events) == [(0.0, 60), (0.25, 62), (0.5, 64)]
    assert events.seconds == pytest.approx(1.0)


def test_a_start_leaves_out_earlier_notes_and_begins_with_the_first_of_the_others():
    events = read_events(midi_file(THREE_NOTES), tempo_factor=2.0, start_seconds=0.5)
    assert onsets(events) == [(0.0, 62), (0.25, 64)]
    assert events.seconds == pytest.approx(0.75)


def test_a_start_that_was_rounded_to_milliseconds_keeps_its_note():
    thirds = [(number / 3, 1 / 3, 60 + number) for number in range(3)]
    assert onsets(read_events(midi_file(thirds), start_seconds=0.334))[0] == (0.0, 61)


def test_the_program_of_an_accompaniment_is_kept_and_that_of_the_melody_is_not():
    midi = midi_file(THREE_NOTES, program=40, extra_tracks=[accompaniment("Chords")])
    events = read_events(midi)
    programs = [m for _, m in events.messages if m.type == "program_change"]
    assert [(m.channel, m.program) for m in programs] == [(1, 24)]
    assert events.channels == {0, 1}
    assert 0 in events.melody
    assert 1 not in events.melody


def test_a_tune_named_after_a_chord_is_still_a_melody():
    midi = midi_file(THREE_NOTES, name="The Lost Chord", program=40)
    assert read_events(midi).melody >= {0}


def test_the_chords_that_to_midi_writes_keep_their_guitar():
    tune = parse_tune('X:1\nM:4/4\nL:1/4\nK:D\n"D"D F A d|"G"B G D z|\n')
    events = read_events(to_midi(tune, MidiOptions(chords=True)).data)
    programs = [m for _, m in events.messages if m.type == "program_change"]
    assert [(m.channel, m.program) for m in programs] == [(1, MidiOptions().chord_program)]
    assert events.channels == {0, 1}


def test_onsets_are_those_that_to_midi_reports():
    tune = parse_tune("X:1\nM:4/4\nL:1/8\nQ:1/4=90\nK:D\n|:DFA (3def e2|[Q:1/4=120]d4 z4:|\n")
    midi = to_midi(tune)
    heard = [seconds for seconds, _ in onsets(read_events(midi.data))]
    assert heard == pytest.approx([ms / 1000 for ms in midi.onsets_ms], abs=0.001)


def test_drums_are_no_melody():
    assert 9 not in read_events(midi_file(THREE_NOTES, channel=9)).melody


@pytest.mark.parametrize("damaged", [b"", b"X:1\nK:D\nabc", b"MThd", reel()[:30], reel()[:-20]])
def test_damaged_midi_is_refused_in_one_line(damaged):
    with pytest.raises(AudioError) as caught:
        read_events(damaged)
    assert str(caught.value).startswith("not a readable MIDI file (")
    assert "\n" not in str(caught.value)


def test_changed_bytes_give_events_or_an_audio_error_and_nothing_else():
    random = np.random.default_rng(0)
    good = reel(1.0)
    refused = 0
    for _ in range(500):
        midi = bytearray(good)
        for place in random.integers(0, len(midi), size=3):
            midi[place] = random.integers(256)
        try:
            assert read_events(bytes(midi)).seconds <= 1200.0
        except AudioError:
            refused += 1
    assert 0 < refused < 500


def test_a_tune_without_notes_is_refused():
    with pytest.raises(AudioError, match=r"^the tune has no notes, so there is nothing to hear$"):
        read_events(midi_file([]))


def test_a_start_behind_the_last_note_is_refused():
    with pytest.raises(AudioError, match=r"^the tune has no notes after 9 s, so"):
        read_events(midi_file(THREE_NOTES), start_seconds=9.0)


def test_a_tune_of_an_hour_is_refused():
    with pytest.raises(AudioError, match=r"^the tune lasts 3600 s; at most 1200 s are rendered$"):
        read_events(midi_file([(0.0, 1.0, 60), (3599.0, 1.0, 60)]))
