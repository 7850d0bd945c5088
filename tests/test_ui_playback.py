"""From a stored tune to print, MIDI, sound, and which note sounds when."""

import doctest
import io
from itertools import pairwise

import mido
import pytest
import soundfile
from fake_source import BOOK

from abc_tools import parse_tune, split_tunes
from abc_tools.audio import AudioCache
from ui import playback as module
from ui.library import StoredTune, tune_id
from ui.playback import (
    Playback,
    PlaybackError,
    Rendition,
    beginning,
    file_writers,
    midi_file,
    score,
    with_title,
)

REEL = "X:1\nR:reel\nM:4/4\nL:1/8\nQ:1/2=100\nK:D\n|:ABde f2fe|1 d4 A4:|2 d8||\n"


def stored(abc: str) -> StoredTune:
    return StoredTune(tune_id(abc), abc, "base", 7)


@pytest.fixture
def playback(tmp_path):
    return Playback(AudioCache(tmp_path))


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0


def test_each_sounding_note_is_at_its_time_and_its_place_in_the_text(playback):
    payload = playback.payload(stored(REEL), Rendition())
    words = [payload["abc"][start:end] for start, end in payload["spans"]]
    assert " ".join(words) == "A B d e f2 f e d4 A4 A B d e f2 f e d8"
    # A half note lasts 600 ms, an eighth 150: the first bar is 1200 ms long.
    first, second = (0, 150, 300, 450, 600, 900, 1050), (2400, 2550, 2700, 2850, 3000, 3300, 3450)
    assert payload["onsets_ms"] == [*first, 1200, 1800, *second, 3600]
    assert payload["seconds"] == 4.8


def test_at_half_tempo_every_note_comes_twice_as_late(playback):
    full = playback.payload(stored(REEL), Rendition())
    half = playback.payload(stored(REEL), Rendition(tempo=50))
    assert half["onsets_ms"] == [2 * onset for onset in full["onsets_ms"]]
    assert half["seconds"] == 2 * full["seconds"]
    assert half["audio_url"].endswith("?instrument=fiddle&tempo=50")


def test_the_sound_is_as_long_as_the_score_says_at_any_tempo(playback):
    for tempo in (100, 50):
        path = playback.audio(stored(REEL), Rendition("harp", tempo))
        seconds = soundfile.info(str(path)).duration
        wanted = playback.payload(stored(REEL), Rendition("harp", tempo))["seconds"]
        assert wanted - 0.2 <= seconds <= wanted + 1.5


@pytest.mark.parametrize("tempo", [100, 60])
def test_each_note_is_heard_when_the_page_lights_it(playback, tempo):
    plucked = stored("X:1\nM:4/4\nL:1/4\nQ:1/4=120\nK:D\nA z d z|f z a z|A z d z|f z a4|\n")
    payload = playback.payload(plucked, Rendition("harp", tempo))
    frames, rate_hz = soundfile.read(playback.audio(plucked, Rendition("harp", tempo)))

    def loudness(start_ms, end_ms):
        part = frames[int(start_ms * rate_hz / 1000) : int(end_ms * rate_hz / 1000)]
        return float((part**2).mean() ** 0.5)

    assert len(payload["onsets_ms"]) == 8
    for onset in payload["onsets_ms"][1:]:
        assert loudness(onset, onset + 60) > 4 * loudness(onset - 60, onset - 5)


def test_sound_is_rendered_once(playback):
    first = playback.audio(stored(REEL), Rendition())
    written = first.stat().st_mtime_ns
    assert playback.audio(stored(REEL), Rendition()) == first
    assert first.read_bytes()[:4] == b"fLaC"
    assert first.stat().st_mtime_ns >= written
    assert len(list(first.parent.iterdir())) == 1


def test_a_page_learns_the_tune_in_words(playback):
    payload = playback.payload(stored(with_title(REEL)), Rendition())
    assert payload["subtitle"] == "reel · D major"
    assert payload["words"] == "a reel in D"
    assert payload["title"] and f"T:{payload['title']}\n" in payload["abc"]


def test_a_title_that_is_there_stays_and_one_that_is_not_is_made_up_once():
    assert with_title("X:1\nT:Mine\nK:D\nA|\n") == "X:1\nT:Mine\nK:D\nA|\n"
    titled = with_title(REEL)
    assert titled.startswith("X:1\nT:") and titled == with_title(REEL) == with_title(titled)
    assert parse_tune(titled).title


@pytest.mark.parametrize("tune", split_tunes(BOOK), ids=lambda tune: parse_tune(tune).title)
def test_every_note_of_a_printed_tune_has_its_place_in_the_text(tune):
    printed = score(tune.text)
    assert len(printed.onsets_ms) == len(printed.spans) > 40
    assert all(a <= b for a, b in pairwise(printed.onsets_ms))
    assert all(set(printed.abc[a:b]) & set("ABCDEFGabcdefg") for a, b in printed.spans)
    assert "Q:" in printed.abc, "without a tempo abcjs and the sound would disagree"


def test_the_beginning_of_a_tune_can_be_given_to_another():
    kettle = next(tune.text for tune in split_tunes(BOOK) if "Kettle" in tune.text)
    assert beginning(score(kettle).abc) == "|:A|dfa afd|gfe fdB|"
    assert beginning("X:1\nM:4/4\nL:1/8\nK:D\nA|\n") == ""


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("kazoo", 100), "There is no instrument 'kazoo'; choose fiddle, flute,"),
        (("fiddle", 5), "The tempo 5% is out of range: 25 to 400."),
    ],
)
def test_a_rendition_that_does_not_exist_is_refused(wanted, message):
    with pytest.raises(PlaybackError) as refused:
        Rendition(*wanted)
    assert str(refused.value).startswith(message)


def test_a_midi_download_has_the_chosen_instrument_and_tempo():
    file = mido.MidiFile(file=io.BytesIO(midi_file(stored(REEL), Rendition("flute", 50))))
    assert file.length == pytest.approx(9.6, abs=0.1)
    programs = {m.program for track in file.tracks for m in track if m.type == "program_change"}
    assert programs == {73}


def test_an_abc_download_can_be_read_back():
    text = file_writers()["abc"](stored(with_title(REEL)), Rendition()).decode()
    assert parse_tune(text).rhythm == "reel"
