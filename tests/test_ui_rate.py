"""The routes that the Rate page talks to, called in-process over a real database file."""

import random
import re
import sqlite3
import time

import numpy as np
import pytest
import sqlalchemy as sa
from fake_pairs import TUNES, BookPairs, changed
from fastapi import FastAPI
from fastapi.testclient import TestClient

from abc_tools.audio import AudioCache
from prefs.pairing import Stock
from prefs.records import Pair, TuneRecord
from prefs.store import Store, StoreError, open_store
from ui.listen import add_refusals
from ui.pair_supply import FRESH, PairSupply
from ui.playback import Playback
from ui.rate import RatingDesk, add_rate_refusals, rate_routes
from ui.source import NoModel


@pytest.fixture
def store(tmp_path):
    found = open_store(f"sqlite:///{tmp_path / 'votes.db'}")
    yield found
    found.close()


@pytest.fixture
def source():
    return BookPairs(("base", "tuned"))


def routed(folder, store, supply):
    """A client of the routes alone."""
    playback = Playback(AudioCache(folder / "audio"))
    app = FastAPI()
    add_refusals(app)
    add_rate_refusals(app)
    app.include_router(rate_routes(RatingDesk(lambda: store, supply, playback)))
    return TestClient(app)


@pytest.fixture
def client(tmp_path, store, source):
    supply = PairSupply(source, lambda: store, learning_stock=4)
    supply.start()
    yield routed(tmp_path, store, supply)
    source.gate.set()
    supply.stop()


def next_pair(client, **wish):
    answer = client.post("/api/rate/next", json={"rater": "ann", **wish})
    assert answer.status_code == 200, answer.text
    return answer.json()


def cast(client, pair, choice="first", **more):
    vote = {"pair_id": pair["pair_id"], "choice": choice, "rater": "ann"}
    return client.post("/api/rate/votes", json={**vote, "listened_ms": [4000.4, 5000], **more})


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return answer.json()["error"]


def test_a_pair_has_all_that_two_players_need(client):
    pair = next_pair(client)
    first, second = pair["sides"]
    assert pair["alike"] and first["abc"] != second["abc"]
    for side in pair["sides"]:
        assert len(side["onsets_ms"]) == len(side["spans"]) > 20
        assert 0 < side["from_ms"] < side["until_ms"] <= side["seconds"] * 1000
    # what they share comes before: both are heard from the same bar
    assert first["from_ms"] == second["from_ms"]
    shared = first["onsets_ms"].index(first["from_ms"])
    assert [first["abc"][s:e] for s, e in first["spans"][:shared]] == [
        second["abc"][s:e] for s, e in second["spans"][:shared]
    ]


def test_evaluation_pairs_are_heard_from_the_beginning(client):
    pair = next_pair(client, trial=True)
    assert not pair["alike"]
    assert [side["from_ms"] for side in pair["sides"]] == [0, 0]


def test_nothing_in_a_pair_names_its_model_title_or_age(client, store):
    seen = []
    for trial in (True, False, True, True, False):
        answer = client.post(
            "/api/rate/next", json={"rater": "ann", "holding": seen, "trial": trial}
        )
        text = answer.text.lower()
        pair = store.pair(answer.json()["pair_id"])
        seen.append(pair.id)
        for tune in store.tunes([pair.first, pair.second]):
            for secret in (tune.model, tune.id, tune.created, "title", '"seed', "t:"):
                assert secret.lower() not in text
        assert not re.search(r"2026-\d\d", text)
        one, two = answer.json()["sides"]
        assert set(one) == set(two)
        assert one["audio_url"].replace("first", "second") == two["audio_url"]
        header = r"(?s)^.*?K:.*?\n"
        assert re.match(header, one["abc"])[0] == re.match(header, two["abc"])[0]


def traffic(folder, models):
    """All answers before the vote, for a world in which models[0] wrote the first sides.

    Everything that goes with a model changes with it: titles, seeds, ages, decoding, tempo.
    """
    rng = random.Random(4)
    folder.mkdir()
    store = open_store(f"sqlite:///{folder / 'votes.db'}")
    secrets_of = {
        "base": {"seed": 1, "created": "2026-11-01T00:00:00", "options": {"row": 0}},
        "tuned": {"seed": 99_999, "created": "2026-11-20T00:00:00", "options": {"row": 3}},
    }
    for number in range(4):
        sides = []
        for side, model in enumerate(models):
            abc = changed(TUNES[number % 2], rng)
            beats = 60 if model == "tuned" else 90
            abc = abc.replace("T:", f"T:by {model} ").replace("K:", f"Q:1/4={beats}\nN:{model}\nK:")
            sides.append(TuneRecord(f"t{number}{side}", abc, model, **secrets_of[model]))
        store.add_tunes(sides)
        kind = "learning" if number % 2 else "evaluation"
        first_draw = [model == "base" for model in models]
        store.add_pairs(
            [
                Pair(
                    f"p{number}", sides[0].id, sides[1].id, kind,
                    options={"first_draw_sound": first_draw}, created=str(number),
                )
            ]
        )  # fmt: skip
    supply = PairSupply(BookPairs(("base", "tuned")), lambda: store, np.random.default_rng(0))
    client = routed(folder, store, supply)
    answers = [client.get("/api/rate/options?rater=ann"), client.get("/api/rate/lessons?rater=ann")]
    held = []
    for trial in (True, False, True, False):
        answers.append(
            client.post("/api/rate/next", json={"rater": "ann", "holding": held, "trial": trial})
        )
        pair = answers[-1].json()
        held.append(pair["pair_id"])
        answers += [client.get(side["audio_url"]) for side in pair["sides"]]
        answers.append(client.get(f"/api/rate/{pair['pair_id']}/reveal?rater=ann"))
    store.close()
    assert len({*held}) == 4
    return [(a.status_code, sorted(a.headers.items()), a.content) for a in answers]


def test_before_the_vote_every_byte_is_the_same_whichever_model_wrote_which_side(tmp_path):
    one = traffic(tmp_path / "one", ("base", "tuned"))
    other = traffic(tmp_path / "other", ("tuned", "base"))
    assert len(one) == 18 and sum(len(content) for _, _, content in one) > 1_000_000
    for here, there in zip(one, other, strict=True):
        assert here == there


def test_no_side_is_rendered_before_it_is_asked_for(tmp_path, client):
    pair = next_pair(client)  # or the time to answer would tell which tune had been heard before
    assert not list(tmp_path.rglob("*.flac"))
    for number, side in enumerate(pair["sides"], start=1):
        client.get(side["audio_url"])
        assert len(list(tmp_path.rglob("*.flac"))) == number


def test_the_sound_of_a_side_says_nothing_of_its_file(client):
    pair = next_pair(client)
    for side in pair["sides"]:
        answer = client.get(side["audio_url"])
        assert answer.content[:4] == b"fLaC" and len(answer.content) > 100_000
        assert set(answer.headers) == {"cache-control", "content-length", "content-type"}
    assert "second side" in refusal(client.get(f"/api/rate/{pair['pair_id']}/third.flac"), 422)


def test_a_vote_is_on_disk_when_the_answer_comes(client, store):
    pair = next_pair(client)
    answer = cast(client, pair, "second", token="t1").json()
    assert answer["saved"] and answer["new"] and answer["progress"]["votes"] == 1
    (vote,) = store.votes()
    assert (vote.pair_id, vote.choice, vote.rater) == (pair["pair_id"], "second", "ann")
    assert vote.listened_ms == (4000, 5000) and vote.at.startswith("20")
    again = cast(client, pair, "second", token="t1").json()
    assert again["saved"] and not again["new"] and len(store.history()) == 1


def test_undo_takes_the_vote_back_and_brings_the_same_pair(client, store):
    pair = next_pair(client)
    cast(client, pair)
    answer = client.post("/api/rate/undo", json={"pair_id": pair["pair_id"], "rater": "ann"}).json()
    assert answer["undone"] and answer["pair"] == pair and answer["progress"]["votes"] == 0
    assert store.votes() == [] and len(store.history()) == 2


def test_who_wrote_a_pair_is_told_after_the_vote_only(client):
    pair = next_pair(client, trial=True)
    address = f"/api/rate/{pair['pair_id']}/reveal?rater=ann"
    assert "Vote first" in refusal(client.get(address), 422)
    cast(client, pair)
    assert set(client.get(address).json().values()) == {"base", "tuned"}
    assert "Vote first" in refusal(client.get(address.replace("ann", "bob")), 422)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"choice": "third"}, "first, second, tie, skip"),
        ({"choice": None}, "first, second, tie, skip"),
        ({"rater": " "}, "name"),
        ({"rater": "x" * 81}, "name"),
        ({"rater": "a\x00b"}, "name"),
        ({"listened_ms": [1]}, "how long"),
        ({"listened_ms": [1, -1]}, "how long"),
        ({"listened_ms": [float("1e99"), 1]}, "how long"),
        ({"listened_ms": "long"}, "how long"),
    ],
)
def test_a_vote_that_no_page_would_send_is_refused_in_words(client, store, change, words):
    pair = next_pair(client)
    assert words in refusal(cast(client, pair, **change), 422)
    assert store.history() == []


def test_a_vote_on_an_unknown_pair_is_refused_for_good(client):
    assert "no pair 'nowhere'" in refusal(cast(client, {"pair_id": "nowhere"}), 404)


def test_a_vote_that_cannot_be_written_is_not_called_saved(client, store, monkeypatch):
    pair = next_pair(client)

    def full(*_args, **_more):
        raise StoreError("the disk is full: make room")

    monkeypatch.setattr(Store, "cast", full)
    assert refusal(cast(client, pair), 503) == "The disk is full: make room."


@pytest.mark.parametrize("trouble", ["locked", "read-only", "full"])
def test_what_the_database_refuses_is_not_called_saved_and_can_be_sent_again(
    tmp_path, source, trouble
):
    url = f"sqlite:///{tmp_path / 'votes.db'}"
    store = open_store(url)
    new = source.learning_pair()
    store.add_tunes([new.first, new.second])
    store.add_pairs([new.pair])
    store.close()
    pair, token = {"pair_id": new.pair.id}, "t" * 20_000  # long: there is no room for it

    def no_room(connection, _record):
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes what is in use already

    def attempt(address=url):
        store = open_store(address, lock_seconds=0.1)
        supply = PairSupply(source, lambda: store)
        answer = cast(routed(tmp_path, store, supply), pair, token=token)
        votes = len(store.votes())
        store.close()
        return answer, votes

    other = sqlite3.connect(tmp_path / "votes.db", isolation_level=None)
    if trouble == "locked":
        other.execute("BEGIN IMMEDIATE")
        answer, votes = attempt()
        other.execute("ROLLBACK")
    elif trouble == "read-only":
        answer, votes = attempt(f"sqlite:///file:{tmp_path / 'votes.db'}?mode=ro&uri=true")
    else:
        sa.event.listen(sa.Pool, "connect", no_room)
        try:
            answer, votes = attempt()
        finally:
            sa.event.remove(sa.Pool, "connect", no_room)
    other.close()
    assert trouble in refusal(answer, 503) and votes == 0
    answer, votes = attempt()  # the page sends the same again
    assert answer.json()["saved"] and votes == 1


def test_what_the_votes_have_taught_is_told_in_words(client, store):
    found = client.get("/api/rate/lessons?rater=ann").json()
    assert found == {"leanings": []}


def test_two_raters_at_once_never_get_the_same_pair(client):
    seen = {"ann": [], "bob": []}
    for _ in range(4):
        for rater, held in seen.items():
            held.append(next_pair(client, rater=rater, holding=held)["pair_id"])
    assert len({*seen["ann"], *seen["bob"]}) == 8


def test_pairs_of_an_earlier_visit_are_used_up_first(client, store, source):
    pair = next_pair(client)
    again = next_pair(client)  # the page was loaded anew
    assert again["pair_id"] == pair["pair_id"]


def test_twenty_pairs_hold_evaluation_pairs_and_no_pair_twice(client, store):
    rng = random.Random(3)
    ids = []
    for _ in range(24):
        pair = next_pair(client)
        ids.append(pair["pair_id"])
        cast(client, pair, rng.choice(["first", "second", "tie", "skip"]))
    kinds = [store.pair(id).kind for id in ids]
    repeats = [id for id in ids if store.pair(id).repeat_of]
    assert len({*ids}) == 24
    assert kinds.count("evaluation") >= 4 and kinds.count("learning") >= 14
    assert len(repeats) < 6


def test_without_a_model_the_page_is_told_why(tmp_path, client, source):
    source.error = NoModel("There is no model to write tunes: run `musicgen doctor`.")
    for _ in range(6):  # what was drawn before the fault
        answer = client.post("/api/rate/next", json={"rater": "ann", "holding": []})
        if answer.status_code != 200:
            break
        cast(client, answer.json())
    assert "musicgen doctor" in refusal(answer, 503)
    source.error = None
    assert next_pair(client)["pair_id"]


def test_an_unopened_database_is_told_in_words(tmp_path, source):
    def locked():
        raise StoreError("votes.db is locked by another program")

    supply = PairSupply(source, locked)
    app = FastAPI()
    add_rate_refusals(app)
    playback = Playback(AudioCache(tmp_path / "audio"))
    app.include_router(rate_routes(RatingDesk(locked, supply, playback)))
    with_fault = TestClient(app).get("/api/rate/options?rater=ann")
    assert refusal(with_fault, 503) == "Votes.db is locked by another program."


def test_several_pairs_are_drawn_for_each_that_is_handed_out(client, store):
    handed: list[str] = []
    for _ in range(4):
        handed.append(next_pair(client, holding=handed)["pair_id"])
    next_pair(client, holding=handed[:3])  # the last one again
    learning = sum(pair.id in handed and pair.kind == "learning" for pair in store.pairs())
    assert learning > 0
    wanted = 4 + learning * (FRESH - 1)
    deadline = time.monotonic() + 30
    while len(Stock.of(store, "", taken=handed).learning) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    assert len(Stock.of(store, "", taken=handed).learning) == wanted
