"""Eight client processes over HTTP while the server is killed again and again: no vote is lost."""

import os
import signal
import socket
import subprocess
import sys
import time

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


# A process that casts a vote on each pair as the page does: again with the same token until it is
# saved. It prints each vote once the server has acknowledged it.
VOTER = """
import json, random, sys, time, urllib.error, urllib.request
from http.client import HTTPException

address, rater, pairs = sys.argv[1], sys.argv[2], open(sys.argv[3]).read().split()
rng = random.Random(rater)
for number, pair in enumerate(pairs):
    choice = rng.choice(["first", "second", "tie"])
    vote = {"pair_id": pair, "choice": choice, "rater": rater, "listened_ms": [4000, 4000],
            "token": f"{rater}-{number}"}
    headers = {"Content-Type": "application/json"}
    while True:
        request = urllib.request.Request(address, json.dumps(vote).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert json.load(answer)["saved"]
            break
        except urllib.error.HTTPError as refused:
            assert refused.code >= 500, refused.read()
        except (OSError, HTTPException, ValueError):
            time.sleep(0.05)  # the server is gone, or went while it answered
    print(pair, choice, flush=True)
"""


def acknowledged(folder):
    """What the voters were told is saved: (rater, pair) -> choice."""
    found = {}
    for file in folder.glob("*.said"):
        whole = file.read_text().rpartition("\n")[0]  # the last line may be half written
        for line in whole.splitlines():
            pair, choice = line.split()
            found[file.stem, pair] = choice
    return found


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

    named = tmp_path / "pairs"
    named.write_text("\n".join(pairs))
    voters = []
    server = start()
    try:
        for number in range(VOTERS):
            rater = f"rater{number}"
            words = [sys.executable, "-c", VOTER, address, rater, str(named)]
            with open(tmp_path / f"{rater}.said", "w") as said:
                voters.append(subprocess.Popen(words, stdout=said))
        for kill in range(KILLS):
            goal = VOTERS * VOTES * (kill + 1) // (KILLS + 2)
            while len(acknowledged(tmp_path)) < goal:
                assert server.poll() is None and all(not voter.poll() for voter in voters)
                time.sleep(0.05)
            server.send_signal(signal.SIGKILL)
            server.wait()
            # what was acknowledged is there at once, whatever was in flight
            there = {(v.rater, v.pair_id): v.choice for v in store.votes()}
            assert acknowledged(tmp_path).items() <= there.items()
            server = start()
        assert [voter.wait(timeout=600) for voter in voters] == [0] * VOTERS
    finally:
        for process in (server, *voters):
            process.kill()
            process.wait()
    said = acknowledged(tmp_path)
    assert len(said) == VOTERS * VOTES
    assert {(vote.rater, vote.pair_id): vote.choice for vote in store.votes()} == said
    assert len(store.history()) == VOTERS * VOTES, "a retried vote was stored twice"
    store.close()
