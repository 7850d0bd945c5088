"""PPO ten times over: does it ever collapse, and do its tunes win? Simulated raters, resumable.

    python -m benchmarks.preference.ppo_seeds --model runs/tiny/model

Per seed: 600 simulated votes on random pairs of sound base tunes, a reward model from them, PPO
from the base model, then fresh tunes of the tuned model beside fresh ones of the base model for the
same headers, decoded alike under the grammar mask, judged by the rater's own utility without noise:
pairs of sound tunes only, so that a win is one of taste. What a collapse is says collapse.py. The
seeds take turns over the tastes. What was drawn, and the state of the run, are kept in --work, so a
run that is cut off goes on; results are written to --out after each seed.

A tiny model writes one sound tune in four at temperature 1. At the loop's usual -3 for what is not
sound nearly all of the reward's variance is soundness, and PPO spends its KL on that. So here what
is not sound gets --unsound, a deviation below the mean sound tune; that soundness is kept, is for
the guards to see to.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from transformers import GPT2LMHeadModel

from abc_tools import parse_tune, passes_gate
from benchmarks.preference.collapse import Model, judged, summary, table
from musicgen.checkpoint import Checkpoint, find_model, load_checkpoint
from musicgen.evaluate import read_tunes
from musicgen.novelty import NoveltyIndex
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from prefs.guards import measure
from prefs.json_files import write_whole
from prefs.optimise import PolicyOptions, TuneOptions, tune, what_happened
from prefs.probe import Comparisons
from prefs.prompted import Prompt, cut_prompt
from prefs.raters import HELD_OUT, Rater, simulated_raters
from prefs.reward_model import Features, RewardModel, fit_reward_model, rewards_of
from prefs.rollout import Rollouts, roll_out
from prefs.run_folder import fingerprint
from prefs.training_votes import OUTCOMES


@dataclass(frozen=True)
class Options:
    """What is run."""

    model: str = "runs/tiny/model"
    corpus: Path = Path("data/corpus/train.jsonl")
    out: Path = Path("benchmarks/preference/results/ppo_seeds.json")
    work: Path = Path("runs/ppo_seeds")
    seeds: int = 10
    first_seed: int = 0
    tastes: tuple[str, ...] = HELD_OUT
    votes: int = 600
    voted: int = 400  # sound base tunes that votes are cast on
    pool: int = 512  # rollouts of the base model: to scale rewards by, and to cut prompts from
    judged: int = 200  # headers that both models go on from in the end
    unsound: float = -1.0  # reward of a tune that does not pass the gate
    policy: PolicyOptions = field(
        default_factory=lambda: PolicyOptions(updates=30, lr=3e-4, warmup=5, preflight=128)
    )
    report: bool = False  # print the results that are there


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(
        Options, prog="python -m benchmarks.preference.ppo_seeds", args=args, description=__doc__
    )
    found = _read(options.out)
    if options.report:
        print(table(found["seeds"] if found else []))
        return 0
    asked = _asked(options)
    results = found or {"options": asked, "seeds": []}
    if results["options"] != asked:
        print(
            f"ppo_seeds: {options.out} was measured with other options: move it away, or choose "
            "another --out",
            file=sys.stderr,
        )
        return 2
    torch.set_num_threads(1)
    done = {row["seed"] for row in results["seeds"]}
    wanted = range(options.first_seed, options.first_seed + options.seeds)
    if not done.issuperset(wanted):
        base = load_checkpoint(find_model(options.model))
        shared = Shared(base, options)
        for seed in sorted(set(wanted) - done):
            results["seeds"].append(one_seed(base, shared, options, seed))
            results["summary"] = summary(results["seeds"])
            write_whole(options.out, json.dumps(results, indent=1) + "\n")
            print(json.dumps(results["seeds"][-1]), flush=True)
    print(table(results["seeds"]))
    return 0


class Shared:
    """What all seeds have in common: tunes of the base model, and who judges them."""

    def __init__(self, base: Checkpoint, options: Options) -> None:
        work, model, tokenizer = options.work, base.model, base.tokenizer

        def draw_pool() -> list[Any]:
            return [list(row) for row in roll_out(model, tokenizer, options.pool, 1).rows()]

        self.pool = Rollouts.of_rows(_kept(work / "pool.json", draw_pool))
        self.voted: list[str] = _kept(
            work / "voted.json", lambda: sound_tunes(model, base, options.voted, 2)
        )
        self.judged: list[str] = _kept(
            work / "judged.json", lambda: sound_tunes(model, base, options.judged, 3)
        )
        self.prompts = [cut_prompt(tokenizer, abc, 0) for abc in self.judged]
        rows: list[list[Any]] = _kept(
            work / "base.json", lambda: continued(model, base, self.prompts, 4)
        )
        health = measure(model, model, tokenizer, self.pool)
        self.base = Model(rows, health, fingerprint(model))
        printed = [abc for abc in read_tunes(options.corpus) if passes_gate(abc)]
        self.index = NoveltyIndex.of((str(i), "", parse_tune(abc)) for i, abc in enumerate(printed))
        real = printed[:600]
        self.raters = simulated_raters(self.voted, real, options.tastes)
        self.voted_features = Features.of(model, tokenizer, self.voted)
        self.references = Features.of(model, tokenizer, self.pool.sound_tunes)


def one_seed(base: Checkpoint, shared: Shared, options: Options, seed: int) -> dict[str, Any]:
    """Votes, reward model, PPO and the judgement of one seed."""
    rater = shared.raters[options.tastes[seed % len(options.tastes)]]
    reward, accuracy = reward_model(shared, rater, options.votes, seed)

    def score(rollouts: Rollouts) -> Any:
        return rewards_of(reward, base, rollouts.tunes, rollouts.sound, unsound=options.unsound)

    tuned = copy.deepcopy(base.model)
    how = TuneOptions(method="ppo", pool=options.pool, seed=seed, policy=options.policy)
    started = time.process_time()
    state = options.work / f"state-{seed}.pt"
    steps = []
    for step in tune(tuned, base.tokenizer, score, how, lambda *_: shared.pool, state):
        steps.append(step)
        print(f"seed {seed} {step.line()}", flush=True)
    seconds = time.process_time() - started
    alone = roll_out(tuned, base.tokenizer, options.pool, 100 + seed)
    ended = Model(
        continued(tuned, base, shared.prompts, 5 + seed),
        measure(tuned, base.model, base.tokenizer, alone),
        fingerprint(tuned),
    )
    found = {
        "seed": seed,
        "taste": rater.name,
        "accuracy_noiseless": accuracy,
        **judged(base.tokenizer, rater, ended, shared.base, shared.index),
        "updates_kept": sum(not step.taken_back for step in steps),
        "cpu_seconds": round(seconds, 1),
        "what_happened": what_happened(steps),
        "kl_against_reward": [[s.health.kl, s.reward] for s in steps if not s.taken_back],
    }
    state.unlink(missing_ok=True)
    return found


def reward_model(shared: Shared, rater: Rater, votes: int, seed: int) -> tuple[RewardModel, float]:
    """A reward model from simulated votes; its accuracy against the noiseless taste elsewhere."""
    rng = np.random.default_rng([seed, 7])
    pairs = rng.integers(len(shared.voted), size=(3 * votes, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]][:votes]
    choices = [
        OUTCOMES[rater.choice(f"{seed}-{i}", shared.voted[a], shared.voted[b])]
        for i, (a, b) in enumerate(pairs)
    ]
    cast = Comparisons(pairs[:, 0], pairs[:, 1], np.array(choices))
    found = fit_reward_model(shared.voted_features, cast, shared.references)
    liking = rater.utilities(shared.pool.sound_tunes)
    reward = found.raw(shared.references)
    one, other = np.triu_indices(len(liking), 1)
    same = (liking[one] > liking[other]) == (reward[one] > reward[other])
    return found, float(same.mean())


def sound_tunes(model: GPT2LMHeadModel, base: Checkpoint, count: int, seed: int) -> list[str]:
    """Tunes as the app serves them, in plain text."""
    sampler = TuneSampler(model, base.tokenizer)
    options = SampleOptions(seed=seed, constrained=True)
    found: list[str] = []
    row = 0
    while len(found) < count:
        for sample in sampler.samples(TuneRequest(), options, 64, first_row=row, batch=64):
            if passes_gate(sample.abc, sample.finished):
                found.append(sample.abc)
        row += 64
    return found[:count]


def continued(
    model: GPT2LMHeadModel, base: Checkpoint, prompts: Sequence[Prompt], seed: int
) -> list[list[Any]]:
    """One served tune for each prompt, and whether it is sound: [abc, sound]."""
    sampler = TuneSampler(model, base.tokenizer)
    options = SampleOptions(seed=seed, constrained=True)
    drawn = sampler.continuations(prompts, options, batch=64)
    return [[s.abc, bool(passes_gate(s.abc, s.finished))] for s in drawn]


def _kept(place: Path, make: Callable[[], list[Any]]) -> list[Any]:
    found = _read(place)
    if found is None:
        found = make()
        write_whole(place, json.dumps(found) + "\n")
    return list(found)


def _asked(options: Options) -> dict[str, Any]:
    """What rows of one table must have in common."""
    words: dict[str, Any] = json.loads(json.dumps(asdict(options), default=str))
    apart = ("out", "work", "seeds", "first_seed", "report", "corpus")
    return {name: value for name, value in words.items() if name not in apart}


def _read(place: Path) -> Any:
    return json.loads(place.read_text(encoding="utf-8")) if place.is_file() else None


if __name__ == "__main__":
    raise SystemExit(main())
