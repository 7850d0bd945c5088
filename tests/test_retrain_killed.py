"""The child that retrains is killed at random moments; taken up again, it ends the same."""

import json
import os
import random
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from fake_pairs import BookPairs
from fake_source import BookSource
from served_app import served
from test_prefs_retrain import printed_tunes, voted_home

from musicgen.checkpoint import check_folder, load_checkpoint
from prefs.jobs import Jobs
from ui.app import make_desk, make_jukebox
from ui.retrain import Workshop, retrain_command

pytestmark = pytest.mark.long

KILLS = 20
OPTIONS = ("--pool", "112", "--method", "best-of-n")
TOLERANCE = 1e-6
MEDIAN_SECONDS = 0.150


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with 40 votes of a simulated rater."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the same sums in the same order
    voted_home(tmp_path, printed_tunes(), 40)
    return tmp_path


def ended(jobs, name, seconds):
    """Waits for the end of a run, or for `seconds`; its state then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (job := jobs.job(name)).state != "running":
            return job
        time.sleep(0.05)
    return jobs.job(name)


def numbers(found, path=""):
    """Every number in a report by its path."""
    if isinstance(found, int | float):
        return {path: float(found)}
    parts = list(found.items()) if isinstance(found, dict) else []
    parts += list(enumerate(found)) if isinstance(found, list) else []
    inside = [numbers(part, f"{path}/{name}") for name, part in parts]
    return {name: number for each in inside for name, number in each.items()}


def assert_ends_alike(home: Path, one: str, other: str):
    reports = [
        json.loads((home / "runs" / name / "report.json").read_text()) for name in (one, other)
    ]
    first, second = map(numbers, reports)
    assert first == pytest.approx(second, abs=TOLERANCE)
    check_folder(home / "models" / other)
    weights = [load_checkpoint(home / "models" / name) for name in (one, other)]
    for mine, theirs in zip(*(found.model.parameters() for found in weights), strict=True):
        assert np.allclose(mine.detach(), theirs.detach(), atol=1e-4)


def test_runs_that_are_killed_again_and_again_end_as_one_that_is_not(home):
    jobs = Jobs(home, retrain_command(home, *OPTIONS))
    start = time.monotonic()
    jobs.start("whole")
    assert ended(jobs, "whole", 1200).state == "done", jobs.job("whole")
    lasted = time.monotonic() - start

    rng = random.Random(4)
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        name = f"killed-{number}"
        jobs.start(name)
        while ended(jobs, name, rng.uniform(0.02, 0.98) * lasted).state == "running":
            if kills == KILLS:
                continue
            process = json.loads((home / "runs" / name / "job.json").read_text())
            os.kill(process["pid"], 9)
            kills += 1
            assert ended(jobs, name, 20).state in ("interrupted", "done")
            assert (home / "models" / name).exists() == (jobs.job(name).state == "done")
            if jobs.job(name).state == "interrupted":
                jobs.take_up(name)
        assert jobs.job(name).state == "done", jobs.job(name)
        assert_ends_alike(home, "whole", name)
    for child in jobs._children.values():
        child.wait(30)
    left = [path.name for path in (home / "models").iterdir() if path.name.startswith(".")]
    assert left == [], "no model half written"


def test_the_page_answers_in_time_while_a_model_is_trained(home, capsys):
    jukebox = make_jukebox(home, BookSource())
    desk = make_desk(home, BookPairs(), jukebox.playback)
    jobs = Jobs(home, retrain_command(home, *OPTIONS))
    waits = {"/api/retrain": [], "/retrain/": []}
    with served(home, jukebox, desk, Workshop(desk.store, jobs, home)) as url:
        jobs.start("tuned-1")
        for _ in range(600):
            if any(record["kind"] == "drawing" for record in jobs.job("tuned-1").records):
                break
            time.sleep(0.1)
        with httpx.Client(base_url=url) as client:
            for _ in range(60):
                for address, seconds in waits.items():
                    start = time.perf_counter()
                    assert client.get(address).status_code == 200
                    seconds.append(time.perf_counter() - start)
                time.sleep(0.1)
        assert jobs.job("tuned-1").state == "running", "it was over too soon to say anything"
        jobs.cancel("tuned-1")
    medians = {address: float(np.median(seconds)) for address, seconds in waits.items()}
    with capsys.disabled():
        print("".join(f"\n{name}: median {1000 * took:.0f} ms" for name, took in medians.items()))
    assert max(medians.values()) < MEDIAN_SECONDS
