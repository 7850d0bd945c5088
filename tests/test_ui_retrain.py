"""The routes of the Retrain page, in-process, over real folders and a child process."""

import doctest
import sys
import time
from pathlib import Path

import pytest
from fake_pairs import BookPairs
from fastapi import FastAPI
from fastapi.testclient import TestClient

from abc_tools.audio import AudioCache
from musicgen.promoted import promoted_model
from prefs.database import database_url
from prefs.jobs import Jobs
from prefs.records import Vote
from prefs.store import open_store
from ui import retrain
from ui.cli import main
from ui.library import Library
from ui.listen import Jukebox, add_refusals
from ui.playback import Playback
from ui.retrain import Workshop, add_retrain_refusals, retrain_routes
from ui.retrain_models import model_routes
from ui.retrain_tunes import run_tune_routes

FAKE = Path(__file__).parent / "fake_retrain.py"


@pytest.fixture
def store(tmp_path):
    found = open_store(database_url(tmp_path))
    yield found
    found.close()


@pytest.fixture
def shop(tmp_path, store):
    jobs = Jobs(tmp_path, lambda name: [sys.executable, str(FAKE), name, str(tmp_path)])
    yield Workshop(lambda: store, jobs, tmp_path)
    for child in jobs._children.values():
        child.kill()
        child.wait()


def client_of(shop):
    app = FastAPI()
    add_refusals(app)
    add_retrain_refusals(app)
    library = Library(shop.home / "library")
    playback = Playback(AudioCache(shop.home / "audio"))
    app.include_router(run_tune_routes(shop, Jukebox(library, playback, None)))
    app.include_router(model_routes(shop))
    app.include_router(retrain_routes(shop))
    return TestClient(app)


@pytest.fixture
def client(shop):
    return client_of(shop)


def add_votes(store, count):
    source = BookPairs()
    for _ in range(count):
        new = source.learning_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        store.cast(Vote(new.pair.id, "first", "simulated"))


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def done(client):
    for _ in range(600):
        state = client.get("/api/retrain").json()
        if state["job"]["state"] == "done":
            return state
        time.sleep(0.05)
    raise AssertionError(state)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(retrain).failed == 0


def test_too_few_votes_are_counted_and_nothing_begins(client, store, tmp_path):
    add_votes(store, 12)
    assert client.get("/api/retrain").json()["votes"]["learning"] == 12
    assert "8 more votes are needed" in refusal(client.post("/api/retrain/start"), 409)
    assert not (tmp_path / "runs").exists()


def test_from_votes_to_a_promoted_model_and_back(client, store, tmp_path):
    add_votes(store, 40)
    begun = client.post("/api/retrain/start").json()
    assert (begun["name"], begun["state"]) == ("tuned-1", "running")
    assert "Tuned-1 is being trained" in refusal(client.post("/api/retrain/start"), 409)
    state = done(client)
    job = state["job"]
    assert job["share"] == 1 and job["reward"]["accuracy"] == 0.71 and len(job["rounds"]) == 2
    assert state["playing"] == "base"
    (row,) = state["models"]
    assert (row["name"], row["parent"], row["votes"]) == ("tuned-1", "base", 40)
    assert row["verdict"] == "No blind votes yet."
    assert client.get("/api/retrain/tuned-1/report").json()["follows"]["share of leaps"] == -0.32

    assert client.post("/api/models/tuned-1/promote").json() == {"playing": "tuned-1"}
    assert promoted_model(tmp_path) == "tuned-1"
    assert client.get("/api/retrain").json()["playing"] == "tuned-1"
    client.post("/api/models/base/promote")
    assert promoted_model(tmp_path) == "base"
    assert client.post("/api/retrain/start").json()["name"] == "tuned-2"


def test_unknown_models_and_actions_are_refused_in_words(client):
    assert "no model named nosuch" in refusal(client.post("/api/models/nosuch/promote"), 404)
    assert "no model named nosuch" in refusal(client.get("/api/retrain/nosuch/report"), 404)
    assert "no retraining named" in refusal(client.post("/api/retrain/nosuch/pause"), 409)
    assert "go-on" in refusal(client.post("/api/retrain/nosuch/explode"), 409)


def test_an_app_that_was_told_its_model_changes_none(shop):
    fixed = Workshop(shop.store, shop.jobs, shop.home, fixed="base")
    client = client_of(fixed)
    assert "--model base" in refusal(client.post("/api/models/base/promote"), 409)
    assert client.get("/api/retrain").json()["fixed"]


def test_a_promoted_model_that_is_gone_gives_way_to_the_bundled_one(client, store, tmp_path):
    add_votes(store, 40)
    client.post("/api/retrain/start")
    done(client)
    assert main(["models", "promote", "tuned-1", "--home", str(tmp_path)]) == 0
    assert promoted_model(tmp_path) == "tuned-1"
    (tmp_path / "models" / "tuned-1" / "model.safetensors").unlink()
    assert promoted_model(tmp_path) == "base"


def test_the_models_command_lists_promotes_and_removes(client, store, tmp_path, capsys):
    add_votes(store, 40)
    client.post("/api/retrain/start")
    done(client)
    home = ["--home", str(tmp_path)]
    assert main(["models", "promote", "tuned-1", *home]) == 0
    assert main(["models", "list", *home]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["* tuned-1", "  base"]
    assert main(["models", "remove", "tuned-1", *home]) == 1
    assert "promote another one first" in capsys.readouterr().err
    assert main(["models", "promote", "base", *home]) == 0
    assert main(["models", "remove", "tuned-1", *home]) == 0
    assert not (tmp_path / "models" / "tuned-1").exists()
    assert main(["models", "remove", "tuned-1", *home]) == 1
    assert main(["models", "promote", "../base", *home]) == 1
    assert main(["models"]) == 2
