"""What the Results page is told, over a real database file."""

import random

import pytest
from fake_pairs import BookPairs
from fastapi import FastAPI
from fastapi.testclient import TestClient

from prefs.records import Vote
from prefs.results import Results, liveliest_trial
from prefs.store import open_store
from ui.library import Library
from ui.results import results_routes


@pytest.fixture
def store(tmp_path):
    found = open_store(f"sqlite:///{tmp_path / 'votes.db'}")
    yield found
    found.close()


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "library")


@pytest.fixture
def client(store, library):
    app = FastAPI()
    app.include_router(results_routes(lambda: store, library))
    return TestClient(app)


def add_trial(store, count, share):
    """Blind votes of which the tuned model wins `share`."""
    source = BookPairs(("base", "tuned"))
    order = random.Random(2).sample(range(count), count)
    for number in order:
        new = source.evaluation_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        tuned_first = new.first.model == "tuned"
        wins = number < share * count
        store.cast(Vote(new.pair.id, "first" if wins == tuned_first else "second", "simulated"))


def test_without_votes_one_sentence_says_so(client):
    found = client.get("/api/results").json()
    assert found["verdict"].startswith("No votes yet: rate some tunes")
    assert found["win_rate"] is None
    assert found["models"] == found["best"] == found["worst"] == found["details"] == []


def test_votes_on_learning_pairs_rank_tunes_and_no_models(client, store):
    source = BookPairs()
    for _ in range(4):
        new = source.learning_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        store.cast(Vote(new.pair.id, "first", "simulated"))
    found = client.get("/api/results").json()
    assert found["verdict"] == "No blind votes between two models yet."
    assert found["models"] == [] and len(found["best"]) == len(found["worst"]) == 4
    assert all(row["strength"] > 0 for row in found["best"])
    assert all(row["strength"] < 0 for row in found["worst"])


def test_the_verdict_is_the_sequential_tests_and_the_table_has_intervals(client, store):
    add_trial(store, 60, 0.8)
    found = client.get("/api/results").json()
    assert found["verdict"].startswith("tuned against base: it won 80% of 60 blind pairs")
    assert found["verdict"].endswith("it is better.")
    assert [row["name"] for row in found["models"]] == ["tuned", "base"]
    for row in found["models"]:
        assert row["low"] < row["strength"] < row["high"] and row["votes"] == 60
    text = " ".join(found["details"])
    assert "won 48, lost 12" in text and "four times in five" in text and "sound" in text
    rate = found["win_rate"]
    assert (rate["name"], rate["share"]) == ("tuned", 0.8)
    assert 0.5 < rate["low"] < 0.8 < rate["high"] < 1


def test_how_raters_lean_to_a_side_is_told(client, store):
    source = BookPairs()
    for number in range(40):
        new = source.learning_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        store.cast(Vote(new.pair.id, "second" if number % 10 == 0 else "first", "simulated"))
    (told,) = client.get("/api/results").json()["details"]
    share = int(told.split("chosen ")[1].split("%")[0])
    assert 75 < share < 95, told  # nine in ten, drawn a little towards even by the prior


def test_few_votes_bring_no_verdict(client, store):
    add_trial(store, 8, 0.75)
    assert "not yet known which is better" in client.get("/api/results").json()["verdict"]


def test_the_younger_model_is_the_one_that_is_judged(store):
    add_trial(store, 6, 0.5)
    created = {t.model: t.created for t in reversed(store.tunes())}
    younger = max(created, key=lambda model: (created[model], model))
    assert liveliest_trial(store).a == younger


def test_the_tunes_named_can_be_listened_to(client, store, library):
    add_trial(store, 12, 0.5)
    rows = client.get("/api/results").json()["best"]
    assert len(rows) == 5
    for row in rows:
        assert library.get(row["id"]).abc.startswith("X:1")
        assert row["title"] and "·" in row["subtitle"]
    assert client.get("/api/results").json()["best"] == rows


def test_best_and_worst_share_no_tune(store):
    add_trial(store, 3, 0.4)
    found = Results.of(store)
    ids = [ranked.tune.id for ranked in (*found.best, *found.worst)]
    assert len(ids) == len(set(ids)) == 6
