"""`musicgen rank` and `musicgen compare`: what the votes say of tunes and of models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from ui.home import default_home


@dataclass(frozen=True)
class RankOptions:
    """Rank models, or tunes, by their votes (Bradley-Terry)."""

    what: Literal["models", "tunes"] = "models"  # models: evaluation pairs only
    json: bool = False
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class CompareOptions:
    """Count the blind votes between two models."""

    a: tyro.conf.Positional[str]  # the name that its pairs were made under
    b: tyro.conf.Positional[str]
    json: bool = False
    home: Path = field(default_factory=default_home)


def rank(args: Sequence[str]) -> int:
    """Runs `musicgen rank`; raises StoreError."""
    options = tyro.cli(RankOptions, prog="musicgen rank", args=args)
    from prefs.database import database_url
    from prefs.standings import standings
    from prefs.store import open_store

    options.home.mkdir(parents=True, exist_ok=True)
    store = open_store(database_url(options.home))
    try:
        ratings = standings(store, options.what)
    finally:
        store.close()
    if options.json:
        print(json.dumps([asdict(rating) for rating in ratings], indent=2))
    elif not ratings:
        print("No votes yet: cast some, or take some in with `musicgen votes import`.")
    else:
        for number, rating in enumerate(ratings, start=1):
            print(
                f"{number:3}  {rating.item!s:24} {rating.strength:+.2f} "
                f"({rating.low:+.2f} to {rating.high:+.2f})  {rating.votes} votes"
            )
    return 0


def compare(args: Sequence[str]) -> int:
    """Runs `musicgen compare`; raises StoreError."""
    options = tyro.cli(CompareOptions, prog="musicgen compare", args=args)
    from prefs.compare import compare as count
    from prefs.database import database_url
    from prefs.store import open_store

    options.home.mkdir(parents=True, exist_ok=True)
    store = open_store(database_url(options.home))
    try:
        found = count(store, options.a, options.b)
    finally:
        store.close()
    if options.json:
        print(json.dumps(found.json(), indent=2))
        return 0
    low, high = found.interval
    print(
        f"{found.a} against {found.b}: {found.wins} won, {found.losses} lost, {found.ties} equal; "
        f"win rate {found.win_rate:.1%} ({low:.1%} to {high:.1%})"
    )
    print(found.trial.line())
    if found.left_out:
        print(f"{len(found.left_out)} pairs do not count: {found.left_out[0]}.")
    if found.detectable is not None:
        print(f"{found.votes} votes find a win rate of {found.detectable:.1%} four times in five.")
    if found.gate_a is not None and found.gate_b is not None:
        print(
            f"First draws that pass the gate: {found.gate_a:.0%} and {found.gate_b:.0%}"
            + (
                f"; win rate if a faulty draw loses: {found.win_rate_with_faults:.1%}"
                if found.win_rate_with_faults is not None
                else ""
            )
        )
    return 0
