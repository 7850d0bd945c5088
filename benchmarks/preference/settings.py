"""The tables of a sweep: which runs each compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.preference.other_arms import OTHER_ARMS, OtherArm
from benchmarks.preference.rewards import Kind
from prefs.guards import Limits
from prefs.optimise import PolicyOptions, TuneError, TuneOptions

Arm = Literal["usual", "founding"] | OtherArm


@dataclass(frozen=True)
class Setting:
    """One run: votes of a taste -> reward model -> an arm -> gold win rate."""

    name: str  # what the table compares
    taste: str = ""
    seed: int = 0
    votes: int = 600
    sittings: int = 1  # in each, pairs are drawn from the model that the votes so far make
    pairs: Literal["same opening", "unrelated"] = "same opening"
    noisy_share: float = 0.0  # of the votes, cast by the rater who does not listen
    reward: Kind = "usual"
    arm: Arm = "usual"  # usual: the method of `tune`
    tune: TuneOptions = TuneOptions()  # noqa: RUF009 - it is frozen

    @property
    def key(self) -> str:
        return f"{self.name} {self.taste} {self.seed}"


def settings(
    table: str,
    tastes: Sequence[str],
    seeds: int,
    *,
    votes: int,
    pool: int,
    policy: PolicyOptions,
) -> Iterator[Setting]:
    """The runs of a table, the default first. Raises TuneError for a table nobody knows."""
    for seed in range(seeds):
        default = Setting("", votes=votes, tune=TuneOptions(pool=pool, seed=seed, policy=policy))
        tables = _tables(default)
        if table not in tables:
            raise TuneError(f"no table {table!r}: there are {', '.join(tables)}")
        for taste in tastes:
            for name, setting in tables[table].items():
                yield replace(setting, name=name, taste=taste, seed=seed)


def _tables(default: Setting) -> dict[str, Mapping[str, Setting]]:
    def how(**changes: object) -> Setting:
        return replace(default, tune=replace(default.tune, **changes))  # type: ignore[arg-type]

    unlimited = Limits(1e9, 0, 0, 0, (0, 1e9), 0)
    return {
        "arms": {
            "expert": default,
            "best-of-n": how(method="best-of-n"),
            "rloo": how(method="rloo"),
            "ppo": how(method="ppo"),
            "dpo": how(method="dpo"),
            "regression": replace(default, reward="regression"),
            **{arm: replace(default, arm=arm) for arm in OTHER_ARMS},
            "founding": replace(default, arm="founding"),
        },
        "expert": {
            "2 rounds, 1 of 8": default,
            "3 rounds, 1 of 8": how(rounds=3),
            "2 rounds, 1 of 4": how(keep=0.25),
            "2 rounds, 1 of 16": how(keep=0.0625),
            "2 rounds, 1 of 8, rate doubled": how(lr=4e-4),
            "2 rounds, 1 of 8, rate fourfold": how(lr=8e-4),
            "2 rounds, 1 of 8, 6 passes": how(passes=6),
        },
        "votes": {
            f"{count} votes": replace(default, votes=count)
            for count in (100, 200, 400, 600, 1_000, 2_000)
        },
        "sittings": {
            "all votes at once": default,
            "a third each time": replace(default, sittings=3),
        },
        "pairs": {
            "same opening": default,
            "unrelated": replace(default, pairs="unrelated"),
        },
        "reward": {
            "statistics alone": replace(default, reward="statistics"),
            "activations always": replace(default, reward="activations"),
            "activations where they help": default,
            "and the ladder where it helps": replace(default, reward="ladder"),
        },
        "noise": {
            "own votes": default,
            "three of ten votes at random": replace(default, noisy_share=0.3),
        },
        "guards": {
            "guards": how(rounds=6),
            "no guards": how(rounds=6, limits=unlimited),
        },
    }
