"""`musicgen runs`: a retraining in the background, as the Retrain page begins it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ui.home import default_home

if TYPE_CHECKING:
    from prefs.jobs import Jobs


@dataclass(frozen=True)
class ListOptions:
    """Which retrainings there were, the last one first, and how far they are."""

    json: bool = False
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class StartOptions:
    """Begin a retraining that goes on when this terminal is closed.

    Options of `musicgen retrain` follow after --: musicgen runs start -- --method best-of-n
    """

    name: str = ""  # default: tuned-1, tuned-2, ...
    home: Path = field(default_factory=default_home)
    words: Annotated[tuple[str, ...], tyro.conf.Positional] = ()


@dataclass(frozen=True)
class OneRun:
    """The retraining of that name; the last one if none is given."""

    name: Annotated[str, tyro.conf.Positional] = ""
    home: Path = field(default_factory=default_home)


def runs(args: Sequence[str]) -> int:
    """Runs `musicgen runs ...`; raises JobError or OSError."""
    if not args or args[0] not in COMMANDS:
        print(f"usage: musicgen runs {'|'.join(COMMANDS)} [--help]", file=sys.stderr)
        return 0 if args and args[0] in ("-h", "--help") else 2
    return COMMANDS[args[0]](args[1:])


def list_runs(args: Sequence[str]) -> int:
    options = tyro.cli(ListOptions, prog="musicgen runs list", args=args)
    from ui.retrain_state import job_state

    states = [job_state(job) for job in _jobs(options.home).all()]
    if options.json:
        print(json.dumps(states, indent=2))
    else:
        print("\n".join(map(_line, states)) or "no retraining was begun yet")
    return 0


def start(args: Sequence[str]) -> int:
    options = tyro.cli(StartOptions, prog="musicgen runs start", args=args)
    from ui.retrain import next_name

    job = _jobs(options.home).start(options.name or next_name(options.home), options.words)
    print(f"{job.name} is at work; `musicgen runs list` says how far it is")
    return 0


def pause(args: Sequence[str]) -> int:
    return _change("pause", args)


def go_on(args: Sequence[str]) -> int:
    return _change("go-on", args)


def cancel(args: Sequence[str]) -> int:
    return _change("cancel", args)


def report(args: Sequence[str]) -> int:
    options = tyro.cli(OneRun, prog="musicgen runs report", args=args)
    from prefs.history import run_report
    from prefs.jobs import JobError

    name = _name(options)
    found = run_report(options.home, name)
    if not found:
        raise JobError(f"{name} has no report: a run writes it at its end")
    print(json.dumps(found, indent=2))
    return 0


def _change(action: str, args: Sequence[str]) -> int:
    options = tyro.cli(OneRun, prog=f"musicgen runs {action}", args=args)
    jobs = _jobs(options.home)
    change = {"pause": jobs.pause, "go-on": jobs.take_up, "cancel": jobs.cancel}[action]
    job = change(_name(options))
    print(f"{job.name} is {job.state}")
    return 0


def _name(options: OneRun) -> str:
    from prefs.jobs import JobError

    if options.name:
        return options.name
    current = _jobs(options.home).current()
    if current is None:
        raise JobError("no retraining was begun yet: musicgen runs start")
    return current.name


def _jobs(home: Path) -> Jobs:
    from prefs.jobs import Jobs
    from ui.retrain import retrain_command

    return Jobs(home, retrain_command(home))


def _line(state: dict[str, Any]) -> str:
    said = state["stage"] if state["state"] in ("running", "paused") else state["fault"]
    return f"{state['name']:16} {state['state']:12} {state['share']:4.0%} {said}".rstrip()


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": list_runs,
    "start": start,
    "pause": pause,
    "go-on": go_on,
    "cancel": cancel,
    "report": report,
}
