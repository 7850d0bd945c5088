"""Which arm and which constants: runs on development tastes, a line of results each.

    python -m benchmarks.preference.sweep --model runs/tiny/model --table arms

Every run that is done is a line of benchmarks/preference/results/TABLE.jsonl and is not done again;
tunes that were drawn are kept in --work. `--report` prints the table of what is there.
"""

from __future__ import annotations

import copy
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.preference.final import FinalOptions, Material, prepare
from benchmarks.preference.protocol import (
    cast_votes,
    evaluation_tunes,
    gold,
    votes_from_files,
)
from benchmarks.preference.reward_accuracy import agreement_with
from musicgen.sample import TuneSampler
from prefs.guards import Limits
from prefs.optimise import TuneError, TuneOptions, TuneStep, tune
from prefs.raters import DEVELOPMENT
from prefs.reward_model import Features, RewardModel, fit_reward_model
from prefs.rollout import Rollouts
from prefs.run_folder import RunFolder

RESULTS = Path("benchmarks/preference/results")
EVALUATION_SEED = 31


@dataclass(frozen=True)
class Setting:
    """One run: votes of a taste -> reward model -> an arm -> gold win rate."""

    name: str  # what the table compares
    taste: str
    seed: int = 0
    votes: int = 600
    noisy_share: float = 0.0  # of the votes, cast by the rater who does not listen
    tune: TuneOptions = TuneOptions()  # noqa: RUF009 - it is frozen

    @property
    def key(self) -> str:
        return f"{self.name} {self.taste} {self.seed}"


@dataclass(frozen=True)
class SweepOptions:
    """Run one table."""

    table: str = "arms"
    model: str = "base"
    tastes: tuple[str, ...] = DEVELOPMENT[:2]
    seeds: int = 1
    pool: int = 512
    pairs: int = 400  # evaluation pairs a run
    votes: int = 600
    corpus: Path = Path("data/corpus/train.jsonl")
    work: Path = Path("runs/preference-sweep")
    report: bool = False  # print what is there, run nothing


def table(options: SweepOptions) -> Iterator[Setting]:
    """The runs of a table, the default arm first. Raises TuneError for a table nobody knows."""
    for seed in range(options.seeds):
        for taste in options.tastes:
            for name, how in _variants(options, seed).items():
                votes = int(name.split()[0]) if options.table == "votes" else options.votes
                share = 0.3 if name == "three of ten votes at random" else 0.0
                yield Setting(name, taste, seed, votes, share, how)


def _variants(options: SweepOptions, seed: int) -> dict[str, TuneOptions]:
    default = TuneOptions(pool=options.pool, seed=seed)
    tables: dict[str, dict[str, TuneOptions]] = {
        "arms": {
            "expert": default,
            "best-of-n": replace(default, method="best-of-n"),
            "rloo": replace(default, method="rloo"),
            "ppo": replace(default, method="ppo"),
            "dpo": replace(default, method="dpo"),
        },
        "expert": {
            "2 rounds, 1 of 8": default,
            "3 rounds, 1 of 8": replace(default, rounds=3),
            "2 rounds, 1 of 4": replace(default, keep=0.25),
            "2 rounds, 1 of 16": replace(default, keep=0.0625),
            "2 rounds, 1 of 8, rate doubled": replace(default, lr=4e-4),
            "2 rounds, 1 of 8, rate fourfold": replace(default, lr=8e-4),
            "2 rounds, 1 of 8, 6 passes": replace(default, passes=6),
        },
        "votes": {f"{count} votes": default for count in (100, 300, 600, 1_200, 2_000)},
        "noise": {"own votes": default, "three of ten votes at random": default},
        "guards": {
            "guards": replace(default, rounds=6),
            "no guards": replace(default, rounds=6, limits=Limits(1e9, 0, 0, 0, (0, 1e9))),
        },
    }
    if options.table not in tables:
        raise TuneError(f"no table {options.table!r}: there are {', '.join(tables)}")
    return tables[options.table]


def run(setting: Setting, options: SweepOptions, material: Material) -> dict[str, Any]:
    """One row; draws what is not there yet."""
    rater = material.raters[setting.taste]
    place = options.work / "votes" / f"{setting.taste}.jsonl"
    votes_file = cast_votes(rater, material.pairs, place)
    votes = votes_from_files(material.pairs, votes_file, setting.votes)
    if setting.noisy_share:
        votes = _partly_random(votes, setting)
    base = material.base
    references = Features.of(base.model, base.tokenizer, material.templates)
    voted = Features.of(base.model, base.tokenizer, votes.tunes)
    reward = fit_reward_model(voted, votes.comparisons, references)
    model = copy.deepcopy(base.model)
    folder = RunFolder(options.work / "base", {"model": options.model, "seed": 0})
    steps = list(
        tune(model, base.tokenizer, _score(reward, material), setting.tune, folder.roll_out)
    )
    kept = [step for step in steps if not step.taken_back]
    drawn = evaluation_tunes(
        TuneSampler(model, base.tokenizer),
        material.templates,
        options.pairs,
        EVALUATION_SEED,
        options.work / "evaluation" / f"{options.table} {setting.key}.jsonl",
    )
    return {
        "key": setting.key,
        "name": setting.name,
        "taste": setting.taste,
        "seed": setting.seed,
        "votes": setting.votes,
        "model": options.model,
        "pool": options.pool,
        **gold(rater, drawn, material.evaluation).json(),
        "reward_accuracy": agreement_with(rater, reward, material.features, material.fresh),
        "taken_back": len(steps) - len(kept),
        "curve": [_point(step) for step in steps],
    }


def _point(step: TuneStep) -> dict[str, float]:
    """KL against reward after a round."""
    return {
        "kl": step.health.kl,
        "reward": step.reward,
        "variety_of_base": step.health.variety / step.base_health.variety,
        "gate": step.health.validity,
        "base_gate": step.base_health.validity,
    }


def _score(reward: RewardModel, material: Material) -> Any:
    base = material.base

    def score(rollouts: Rollouts) -> Any:
        features = Features.of(base.model, base.tokenizer, rollouts.tunes)
        return reward.rewards(features, rollouts.sound)

    return score


def _partly_random(votes: Any, setting: Setting) -> Any:
    """Some of the votes replaced by the rater's who does not listen."""
    rng = np.random.default_rng(setting.seed)
    outcome = votes.comparisons.outcome.copy()
    deaf = rng.random(len(outcome)) < setting.noisy_share
    outcome[deaf] = rng.integers(0, 2, int(deaf.sum()))
    return replace(votes, comparisons=replace(votes.comparisons, outcome=outcome))


def report(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each name, means over tastes and seeds."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["name"]].append(row)
    lines = [
        f"{'':34}{'runs':>5} {'noiseless':>10} {'noisy':>7} {'accuracy':>9} {'KL':>6} "
        f"{'variety':>8}"
    ]
    for name, found in groups.items():
        last = [row["curve"][-1] if row["curve"] else {} for row in found]
        lines.append(
            f"{name:34}{len(found):>5} "
            f"{np.mean([row['noiseless']['win_rate'] for row in found]):>10.1%} "
            f"{np.mean([row['noisy']['win_rate'] for row in found]):>7.1%} "
            f"{np.mean([row['reward_accuracy']['noiseless'] for row in found]):>9.1%} "
            f"{np.mean([point.get('kl', 0.0) for point in last]):>6.1f} "
            f"{np.mean([point.get('variety_of_base', 1.0) for point in last]):>8.0%}"
        )
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(
        SweepOptions, prog="python -m benchmarks.preference.sweep", args=args, description=__doc__
    )
    place = RESULTS / f"{options.table}.jsonl"
    rows = [json.loads(row) for row in place.read_text().splitlines()] if place.is_file() else []
    try:
        settings = [] if options.report else list(table(options))
    except TuneError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    done = {row["key"] for row in rows}
    wanted = [setting for setting in settings if setting.key not in done]
    if wanted:
        most = max(setting.votes for setting in settings)
        material = prepare(_as_final(options, most))
        for setting in wanted:
            row = run(setting, options, material)
            rows.append(row)
            with open(place, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps({k: v for k, v in row.items() if k != "curve"}), flush=True)
    print(report(rows))
    return 0


def _as_final(options: SweepOptions, votes: int) -> FinalOptions:
    return FinalOptions(
        model=options.model,
        tastes=options.tastes,
        votes=votes,
        pairs=options.pairs,
        pool=options.pool,
        corpus=options.corpus,
        work=options.work,
    )


if __name__ == "__main__":
    raise SystemExit(main())
