"""The routes of the Retrain page, in-process, over real folders and a child process."""

import doctest
import gc
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
from fake_pairs import BookPairs
from fastapi import FastAPI
from fastapi.testclient import TestClient

from abc_tools.audio import AudioCache
from musicgen.checkpoint import BUNDLED
from musicgen.promoted import promoted_model
from prefs.database import database_url
from prefs.guards import Limits
from prefs.jobs import Jobs, known_process
from prefs.records import Vote
from prefs.store import open_store
from prefs.tuning import TuneOptions
from ui import retrain
from ui.cli import main
from ui.commands_retrain import RetrainCommand
from ui.library import Library
from ui.listen import Jukebox, add_refusals
from ui.playback import Playback
from ui.retrain import Workshop, add_retrain_refusals, retrain_command, retrain_routes
from ui.retrain_models import model_routes
from ui.retrain_state import GUARDS
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
    assert capsys.readouterr().out.splitlines()[1:] == ["* tuned-1", "  base", "  ladder"]
    assert main(["models", "remove", "tuned-1", *home]) == 1
    assert "promote another one first" in capsys.readouterr().err
    assert main(["models", "promote", "ladder", *home]) == 0
    assert promoted_model(tmp_path) == "ladder", "a bundled model can be played too"
    assert main(["models", "promote", "base", *home]) == 0
    assert main(["models", "remove", "tuned-1", *home]) == 0
    assert not (tmp_path / "models" / "tuned-1").exists()
    assert main(["models", "remove", "tuned-1", *home]) == 1
    assert main(["models", "promote", "../base", *home]) == 1
    assert main(["models"]) == 2


def test_the_page_is_told_what_stands_on_it(client, store):
    add_votes(store, 46)
    new = BookPairs(("tuned-1", "base")).evaluation_pair()
    store.add_tunes([new.first, new.second])
    store.add_pairs([new.pair])
    store.cast(Vote(new.pair.id, "tie", "simulated"))
    votes = client.get("/api/retrain").json()["votes"]
    assert (votes["learning"], votes["total"], votes["since"]) == (46, 47, 46)
    client.post("/api/retrain/start")
    state = done(client)
    assert state["votes"]["since"] == 6 and state["votes"]["last_model"] == "tuned-1"
    trial = state["trial"]
    assert (trial["name"], trial["against"], trial["ties"]) == ("tuned-1", "base", 1)
    assert trial["verdict"] == "not yet known" and trial["decided"] is None
    curve = client.get("/api/retrain/teaches").json()
    assert curve["votes"][-1] == 46 and curve["line"]
    store.cast(Vote(new.pair.id, "skip", "another"))
    assert client.get("/api/retrain").json()["trial"]["votes"] == 1, "a skip says nothing"


def test_the_guards_on_the_page_are_those_that_stop_a_run():
    limits = asdict(Limits())
    for name, guard in GUARDS.items():
        assert limits[name] in guard.values() and len(guard) == 1


def test_the_command_draws_as_many_tunes_as_the_loop_without_it():
    assert (
        RetrainCommand.pool == TuneOptions.pool
    )  # written twice: the command starts without torch


def test_method_and_strength_reach_the_command(client, store, tmp_path):
    add_votes(store, 40)
    choices = client.get("/api/retrain/choices").json()
    assert choices["method"] in [each["name"] for each in choices["methods"]]
    assert "no method" in refusal(client.post("/api/retrain/start", json={"method": "luck"}), 409)
    wish = {"method": "best-of-n", "strength": "light"}
    assert client.post("/api/retrain/start", json=wish).status_code == 200
    done(client)
    known = known_process(tmp_path, "tuned-1")
    assert known.words == ("--method", "best-of-n", "--pool", "512")


def test_what_was_learned_can_be_heard_and_seen(client, store):
    add_votes(store, 40)
    client.post("/api/retrain/start")
    job = done(client)["job"]
    assert [moment["step"] for moment in job["moments"]] == [1, 2]
    moment = client.get("/api/retrain/tuned-1/moments/1").json()
    assert moment["base"]["model"] == "base" and moment["tuned"]["model"] == "tuned-1"
    assert moment["tuned"]["audio_url"].startswith(f"/api/tunes/{moment['tuned']['id']}/audio.")
    assert client.get("/api/retrain/tuned-1/moments/7").status_code == 404
    best, worst = client.get("/api/retrain/tuned-1/report").json()["tunes"]
    assert best["best_numbers"] == [1, 3, 6] and worst["which"] == "worst"
    start, end = best["best_bars"][1]
    assert best["tune"]["abc"][start:end].startswith("A2FA DAFA")


def test_a_model_is_kept_gone_back_from_and_carried_away(client, store, tmp_path):
    add_votes(store, 40)
    client.post("/api/retrain/start")
    done(client)
    assert client.post("/api/models/tuned-1/keep").json() == {"playing": "base"}
    state = client.get("/api/retrain").json()
    assert state["trial"]["decided"] == "kept" and state["models"][0]["fate"] == "kept"
    client.post("/api/models/tuned-1/promote")
    assert client.post("/api/models/back").json() == {"playing": "base"}
    file = client.get("/api/models/tuned-1/file.zip")
    assert file.headers["content-type"] == "application/zip"
    zip_type = {"content-type": "application/zip"}
    taken = client.post("/api/models/import?name=friend", content=file.content, headers=zip_type)
    assert taken.json() == {"name": "friend"}
    again = client.post("/api/models/import?name=friend", content=file.content, headers=zip_type)
    assert "There is a model" in refusal(again, 409)
    form = client.post("/api/models/import?name=x", content=file.content)
    assert "zip file" in refusal(form, 409), "no form of another site brings a model in"
    assert client.get("/api/models/base/file.zip").status_code == 404


def test_runs_in_the_background_from_the_terminal(store, tmp_path, capsys, monkeypatch):
    def fake(home, *more):
        return lambda name: [sys.executable, str(FAKE), name, str(home), "waits", *more]

    monkeypatch.setattr(retrain, "retrain_command", fake)
    home = ["--home", str(tmp_path)]
    assert main(["runs", "report", *home]) == 1
    assert "no retraining was begun yet" in capsys.readouterr().err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the child is meant to outlive us
        assert main(["runs", "start", *home, "--", "--method", "best-of-n"]) == 0
        assert main(["runs", "start", *home]) == 1
        gc.collect()
    assert "tuned-1 is being trained" in capsys.readouterr().err
    assert main(["runs", "pause", *home]) == 0
    assert main(["runs", "list", *home]) == 0
    assert "tuned-1          paused" in capsys.readouterr().out
    assert main(["runs", "go-on", "tuned-1", *home]) == 0
    assert main(["runs", "cancel", *home]) == 0
    assert main(["runs", "list", "--json", *home]) == 0
    assert capsys.readouterr().out.count('"state": "cancelled"') == 1


def test_retraining_after_a_promotion_uses_all_votes_and_starts_from_the_base(
    client, store, tmp_path, monkeypatch
):
    add_votes(store, 40)
    client.post("/api/retrain/start")
    done(client)
    client.post("/api/models/tuned-1/promote")
    source = BookPairs()
    for _ in range(10):  # pairs that the promoted model wrote
        new = source.pair("learning", ("tuned-1", "tuned-1"))
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        store.cast(Vote(new.pair.id, "second", "simulated"))

    begun = []

    def only_looks(base, votes, options):
        begun.append((base, len(votes)))
        return iter(())

    monkeypatch.setattr("prefs.retrain.retrain", only_looks)
    words = list(retrain_command(tmp_path)("tuned-2"))
    assert main(words[words.index("retrain") :]) == 0
    ((base, votes),) = begun
    assert votes == 50, "all learning votes ever cast"
    assert base.folder == BUNDLED / "base", "not the promoted model"
