"""`musicgen retrain`: votes -> a tuned model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

import tyro

from ui.home import default_home

_OF_THIS_CALL = ("name", "home", "resume", "json_log")  # not of the run


@dataclass(frozen=True)
class RetrainCommand:
    """Learn from the votes: a reward model, then a tuned model of that name."""

    name: str  # of the new model, saved in HOME/models
    method: Literal["expert", "best-of-n", "ppo", "rloo", "dpo"] = "expert"  # prefs/optimise.py
    model: str = "base"  # the model to start from
    pool: int = 1_536  # tunes drawn a round; more is slower and a little better
    seed: int = 0
    resume: bool = False  # take up a run of that name that was cut off
    json_log: Path | None = None  # write the same records to this file, one a line
    home: Path = field(default_factory=default_home)


def retrain(args: Sequence[str]) -> int:
    options = tyro.cli(RetrainCommand, prog="musicgen retrain", args=args)
    from prefs.at_work import at_work

    options.home.mkdir(parents=True, exist_ok=True)
    with at_work(options.home, options.name):
        return _retrain(options)


def run_words(options: RetrainCommand) -> list[str]:
    """The options that the same run is taken up with, as words of the command."""
    words = []
    for found in fields(options):
        value = getattr(options, found.name)
        if found.name in _OF_THIS_CALL or value is None or value == found.default:
            continue
        flag = found.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words


def _retrain(options: RetrainCommand) -> int:
    from musicgen.checkpoint import find_model, load_checkpoint
    from prefs.database import database_url
    from prefs.event_files import EventFiles
    from prefs.jobs import register_this_process
    from prefs.retrain import RetrainError, RetrainOptions, check_start
    from prefs.retrain import retrain as steps
    from prefs.store import open_store
    from prefs.training_votes import training_votes

    store = open_store(database_url(options.home))
    try:
        votes = training_votes(store)
    finally:
        store.close()
    wanted = RetrainOptions(options.name, options.home, options.method, options.pool, options.seed)
    begun = (options.home / "runs" / options.name / "options.json").is_file()
    if begun and not options.resume:
        raise RetrainError(
            f"a run {options.name!r} was begun and not finished: add --resume to take it up, or "
            "choose another --name"
        )
    if not begun:
        check_start(wanted, votes)
    base = load_checkpoint(find_model(options.model, options.home))
    register_this_process(options.home, options.name, run_words(options))
    lines = []
    events = EventFiles(options.home / "runs" / options.name)
    for event in steps(base, votes, wanted):
        print(event.line(), flush=True)
        lines.append(json.dumps(asdict(event)))
        events.write(asdict(event))
        if options.json_log is not None:
            options.json_log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    events.close()
    print(f"written to {options.home / 'models' / options.name}")
    return 0
