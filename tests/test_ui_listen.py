"""The routes that the Listen page talks to, called in-process."""

import doctest
import random

import pytest
from fake_source import BookSource
from fastapi import FastAPI
from fastapi.testclient import TestClient

from abc_tools import parse_tune, split_tunes
from abc_tools.audio import AudioCache, AudioError
from ui import listen
from ui.library import Library
from ui.listen import Jukebox, add_refusals, listen_routes
from ui.playback import Playback, with_title
from ui.prepare import Preparer
from ui.source import Known, NoModel, SourceError


@pytest.fixture
def source():
    return BookSource()


@pytest.fixture
def jukebox(tmp_path, source):
    library = Library(tmp_path / "library")
    preparer = Preparer(source, library, finish=with_title, seeds=random.Random(3), ahead=1)
    preparer.start()
    yield Jukebox(library, Playback(AudioCache(tmp_path / "audio")), preparer)
    preparer.stop()


def client_of(jukebox):
    app = FastAPI()
    add_refusals(app)
    app.include_router(listen_routes(jukebox))
    return TestClient(app)


@pytest.fixture
def client(jukebox):
    return client_of(jukebox)


def next_tune(client, **wish):
    answer = client.post("/api/listen/next", json=wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return answer.json()["error"]


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(listen).failed == 0
    assert doctest.testmod(listen).attempted > 0


def test_the_next_tune_has_all_that_the_player_needs(client):
    tune = next_tune(client)
    assert {"id", "abc", "audio_url", "onsets_ms", "spans"} <= set(tune)
    assert len(tune["onsets_ms"]) == len(tune["spans"]) > 20
    assert next_tune(client)["id"] != tune["id"]


def test_choices_reach_the_source_and_the_rendition_the_sound(client, source):
    tune = next_tune(client, rhythm="jig", temperature=1.2, instrument="harp", tempo=80)
    assert tune["rhythm"] == "jig"
    assert tune["audio_url"].endswith("?instrument=harp&tempo=80")
    (choices,) = {choices for choices, _ in source.calls if choices.rhythm}
    assert (choices.rhythm, choices.temperature) == ("jig", 1.2)


def test_a_tune_can_be_had_again_by_its_address_at_another_tempo(client):
    tune = next_tune(client)
    again = client.get(f"/api/tunes/{tune['id']}?instrument=flute&tempo=50").json()
    assert again["abc"] == tune["abc"]
    assert again["onsets_ms"] == pytest.approx([2 * onset for onset in tune["onsets_ms"]], abs=0.2)


def test_a_tune_can_be_had_after_a_restart(client, jukebox, source, tmp_path):
    tune = next_tune(client)
    library = Library(tmp_path / "library")
    later = client_of(Jukebox(library, jukebox.playback, Preparer(source, library)))
    assert later.get(f"/api/tunes/{tune['id']}").json() == tune


def test_the_sound_is_flac_and_answers_byte_ranges(client):
    url = next_tune(client)["audio_url"]
    whole = client.get(url)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/flac")
    assert whole.content[:4] == b"fLaC"
    part = client.get(url, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"


@pytest.mark.parametrize(
    ("format", "media_type", "beginning"),
    [("abc", "text/vnd.abc; charset=utf-8", b"X:1\nT:"), ("mid", "audio/midi", b"MThd")],
)
def test_a_tune_can_be_downloaded_under_its_title(client, format, media_type, beginning):
    tune = next_tune(client)
    answer = client.get(f"/api/tunes/{tune['id']}/file.{format}?instrument=harp&tempo=90")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.content.startswith(beginning)
    name = listen.file_name(tune["title"])
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.{format}"'


def test_an_mp3_can_be_downloaded(client):
    tune = next_tune(client)
    answer = client.get(f"/api/tunes/{tune['id']}/file.mp3?instrument=harp")
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.content[:3] == b"ID3" or answer.content[0] == 0xFF


def test_kept_tunes_are_listed_the_latest_first_and_can_be_let_go(client):
    first, second = next_tune(client), next_tune(client)
    for tune in (first, second):
        rows = client.put(f"/api/kept/{tune['id']}", json={"kept": True}).json()
    assert [row["id"] for row in rows] == [second["id"], first["id"]]
    assert rows[1] == {name: first[name] for name in ("id", "title", "subtitle")}
    client.put(f"/api/kept/{second['id']}", json={"kept": False})
    assert [row["id"] for row in client.get("/api/kept").json()] == [first["id"]]
    assert [row["id"] for row in client.get("/api/listen/options").json()["kept"]] == [first["id"]]


def test_kept_tunes_are_one_tune_book_with_numbers_of_their_own(client):
    for _ in range(2):
        client.put(f"/api/kept/{next_tune(client)['id']}", json={"kept": True})
    book = client.get("/api/kept/tunebook.abc").text
    assert [parse_tune(tune).number for tune in split_tunes(book)] == [1, 2]
    assert all(len(parse_tune(tune).bars) >= 8 for tune in split_tunes(book))


def test_the_menus_hold_what_the_model_knows_and_say_when_that_is_not_known_yet(client, source):
    options = client.get("/api/listen/options").json()
    assert options["complete"] is True
    assert [row["value"] for row in options["menus"]["rhythms"]] == [
        "reel",
        "jig",
        "polka",
        "waltz",
    ]
    assert {"value": "Ador", "label": "A dorian"} in options["menus"]["keys"]
    assert options["temperature"] == {"least": 0.7, "most": 1.5, "usual": 1.1}
    assert [row["name"] for row in options["instruments"]][:2] == ["fiddle", "flute"]
    assert {"percent": 100, "label": "full tempo"} in options["tempos"]
    source.known = Known()
    options = client.get("/api/listen/options").json()
    assert options["complete"] is False and len(options["menus"]["rhythms"]) > 10


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"temperature": 7}, "The temperature 7 is out of range: 0.7 to 1.5."),
        ({"instrument": "kazoo"}, "There is no instrument 'kazoo'; choose"),
        ({"tempo": "brisk"}, "The tempo 'brisk' is not a number of percent."),
        ({"opening": "ABc"}, "Choose a key and a meter for your opening bars."),
        ({"opening": "K:G\nABc", "key": "D", "meter": "4/4"}, "The opening holds header lines"),
        ({"opening": "| |", "key": "D", "meter": "4/4"}, "The opening holds no notes; write bars"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_in_one_sentence(client, wish, sentence):
    assert refusal(client.post("/api/listen/next", json=wish), 422).startswith(sentence)


def test_an_opening_reaches_the_source(client, source):
    next_tune(client, opening="|:A>B cd|", key="D", meter="4/4")
    assert "|:A>B cd|" in {choices.opening for choices, _ in source.calls}


def test_an_address_that_names_no_tune_says_what_to_do(client):
    for path in ("/api/tunes/nosuch", "/api/tunes/nosuch/audio.flac", "/api/tunes/nosuch/file.abc"):
        assert "start listening to hear others" in refusal(client.get(path), 404)
    assert refusal(client.put("/api/kept/nosuch", json={"kept": True}), 404)


def test_formats_that_do_not_exist_are_refused(client):
    id = next_tune(client)["id"]
    assert "choose abc, mid" in refusal(client.get(f"/api/tunes/{id}/file.exe"), 422)
    assert "wav" in refusal(client.get(f"/api/tunes/{id}/audio.wav"), 422)


def test_without_a_model_the_sentence_says_how_to_get_one(client, source):
    source.error = NoModel("There is no model to write tunes: `musicgen train` makes one.")
    client.post("/api/listen/next", json={"rhythm": "jig"})
    answer = client.post("/api/listen/next", json={"rhythm": "jig"})
    assert refusal(answer, 503) == "There is no model to write tunes: `musicgen train` makes one."


def test_without_a_sound_library_the_score_is_served_and_the_sound_refused(client, jukebox):
    class Silent(AudioCache):
        def get(self, midi, options=None):
            raise AudioError("no sound library: run ./run setup")

    jukebox.playback.cache = Silent("unused")
    tune = next_tune(client)
    assert tune["abc"]
    sentence = refusal(client.get(tune["audio_url"]), 503)
    assert sentence == "No sound library: run ./run setup."


def test_a_tweak_is_a_tune_of_its_own_with_an_address_and_a_title(client, jukebox):
    tune = next_tune(client)
    varied = client.post(f"/api/tunes/{tune['id']}/tweak?instrument=harp").json()
    assert varied["id"] != tune["id"] and varied["audio_url"].endswith("?instrument=harp&tempo=100")
    assert client.get(f"/api/tunes/{varied['id']}").json()["abc"] == varied["abc"]
    assert parse_tune(varied["abc"]).title != parse_tune(tune["abc"]).title
    assert jukebox.library.get(varied["id"]).options == {"tweak_of": tune["id"]}


def test_a_tune_that_is_not_here_or_will_not_vary_is_refused_in_a_sentence(client, source):
    assert "not in the library" in refusal(client.post("/api/tunes/nosuch/tweak"), 404)
    tune = next_tune(client)
    source.error = SourceError("This tune did not come out varied; press once more.")
    assert "press once more" in refusal(client.post(f"/api/tunes/{tune['id']}/tweak"), 503)
