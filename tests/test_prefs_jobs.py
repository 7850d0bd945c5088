"""A retraining as a process of its own: one at a time, paused, killed, taken up, cancelled."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from prefs import jobs as jobs_module
from prefs.at_work import Busy, at_work, who_works
from prefs.jobs import JobError, Jobs

FAKE = Path(__file__).parent / "fake_retrain.py"


MADE = []


def made(home, how="waits"):
    jobs = Jobs(home, lambda name: [sys.executable, str(FAKE), name, str(home), how])
    MADE.append(jobs)  # else a child that still works would be warned about
    return jobs


@pytest.fixture
def home(tmp_path):
    yield tmp_path
    for jobs in MADE:
        for child in jobs._children.values():
            child.kill()
            child.wait()
    MADE.clear()


def until(jobs, name, *states, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = jobs.job(name)
        if job.state in states:
            return job
        time.sleep(0.02)
    raise AssertionError(f"{name} is still {job.state}")


def pid_of(home, name):
    return json.loads((home / "runs" / name / "job.json").read_text())["pid"]


def test_a_run_works_and_ends_with_its_model(home):
    jobs = made(home, "")
    assert jobs.current() is None
    assert jobs.start("tuned-1").state == "running"
    job = until(jobs, "tuned-1", "done")
    assert [record["kind"] for record in job.records if record["kind"] != "drawing"] == [
        "reward", "round", "moment", "round", "moment",
    ]  # fmt: skip
    assert jobs.current() == job


def test_a_second_start_is_refused_with_the_name_of_the_first(home):
    jobs = made(home)
    jobs.start("tuned-1")
    with pytest.raises(JobError, match="tuned-1 is being trained"):
        made(home).start("tuned-2")  # also by another process of the app
    assert not (home / "runs" / "tuned-2").exists()


def test_a_run_outlives_the_app_and_is_found_again(home):
    made(home).start("tuned-1")
    again = made(home)
    assert again.current().state == "running"
    (home / "go").touch()
    assert until(again, "tuned-1", "done").name == "tuned-1"


def test_pause_stops_the_work_and_go_on_goes_on(home):
    jobs = made(home)
    jobs.start("tuned-1")
    assert jobs.pause("tuned-1").state == "paused"
    (home / "go").touch()
    time.sleep(0.3)
    assert jobs.job("tuned-1").state == "paused"
    with pytest.raises(JobError, match="not at work"):
        jobs.pause("tuned-1")
    assert jobs.take_up("tuned-1").state == "running"
    until(jobs, "tuned-1", "done")


def test_a_killed_run_is_cut_off_and_can_be_taken_up(home):
    jobs = made(home)
    jobs.start("tuned-1")
    os.kill(pid_of(home, "tuned-1"), signal.SIGKILL)
    assert until(jobs, "tuned-1", "interrupted").fault == ""
    (home / "go").touch()
    jobs.take_up("tuned-1")
    until(jobs, "tuned-1", "done")
    with pytest.raises(JobError, match="nothing to take up"):
        jobs.take_up("tuned-1")


def test_cancel_ends_a_run_for_this_time(home):
    jobs = made(home)
    jobs.start("tuned-1")
    pid = pid_of(home, "tuned-1")
    assert jobs.cancel("tuned-1").state == "cancelled"
    assert not psutil.pid_exists(pid)
    with pytest.raises(JobError, match="not at work"):
        jobs.cancel("tuned-1")
    assert jobs.start("tuned-2").state == "running"


def test_a_run_that_fails_says_why(home):
    jobs = made(home, "fails")
    jobs.start("tuned-1")
    job = until(jobs, "tuned-1", "failed")
    assert job.fault == "all votes are ties: nothing says which tunes are better"


def test_another_program_with_the_same_number_is_not_taken_for_the_run(home):
    jobs = made(home)
    jobs.start("tuned-1")
    jobs.cancel("tuned-1")
    place = home / "runs" / "tuned-1" / "job.json"
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        place.write_text(json.dumps({"pid": stranger.pid, "created": 1.0}))
        assert jobs.job("tuned-1").state == "interrupted"
        with pytest.raises(JobError):
            jobs.cancel("tuned-1")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_without_room_nothing_is_begun(home, monkeypatch):
    monkeypatch.setattr(jobs_module, "ROOM_BYTES", shutil.disk_usage(home).total)
    with pytest.raises(JobError, match="make room first"):
        made(home).start("tuned-1")
    monkeypatch.setattr(jobs_module, "ROOM_BYTES", 0)
    monkeypatch.setattr(jobs_module, "MEMORY_BYTES", psutil.virtual_memory().total)
    with pytest.raises(JobError, match="memory"):
        made(home).start("tuned-1")
    assert list((home / "runs").glob("*/")) == []


def test_a_name_that_no_run_has_is_refused(home):
    with pytest.raises(JobError, match="no retraining named"):
        made(home).job("nothing")


def test_a_run_is_taken_up_with_the_words_that_it_was_begun_with(home):
    jobs = made(home)
    jobs.start("tuned-1", ["--method", "best-of-n"])
    os.kill(pid_of(home, "tuned-1"), signal.SIGKILL)
    until(jobs, "tuned-1", "interrupted")
    (home / "runs" / "tuned-1" / "words.json").unlink(missing_ok=True)
    (home / "go").touch()
    made(home).take_up("tuned-1")
    until(jobs, "tuned-1", "done")
    words = json.loads((home / "runs" / "tuned-1" / "words.json").read_text())
    assert words == ["--method", "best-of-n"]
    assert (home / "runs" / "tuned-1" / "output.txt").read_text().count("--- begun") == 2


def test_a_run_that_ended_with_the_machine_goes_on_with_the_app(home):
    jobs = made(home)
    assert jobs.take_up_cut_off() is None
    jobs.start("tuned-1")
    assert jobs.take_up_cut_off() is None, "it is at work"
    os.kill(pid_of(home, "tuned-1"), signal.SIGKILL)
    until(jobs, "tuned-1", "interrupted")
    left = home / "models" / ".tuned-1-half"
    left.mkdir(parents=True)
    (home / "go").touch()
    assert made(home).take_up_cut_off().name == "tuned-1"
    until(jobs, "tuned-1", "done")
    assert not left.exists(), "a model that was being written when it was killed"


def test_a_run_that_was_paused_or_cancelled_does_not_go_on_by_itself(home):
    jobs = made(home)
    jobs.start("tuned-1")
    jobs.pause("tuned-1")
    os.kill(pid_of(home, "tuned-1"), signal.SIGKILL)
    until(jobs, "tuned-1", "interrupted")
    assert jobs.take_up_cut_off() is None
    jobs.take_up("tuned-1")
    jobs.cancel("tuned-1")
    assert jobs.take_up_cut_off() is None


def test_a_run_that_stumbles_over_itself_has_failed_and_says_where_to_look(home):
    jobs = made(home, "crashes")
    jobs.start("tuned-1")
    fault = until(jobs, "tuned-1", "failed").fault
    assert "ValueError: a fault of its own" in fault and "output.txt" in fault


def test_a_run_in_a_terminal_and_one_of_the_page_know_of_each_other(home):
    assert who_works(home) is None
    with at_work(home, "mine"):
        assert who_works(home) == "mine"
        with pytest.raises(JobError, match="mine is being trained"):
            made(home).start("tuned-1")
        with pytest.raises(Busy, match="mine is being trained"), at_work(home, "other"):
            pass
    assert who_works(home) is None
    jobs_module.register_this_process(home, "mine", ["--seed", "3"])
    job = made(home).job("mine")
    assert job.state == "running" and jobs_module.known_process(home, "mine").words == (
        "--seed",
        "3",
    )
