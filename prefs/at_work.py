"""At most one retraining in a home folder, whoever started it: a lock that ends with its process.

HOME/runs/at-work.lock    held by the process that retrains
HOME/runs/at-work.json    the name of its run
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PATIENCE_SECONDS = 2.0  # somebody may just be looking who works


class Busy(Exception):
    """Another run is at work; the message names it."""


@contextmanager
def at_work(home: Path, name: str) -> Iterator[None]:
    """Hold the only place there is while the run `name` works. Raises Busy."""
    runs = home / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    lock = FileLock(runs / "at-work.lock")
    try:
        lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        raise Busy(f"{_name(home)} is being trained: wait for it or cancel it") from None
    try:
        part = runs / "at-work.part"
        part.write_text(json.dumps({"name": name}) + "\n", encoding="utf-8")
        os.replace(part, runs / "at-work.json")
        yield
    finally:
        lock.release()


def who_works(home: Path, patience: float = 0) -> str | None:
    """Name of the run that is at work, paused ones included; None if there is none.

    A process that was killed holds the lock until its last thread is gone, a moment after it is
    called dead: whoever is about to start has `patience`, in seconds.
    """
    if not (home / "runs" / "at-work.lock").is_file():
        return None
    lock = FileLock(home / "runs" / "at-work.lock")
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        return _name(home)
    lock.release()
    return None


def _name(home: Path) -> str:
    try:
        found = json.loads((home / "runs" / "at-work.json").read_text(encoding="utf-8"))
        return str(found["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another model"
