"""A retraining as a process of its own, which outlives the app and can be paused and taken up.

    HOME/runs/NAME/job.json      the process, and what was asked for
    HOME/runs/NAME/output.txt    what it said, each time that it was begun or taken up
    HOME/runs/NAME/log.jsonl     what happened so far (run_folder.py)

A run is done when HOME/models/NAME is there. One job at a time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil
from filelock import FileLock

from prefs.at_work import PATIENCE_SECONDS, who_works

State = Literal["running", "paused", "interrupted", "failed", "cancelled", "done"]
# (name) -> the command that begins or takes up the run of that name
Command = Callable[[str], Sequence[str]]

ROOM_BYTES = 300_000_000  # on disk: rollouts, a reward model, a model
MEMORY_BYTES = 800_000_000
_NICE = 10
_BEGUN = "--- begun "  # stands in output.txt before what a process says
_FAULT = "musicgen: "  # how the command begins a fault
_NOT_RUNNING = (psutil.NoSuchProcess, psutil.ZombieProcess)


class JobError(Exception):
    """A job that cannot be started or changed; the message is one sentence for the user."""


@dataclass(frozen=True)
class Job:
    """A retraining that was started at some time."""

    name: str
    state: State
    records: tuple[dict[str, Any], ...]  # of its log, in order
    fault: str = ""  # why it failed, in words


@dataclass(frozen=True)
class _Process:
    """Enough to know a process again: numbers are used again, starting times are not."""

    pid: int
    created: float
    cancelled: bool = False
    held: bool = False  # by the user: nobody else takes it up again
    words: tuple[str, ...] = ()  # what the command was given besides the name


class Jobs:
    """The jobs of one home folder; `command` makes the words of the child process."""

    def __init__(self, home: Path, command: Command) -> None:
        self.home = home
        self._command = command
        # Children of this process must be waited for, or they stay as zombies.
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, words: Sequence[str] = ()) -> Job:
        """Begin a run; `words` follow those of the command, also when it is taken up.

        Raises JobError while another is at work, or without room for one.
        """
        (self.home / "runs").mkdir(parents=True, exist_ok=True)
        with FileLock(self.home / "runs" / "start.lock"):  # two presses at once
            busy = self.current()
            working = busy.name if busy and busy.state in ("running", "paused") else None
            if (working := working or who_works(self.home, PATIENCE_SECONDS)) is not None:
                raise JobError(f"{working} is being trained: wait for it or cancel it")
            self._check_room()
            return self._spawn(name, words)

    def take_up(self, name: str) -> Job:
        """Go on with a run that was paused or cut off."""
        job = self.job(name)
        known = self._known(name)
        if job.state == "paused":
            self._process(name).resume()
            self._note(name, held=False)
            return self._once_not(name, "paused")
        if job.state not in ("interrupted", "failed", "cancelled"):
            raise JobError(f"{name} is {job.state}: there is nothing to take up")
        return self.start(name, known.words if known else ())

    def take_up_cut_off(self) -> Job | None:
        """Go on with the last run if it ended with the machine and not by anybody's wish."""
        job = self.current()
        known = self._known(job.name) if job else None
        if job is None or known is None or known.held or job.state != "interrupted":
            return None
        return self.take_up(job.name)

    def pause(self, name: str) -> Job:
        """Stop its work where it is; it keeps its memory."""
        if self.job(name).state != "running":
            raise JobError(f"{name} is not at work")
        self._process(name).suspend()
        self._note(name, held=True)
        return self._once_not(name, "running")

    def cancel(self, name: str) -> Job:
        """End it; what it has drawn stays, and it can be taken up."""
        if self.job(name).state not in ("running", "paused"):
            raise JobError(f"{name} is not at work")
        process = self._process(name)
        process.kill()
        self._wait(name, process)
        self._note(name, cancelled=True)
        return self.job(name)

    def current(self) -> Job | None:
        """The job at work, or the one that was started last."""
        jobs = self.all()
        working = [job for job in jobs if job.state in ("running", "paused")]
        return next(iter(working or jobs), None)

    def all(self) -> list[Job]:
        """Every job, the one that was started last first."""
        found = []
        for place in (self.home / "runs").glob("*/job.json"):
            try:
                found.append((place.stat().st_mtime, place.parent.name))
            except OSError:
                continue
        return [self.job(name) for _, name in sorted(found, reverse=True)]

    def job(self, name: str) -> Job:
        """Raises JobError for a name that no job has."""
        known = self._known(name)
        if known is None:
            raise JobError(f"there is no retraining named {name!r}")
        records = tuple(self._records(name))
        if (self.home / "models" / name).is_dir():
            return Job(name, "done", records)
        process = self._alive(name, known)
        if process is not None:
            paused = process.status() == psutil.STATUS_STOPPED
            return Job(name, "paused" if paused else "running", records)
        if known.cancelled:
            return Job(name, "cancelled", records)
        fault = self._last_words(name)
        return Job(name, "failed" if fault else "interrupted", records, fault)

    # --- the process ---

    def _spawn(self, name: str, words: Sequence[str]) -> Job:
        if (before := self._children.pop(name, None)) is not None:
            before.wait()  # it is dead, or this would not be the next one
        folder = self.home / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log.jsonl").unlink(missing_ok=True)
        for left in (self.home / "models").glob(f".{name}-*"):
            shutil.rmtree(left, ignore_errors=True)  # a model that was being written
        with open(folder / "output.txt", "ab") as output:
            output.write(f"{_BEGUN}{time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
            output.flush()
            child = subprocess.Popen(
                [*self._command(name), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl+C in the app's terminal is not meant for it
            )
        self._children[name] = child
        process = psutil.Process(child.pid)
        process.nice(_NICE)
        remember(self.home, name, _Process(child.pid, process.create_time(), words=tuple(words)))
        return self.job(name)

    def _once_not(self, name: str, state: State) -> Job:
        """The job when the system has done what it was told, which takes it a moment."""
        for _ in range(100):
            if (job := self.job(name)).state != state:
                return job
            time.sleep(0.01)
        return job

    def _alive(self, name: str, known: _Process) -> psutil.Process | None:
        child = self._children.get(name)
        if child is not None and child.poll() is not None:
            return None
        try:
            process = psutil.Process(known.pid)
            same = abs(process.create_time() - known.created) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except _NOT_RUNNING:
            return None

    def _process(self, name: str) -> psutil.Process:
        known = self._known(name)
        process = self._alive(name, known) if known else None
        if process is None:
            raise JobError(f"{name} is not at work any more")
        return process

    def _wait(self, name: str, process: psutil.Process) -> None:
        child = self._children.get(name)
        if child is not None:
            child.wait()
        else:
            psutil.wait_procs([process], timeout=10)

    def _check_room(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.home).free < ROOM_BYTES:
            raise JobError(
                f"less than {ROOM_BYTES // 1_000_000} MB are free at {self.home}: make room first"
            )
        if psutil.virtual_memory().available < MEMORY_BYTES:
            raise JobError(
                f"less than {MEMORY_BYTES // 1_000_000} MB of memory are free: close some programs"
            )

    # --- the files ---

    def _known(self, name: str) -> _Process | None:
        return known_process(self.home, name)

    def _note(self, name: str, **changes: Any) -> None:
        known = self._known(name)
        if known is not None:
            remember(self.home, name, replace(known, **changes))

    def _records(self, name: str) -> list[dict[str, Any]]:
        try:
            text = (self.home / "runs" / name / "log.jsonl").read_text(encoding="utf-8")
        except OSError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def _last_words(self, name: str) -> str:
        """What the process said in the end, if that was an error."""
        place = self.home / "runs" / name / "output.txt"
        try:
            output = place.read_text("utf-8", "replace")
        except OSError:
            return ""
        last = (output.strip().splitlines() or [""])[-1]
        if last.startswith(_FAULT):
            return last.removeprefix(_FAULT)
        if re.match(r"[A-Za-z_.]*(Error|Exception)\b", last):
            return f"it stumbled over a fault of its own ({last[:120]}); {place} says where"
        return ""


def register_this_process(home: Path, name: str, words: Sequence[str]) -> None:
    """Let the page see and steer a run that was begun in a terminal, in this process."""
    known = known_process(home, name)
    if known is None or known.pid != os.getpid():
        own = psutil.Process()
        (home / "runs" / name).mkdir(parents=True, exist_ok=True)
        here = _Process(own.pid, own.create_time(), held=True, words=tuple(words))
        remember(home, name, here)


def forget(home: Path, name: str) -> None:
    """No job has this name any more; what the run wrote stays."""
    (home / "runs" / name / "job.json").unlink(missing_ok=True)


def known_process(home: Path, name: str) -> _Process | None:
    """What job.json says; None without one that can be read."""
    try:
        found = json.loads((home / "runs" / name / "job.json").read_text(encoding="utf-8"))
        return _Process(**{**found, "words": tuple(found.get("words", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def remember(home: Path, name: str, process: _Process) -> None:
    """Write job.json, whole or not at all."""
    place = home / "runs" / name / "job.json"
    part = place.with_suffix(".part")
    part.write_text(json.dumps(asdict(process)), encoding="utf-8")
    os.replace(part, place)
