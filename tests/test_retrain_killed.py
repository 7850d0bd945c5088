"""The child that retrains is killed at random moments; taken up again, it ends the same."""

import json
import os
import random
import time

import pytest
from test_prefs_retrain import voted_home

from abc_tools import decode_bytes, parse_tune, split_tunes
from musicgen.checkpoint import load_checkpoint
from musicgen.corpus import BOOKS, music21_folder, plain_text
from prefs.jobs import Jobs
from ui.retrain import retrain_command

KILLS = 6
OPTIONS = ("--pool", "112", "--method", "best-of-n")


def ended(jobs, name, seconds):
    """Waits for the end of a run, or for `seconds`; its state then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (job := jobs.job(name)).state != "running":
            return job
        time.sleep(0.05)
    return jobs.job(name)


@pytest.mark.long
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the same sums in the same order
    book = next(book for book in BOOKS if book.name == "oneill1850")
    path = sorted(music21_folder().glob(book.files))[0]
    parts = split_tunes(decode_bytes(path.read_bytes()))[:80]
    voted_home(tmp_path, [plain_text(parse_tune(part), "reel") for part in parts], 40)
    jobs = Jobs(tmp_path, retrain_command(tmp_path, *OPTIONS))

    start = time.monotonic()
    jobs.start("whole")
    assert ended(jobs, "whole", 500).state == "done", jobs.job("whole")
    lasted = time.monotonic() - start

    rng = random.Random(4)
    jobs.start("killed")
    for _ in range(KILLS):
        if ended(jobs, "killed", rng.uniform(0.05, 0.6) * lasted).state != "running":
            break
        process = json.loads((tmp_path / "runs" / "killed" / "job.json").read_text())
        os.kill(process["pid"], 9)
        assert ended(jobs, "killed", 20).state == "interrupted"
        assert not (tmp_path / "models" / "killed").exists()
        jobs.take_up("killed")
    job = ended(jobs, "killed", 500)
    assert job.state == "done", job
    for child in jobs._children.values():
        assert child.wait(30) == 0

    whole, killed = (
        json.loads((tmp_path / "runs" / name / "report.json").read_text())
        for name in ("whole", "killed")
    )
    assert {**killed, "model": ""} == {**whole, "model": ""}
    weights = [load_checkpoint(tmp_path / "models" / name) for name in ("whole", "killed")]
    for one, other in zip(*(found.model.parameters() for found in weights), strict=True):
        assert one.equal(other)
