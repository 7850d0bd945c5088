"""Which arm and which constants: runs on development tastes, a line of results each.

    python -m benchmarks.preference.sweep --model runs/tiny/model --table arms
    python -m benchmarks.preference.sweep --table arms --report

Tables: arms, expert, votes, sittings, pairs, reward, noise, guards (settings.py). On a tiny model a
run takes a core one to two minutes, of PPO, RLOO and the founding configuration three to eight.
Every run that is done is a line of benchmarks/preference/results/TABLE.jsonl and is not done again;
tunes that were drawn are kept in --work. The curve of each run is the KL to the base model against
the proxy reward and against gold: the mean utility of its sound tunes, in deviations of the base's.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.preference.final import FinalOptions, Material, prepare
from benchmarks.preference.founding import founding
from benchmarks.preference.other_arms import Given, run_other
from benchmarks.preference.protocol import (
    cast_votes,
    evaluation_tunes,
    gold,
    joined,
    learning_pairs,
    unrelated_pairs,
    votes_from_files,
)
from benchmarks.preference.reward_accuracy import agreement_with
from benchmarks.preference.rewards import Taught, fitted, ladder_reward
from benchmarks.preference.settings import Setting, settings
from benchmarks.preference.sweep_report import report
from musicgen.evaluate import read_tunes
from musicgen.sample import TuneSampler
from prefs.guards import measure
from prefs.optimise import PolicyOptions, TuneError, tune
from prefs.raters import DEVELOPMENT, Rater
from prefs.reward_model import Features, RewardModel, rewards_of
from prefs.rollout import Rollouts, roll_out
from prefs.run_folder import RunFolder
from prefs.training_votes import TrainingVotes

RESULTS = Path("benchmarks/preference/results")
EVALUATION_SEED, PAIRS_SEED, END_SEED = 31, 41, 51
GOLD_TUNES = 256  # of a round, that its gold is the mean of
FOUNDING_UPDATES = 40


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
    unsound: float = -1.0  # reward of a tune that does not pass the gate, as in ppo_seeds.py
    policy: PolicyOptions = field(
        default_factory=lambda: PolicyOptions(updates=30, lr=3e-4, warmup=5, preflight=128)
    )
    corpus: Path = Path("data/corpus/train.jsonl")
    work: Path = Path("runs/preference-sweep")
    report: bool = False  # print what is there, run nothing


class Scorer:
    """The reward of rollouts; `gold` is the mean utility of the sound ones that it saw last."""

    def __init__(self, reward: RewardModel, material: Material, rater: Rater, unsound: float):
        self.reward, self.base, self.rater, self.unsound = reward, material.base, rater, unsound
        self.gold = 0.0

    def __call__(self, rollouts: Rollouts) -> Any:
        if len(rollouts) > 1:  # one alone: the pre-flight looks at its padding
            sound = rollouts.sound_tunes[:GOLD_TUNES]
            self.gold = float(self.rater.utilities(sound).mean()) if sound else float("nan")
        return rewards_of(
            self.reward, self.base, rollouts.tunes, rollouts.sound, unsound=self.unsound
        )


def run(setting: Setting, options: SweepOptions, material: Material) -> dict[str, Any]:
    """One row; draws what is not there yet."""
    begun = time.process_time()
    rater, base = material.raters[setting.taste], material.base
    folder = RunFolder(options.work / "base", {"model": options.model, "seed": 0})
    votes = _votes(setting, options, material, folder)
    reward = _reward(setting, options, material, votes)
    model = copy.deepcopy(base.model)
    scorer = Scorer(reward, material, rater, options.unsound)
    curve = list(_curve(setting, material, model, scorer, votes, folder))
    drawn = evaluation_tunes(
        TuneSampler(model, base.tokenizer),
        material.templates,
        options.pairs,
        EVALUATION_SEED,
        options.work / "evaluation" / f"{options.table} {setting.key}.jsonl",
    )
    pool = folder.roll_out(base.model, base.tokenizer, GOLD_TUNES, END_SEED)
    start = measure(base.model, base.model, base.tokenizer, pool)
    alone = roll_out(model, base.tokenizer, GOLD_TUNES, END_SEED)
    end = measure(model, base.model, base.tokenizer, alone)
    return {
        "key": setting.key,
        "name": setting.name,
        "taste": setting.taste,
        "seed": setting.seed,
        "votes": len(votes),
        "model": options.model,
        "pool": options.pool,
        **gold(rater, drawn, material.evaluation).json(),
        "reward_accuracy": agreement_with(rater, reward, material.features, material.fresh),
        "members": list(reward.members),
        "kl": end.kl,
        "variety_of_base": end.variety / start.variety,
        "gate_at_1": [end.validity, start.validity],
        "taken_back": sum(point["taken_back"] for point in curve),
        "curve": curve,
        "cpu_seconds": round(time.process_time() - begun),
    }


def _curve(
    setting: Setting,
    material: Material,
    model: Any,
    scorer: Scorer,
    votes: TrainingVotes,
    folder: RunFolder,
) -> Iterator[dict[str, Any]]:
    """Tune `model` in place; a point a round or update."""
    base, how = material.base, setting.tune
    if setting.arm == "founding":
        lr, updates = how.policy.lr, FOUNDING_UPDATES
        for update in founding(
            model, base.model, base.tokenizer, scorer, updates=updates, lr=lr, seed=how.seed
        ):
            yield _point(update.kl, update.reward, scorer, update.validity, False)
        return
    if setting.arm == "usual":
        steps = tune(model, base.tokenizer, scorer, how, folder.roll_out)
    else:
        pool = folder.roll_out(base.model, base.tokenizer, how.pool, how.seed)
        given = Given(base, scorer.reward, votes, pool, scorer, folder.roll_out)
        steps = run_other(setting.arm, model, given, how)
    for step in steps:
        health = step.health
        yield _point(health.kl, step.reward, scorer, health.validity, bool(step.taken_back))


def _point(
    kl: float, reward: float, scorer: Scorer, validity: float, taken_back: bool
) -> dict[str, Any]:
    return {
        "kl": kl,
        "reward": reward,
        "gold": scorer.gold,
        "gate": validity,
        "taken_back": taken_back,
    }


def _votes(
    setting: Setting, options: SweepOptions, material: Material, folder: RunFolder
) -> TrainingVotes:
    rater, place = material.raters[setting.taste], options.work / "votes"
    pairs, name = material.pairs, setting.taste
    if setting.pairs == "unrelated":
        pairs = unrelated_pairs(pairs, options.work / "pairs" / "unrelated.jsonl")
        name += " unrelated"
    cast = cast_votes(rater, pairs, place / f"{name} {setting.seed}.jsonl", seed=setting.seed)
    each = setting.votes // setting.sittings
    parts = [votes_from_files(pairs, cast, each)]
    for sitting in range(1, setting.sittings):
        model = copy.deepcopy(material.base.model)
        reward = _reward(setting, options, material, joined(parts))
        scorer = Scorer(reward, material, rater, options.unsound)
        for _ in tune(model, material.base.tokenizer, scorer, setting.tune, folder.roll_out):
            pass
        key = f"{setting.key} {sitting}"
        fresh = learning_pairs(
            TuneSampler(model, material.base.tokenizer),
            material.templates,
            each,
            PAIRS_SEED + 10 * sitting,
            options.work / "pairs" / key,
        )
        cast = cast_votes(rater, fresh, place / f"{key}.jsonl", seed=setting.seed)
        parts.append(votes_from_files(fresh, cast, each))
    votes = joined(parts)
    return _partly_random(votes, setting) if setting.noisy_share else votes


def _reward(
    setting: Setting, options: SweepOptions, material: Material, votes: TrainingVotes
) -> RewardModel:
    base = material.base
    taught = Taught(
        voted=Features.of(base.model, base.tokenizer, votes.tunes),
        votes=votes.comparisons,
        references=Features.of(base.model, base.tokenizer, material.templates),
    )
    if setting.reward != "ladder":
        return fitted(setting.reward, taught)
    printed = read_tunes(options.corpus)
    place = options.work / "ladder"
    return fitted("ladder", taught, ladder_reward(base, printed, material.templates, place))


def _partly_random(votes: TrainingVotes, setting: Setting) -> TrainingVotes:
    """Some of the votes replaced by the rater's who does not listen."""
    rng = np.random.default_rng(setting.seed)
    outcome = votes.comparisons.outcome.copy()
    deaf = rng.random(len(outcome)) < setting.noisy_share
    outcome[deaf] = rng.integers(0, 2, int(deaf.sum()))
    return replace(votes, comparisons=replace(votes.comparisons, outcome=outcome))


def wanted_settings(options: SweepOptions) -> list[Setting]:
    return list(
        settings(
            options.table,
            options.tastes,
            options.seeds,
            votes=options.votes,
            pool=options.pool,
            policy=options.policy,
        )
    )


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(
        SweepOptions, prog="python -m benchmarks.preference.sweep", args=args, description=__doc__
    )
    place = RESULTS / f"{options.table}.jsonl"
    rows = [json.loads(row) for row in place.read_text().splitlines()] if place.is_file() else []
    try:
        asked = [] if options.report else wanted_settings(options)
    except TuneError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    done = {row["key"] for row in rows}
    wanted = [setting for setting in asked if setting.key not in done]
    if wanted:
        most = max(setting.votes for setting in asked)
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
