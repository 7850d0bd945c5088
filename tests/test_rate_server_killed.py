"""Eight voters over HTTP while the server is killed again and again: no vote is lost or doubled."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException

import pytest
from fake_pairs import BookPairs

from prefs.database import database_url
from prefs.store import open_store

VOTERS, VOTES, KILLS = 8, 500, 10
# The rating routes alone over a real database file; what counts is what they acknowledge.
SERVER = """
import sys
import uvicorn
from pathlib import Path
from fastapi import FastAPI
from abc_tools.audio import AudioCache
from fake_pairs import BookPairs
from ui.app import make_desk
from ui.playback import Playback
from ui.rate import add_rate_refusals, rate_routes

home, port = Path(sys.argv[1]), int(sys.argv[2])
app = FastAPI()
add_rate_refusals(app)
app.include_router(rate_routes(make_desk(home, BookPairs(), Playback(AudioCache(home / "audio")))))
uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
"""


def post(address, body):
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def cast_all(address, rater, pairs, acknowledged):
    """Cast a vote on each pair as the page does: again with the same token until it is saved."""
    rng = random.Random(rater)
    for number, pair in enumerate(pairs):
        choice = rng.choice(["first", "second", "tie"])
        vote = {
            "pair_id": pair, "choice": choice, "rater": rater, "listened_ms": [4000, 4000],
            "token": f"{rater}-{number}",
        }  # fmt: skip
        while True:
            try:
                assert post(address, vote)["saved"]
                break
            except urllib.error.HTTPError as refused:
                assert refused.code >= 500, refused.read()
            except (OSError, HTTPException, ValueError):
                time.sleep(0.05)  # the server is gone, or went while it answered
        acknowledged[rater, pair] = choice


@pytest.mark.long
def test_every_acknowledged_vote_survives_ten_kills_of_the_server(tmp_path):
    store = open_store(database_url(tmp_path))
    source = BookPairs()
    pairs = []
    for _ in range(VOTES):
        new = source.learning_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        pairs.append(new.pair.id)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/api/rate/votes"

    def start():
        tests = os.path.dirname(__file__)
        environment = {**os.environ, "PYTHONPATH": f"{tests}:{os.path.dirname(tests)}"}
        words = [sys.executable, "-c", SERVER, str(tmp_path), str(port)]
        return subprocess.Popen(words, env=environment)

    acknowledged = {}
    raters = [f"rater{number}" for number in range(VOTERS)]
    voters = [
        threading.Thread(target=cast_all, args=(address, rater, pairs, acknowledged), daemon=True)
        for rater in raters
    ]
    server = start()
    try:
        for voter in voters:
            voter.start()
        for kill in range(KILLS):
            goal = VOTERS * VOTES * (kill + 1) // (KILLS + 2)
            while len(acknowledged) < goal:
                assert server.poll() is None
                time.sleep(0.01)
            server.send_signal(signal.SIGKILL)
            server.wait()
            # what was acknowledged is there at once, whatever was in flight
            said = dict(acknowledged)
            there = {(v.rater, v.pair_id): v.choice for v in store.votes()}
            assert said.items() <= there.items()
            server = start()
        for voter in voters:
            voter.join(timeout=300)
    finally:
        server.kill()
        server.wait()
    assert len(acknowledged) == VOTERS * VOTES
    cast = {(vote.rater, vote.pair_id): vote.choice for vote in store.votes()}
    assert cast == acknowledged
    assert len(store.history()) == VOTERS * VOTES, "a retried vote was stored twice"
    store.close()
