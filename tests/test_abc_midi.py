"""MIDI files: the bytes themselves, read back by mido, and what each option does."""

import io

import mido
import pytest

from abc_tools import parse_tune, to_midi
from abc_tools.accompaniment import chord_pitches
from abc_tools.midi import MidiOptions, play_seconds
from abc_tools.midi_tracks import (
    Notes,
    _mixed_notes,
    _spoken_notes,
    note_events,
    performed_events,
)
from abc_tools.tune import WHOLE
from abc_tools.unfold import unfold

UNIT = WHOLE // 1920  # ticks of a tune in one of the file
TWICE = ("|:CDEF:|", "CDEF|CDEF|")  # the same, in two ways


def tune(body: str, head: str = "M:4/4\nL:1/8\nQ:1/4=120\nK:C\n"):
    return parse_tune(f"X:1\nT:t\n{head}{body}\n")


def notes_of(data: bytes, track: int = 1) -> list[tuple[float, int, float]]:
    """(onset, pitch, length) of one track in quarter notes, in order of onset."""
    file = mido.MidiFile(file=io.BytesIO(data))
    now, open_notes, notes = 0, {}, []
    for message in file.tracks[track]:
        now += message.time
        if message.type == "note_on":
            open_notes[message.note] = now
        elif message.type == "note_off":
            start = open_notes.pop(message.note)
            one = file.ticks_per_beat
            notes.append((start / one, message.note, (now - start) / one))
    assert open_notes == {}
    return sorted(notes)


def test_the_bytes_of_a_two_bar_jig():
    data = to_midi(
        parse_tune("X:1\nT:Jig\nM:6/8\nL:1/8\nQ:3/8=120\nK:D\nD3 d3|A6|\n"), MidiOptions(program=73)
    ).data
    expected = (
        "4d546864 00000006 0001 0002 01e0"        # MThd, 6 bytes, format 1, 2 tracks, 480 ticks
        "4d54726b 00000020"                       # MTrk, tempo map
        "00 ff03 03 4a6967"                       # track name "Jig"
        "00 ff58 04 06 03 24 08"                  # 6/8, a click every 36 clocks
        "00 ff59 02 02 00"                        # two sharps, major
        "00 ff51 03 051615"                       # 333333 microseconds a quarter = 180 a minute
        "00 ff2f 00"                              # end of track
        "4d54726b 00000022"                       # MTrk, melody
        "00 c0 49"                                # program 73, flute
        "00 90 3e 60"                             # D4 on
        "8550 80 3e 00"                           # after 720 ticks off
        "00 90 4a 60"                             # D5 on
        "8550 80 4a 00"
        "00 90 45 60"                             # A4 on
        "8b20 80 45 00"                           # after 1440 ticks off
        "00 ff2f 00"
    )  # fmt: skip
    assert data.hex() == expected.replace(" ", "")


def test_mido_reads_back_what_was_written():
    result = to_midi(tune("C2 [EG]2 z2 c2-|c8|"))
    assert notes_of(result.data) == [(0, 60, 1), (1, 64, 1), (1, 67, 1), (3, 72, 5)]


def test_onsets_and_spans_say_when_and_where_each_note_is():
    source = tune("|:C2 D2 E4:|\n[Q:1/4=60]F8|")
    result = to_midi(source)
    assert result.onsets_ms == [0, 500, 1000, 2000, 2500, 3000, 4000]
    texts = [source.source[start:end] for start, end in result.spans]
    assert texts == ["C2", "D2", "E4", "C2", "D2", "E4", "F8"]
    assert result.seconds == play_seconds(source) == 8.0


def test_a_tempo_is_obeyed_or_replaced():
    assert to_midi(tune("C8|")).seconds == 2.0
    assert to_midi(tune("C8|"), MidiOptions(tempo=60)).seconds == 4.0
    words = tune("C8|", 'M:4/4\nL:1/8\nQ:"Slow"\nK:C\n')
    assert to_midi(words).seconds == pytest.approx(4 * 60 / 120)


@pytest.mark.parametrize(
    ("rhythm", "meter", "quarters"),
    [
        ("reel", "C|", 208), ("reel", "4/4", 208), ("reel", "2/4", 104), ("jig", "6/8", 174),
        ("slip jig", "9/8", 174), ("hornpipe", "4/4", 160), ("waltz", "3/4", 144),
        ("", "6/8", 180), ("", "none", 120), ("jig", "4/4", 120), ("polka", "2/4", 126),
    ],
)  # fmt: skip
def test_a_tune_without_tempo_takes_that_of_its_dance(rhythm, meter, quarters):
    source = tune("C8|", f"R:{rhythm}\nM:{meter}\nL:1/8\nK:C\n")
    assert to_midi(source).seconds == pytest.approx(4 * 60 / quarters, rel=1e-5)


def test_grace_notes_take_a_little_of_the_next_note():
    result = to_midi(tune("C2{de}F2[EG]4|"))
    assert notes_of(result.data) == [
        (0, 60, 1),
        (1, 74, 0.125),
        (1.125, 76, 0.125),
        (1.25, 65, 0.75),
        (2, 64, 2),
        (2, 67, 2),
    ]
    assert result.onsets_ms == [0, 625, 1000, 1000]
    without = to_midi(tune("C2{de}F2[EG]4|"), MidiOptions(graces=False))
    assert notes_of(without.data)[1] == (1, 65, 1)


def test_ornaments_only_when_asked_for():
    source = tune("~G3 TA2 z MB2|", "M:4/4\nL:1/8\nQ:1/4=120\nK:G\n")
    assert len(notes_of(to_midi(source).data)) == 3
    played = notes_of(to_midi(source, MidiOptions(ornaments=True)).data)
    assert [pitch for _, pitch, _ in played[:5]] == [67, 69, 67, 66, 67]  # a roll
    assert [pitch for _, pitch, _ in played[5:13]] == [69, 71] * 4  # a trill
    assert [pitch for _, pitch, _ in played[13:]] == [71, 69, 71]  # a mordent
    assert sum(length for _, _, length in played) == pytest.approx(3.5, abs=0.02)


def test_hornpipes_swing_only_when_asked_for():
    even = tune("CDEF G2c2|", "R:hornpipe\nM:4/4\nL:1/8\nQ:1/4=120\nK:C\n")
    assert [onset for onset, _, _ in notes_of(to_midi(even).data)] == [0, 0.5, 1, 1.5, 2, 3]
    swung = [onset for onset, _, _ in notes_of(to_midi(even, MidiOptions(swing=True)).data)]
    assert swung == pytest.approx([0, 2 / 3, 1, 5 / 3, 2, 3], abs=0.01)
    dotted = tune("C>DE>F G2c2|", "R:hornpipe\nM:4/4\nL:1/8\nQ:1/4=120\nK:C\n")
    reel = tune("CDEF G2c2|", "R:reel\nM:4/4\nL:1/8\nQ:1/4=120\nK:C\n")
    for source in (dotted, reel):
        assert to_midi(source, MidiOptions(swing=True)).data == to_midi(source).data


def test_chord_symbols_are_silent_unless_asked_for_and_then_on_their_own_track():
    source = tune('"Am"A2 c2 "G7/B"B2 d2|"no chord"e8|')
    assert len(mido.MidiFile(file=io.BytesIO(to_midi(source).data)).tracks) == 2
    data = to_midi(source, MidiOptions(chords=True)).data
    file = mido.MidiFile(file=io.BytesIO(data))
    assert [track.name for track in file.tracks] == ["t", "", "chords"]
    first_bar = [note for note in notes_of(data, 2) if note[0] < 4]
    assert first_bar == [
        (0, 45, 1), (1, 52, 1), (1, 57, 1), (1, 60, 1),
        (2, 47, 1), (3, 53, 1), (3, 55, 1), (3, 59, 1), (3, 62, 1),
    ]  # fmt: skip
    assert notes_of(data, 1) == notes_of(to_midi(source).data, 1)


def test_chord_symbols_are_understood():
    assert chord_pitches("C") == (48, (52, 55, 60))
    assert chord_pitches("Bbm7/Db") == (49, (53, 56, 58, 61))
    assert chord_pitches("hello") is None


def test_all_voices_sound_each_on_its_own_track():
    source = parse_tune("X:1\nT:t\nM:4/4\nL:1/4\nK:C\n[V:1]CDEF|[V:2]C,4|\n[V:1]GABc|[V:2]G,4|\n")
    result = to_midi(source)
    assert [pitch for _, pitch, _ in notes_of(result.data, 2)] == [48, 55]
    assert len(result.onsets_ms) == 8
    alone = to_midi(source, MidiOptions(all_voices=False)).data
    assert len(mido.MidiFile(file=io.BytesIO(alone)).tracks) == 2


def test_septuplets_land_on_exact_ticks():
    result = to_midi(tune("(7CDEFGAB (9cBAGFEDCB,|"))
    file = mido.MidiFile(file=io.BytesIO(result.data))
    assert file.ticks_per_beat == 10080


def test_a_tune_without_notes_gives_a_file_without_notes():
    result = to_midi(parse_tune("X:1\nT:t\nK:C\n"))
    assert notes_of(result.data) == []
    assert (result.onsets_ms, result.spans, result.seconds) == ([], [], 0.0)


def test_notes_beyond_midi_are_left_out_and_do_not_break_the_file():
    source = tune("c''''C", "M:4/4\nL:1/8\nK:C transpose=24\n")
    assert [pitch for _, pitch, _ in notes_of(to_midi(source).data)] == [84]


def test_notes_one_by_one_are_written_like_notes_that_sound_together():
    line = Notes([0, 240, 720, 1200], [240, 240, 480, 1], [60, 60, 127, 0], 1)
    spoken = _spoken_notes(3, 96, 1)
    one_by_one = [spoken[0, 240, 60], spoken[0, 240, 60], spoken[240, 480, 127], spoken[0, 1, 0]]
    assert note_events(line, 3, 96) == one_by_one
    assert b"".join(one_by_one) == b"".join(_mixed_notes(line, 3, 96))


def test_a_part_that_is_played_twice_is_written_as_if_it_stood_there_twice():
    twice, written = (performed_events(unfold(tune(body)), UNIT, 0, 96) for body in TWICE)
    assert len(twice) == 8
    assert twice == written


def test_notes_in_fine_ticks_that_end_between_two_of_the_file_end_at_the_earlier_one():
    fine = Notes([0, 20, 40], [17, 20, 10], [60, 62, 64], 10)
    coarse = Notes([0, 2, 4], [1, 2, 1], [60, 62, 64], 1)
    expected = b"".join(_mixed_notes(coarse, 0, 96))
    assert b"".join(_mixed_notes(fine, 0, 96)) == expected
    spoken = _spoken_notes(0, 96, 10)
    assert b"".join([spoken[0, 17, 60], spoken[3, 20, 62], spoken[0, 10, 64]]) == expected


@pytest.mark.parametrize(
    "notes",
    [
        Notes([0, 0], [240, 240], [60, 64], 1),
        Notes([0, 239], [240, 241], [60, 64], 1),
        Notes([0, 240], [240, 240], [60, 128], 1),
        Notes([0, 240], [240, 240], [-1, 60], 1),
        Notes([0, 240], [240, 9], [60, 64], 10),
        Notes([], [], [], 1),
    ],
)
def test_notes_together_or_beyond_midi_or_too_short_are_not_written_one_by_one(notes):
    assert note_events(notes, 0, 96) == _mixed_notes(notes, 0, 96)
