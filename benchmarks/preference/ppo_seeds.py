"""PPO ten times over: does it ever collapse, and do its tunes win? Simulated raters, resumable.

    python -m benchmarks.preference.ppo_seeds --model runs/tiny/model --corpus data/corpus

Per seed: 600 simulated votes on random pairs of sound base tunes, a reward model from them, PPO
from the base model, then fresh tunes of the tuned model beside fresh ones of the base model for the
same headers, decoded as they are served, judged by the rater's own utility without noise. A
collapse is a variety below 85% of the base's, a validity below it, or a copy rate above it, each
beyond two standard errors where it is a share. The seeds take turns over the tastes. What was
drawn, and the state of the run, are kept in --work, so a run that is cut off goes on; results are
written to --out.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from transformers import GPT2LMHeadModel

from abc_tools import passes_gate
from musicgen.checkpoint import Checkpoint, find_model, load_checkpoint
from musicgen.corpus import read_corpus
from musicgen.evaluate import distinct_ngrams, wilson_interval
from musicgen.novelty import NoveltyIndex, is_copy
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import encode_prompt
from prefs.optimise import PolicyOptions, TuneOptions, TuneStep, tune, what_happened
from prefs.probe import Comparisons
from prefs.prompted import Prompt, cut_prompt
from prefs.raters import Rater, simulated_raters
from prefs.reward_model import Features, RewardModel, fit_reward_model
from prefs.rollout import Rollouts, roll_out

OUTCOMES = {"first": 1.0, "second": 0.0, "tie": 0.5}


@dataclass(frozen=True)
class Options:
    """What is run."""

    model: str = "runs/tiny/model"
    corpus: Path = Path("data/corpus")
    out: Path = Path("benchmarks/preference/ppo_seeds.json")
    work: Path = Path("runs/ppo_seeds")
    seeds: int = 10
    first_seed: int = 0
    tastes: tuple[str, ...] = ("modal", "contrasting")  # held out: nothing was chosen on them
    votes: int = 600
    voted: int = 400  # sound base tunes that votes are cast on
    pool: int = 512  # rollouts of the base model: to scale rewards by, and to cut prompts from
    judged: int = 200  # headers that both models go on from in the end
    policy: PolicyOptions = field(
        default_factory=lambda: PolicyOptions(updates=30, lr=3e-4, warmup=5, preflight=128)
    )


def main(options: Options) -> None:
    torch.set_num_threads(1)
    base = load_checkpoint(find_model(options.model))
    shared = Shared(base, options)
    results = _read(options.out) or {"options": _plain(options), "seeds": []}
    done = {row["seed"] for row in results["seeds"]}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        if seed in done:
            continue
        results["seeds"].append(one_seed(base, shared, options, seed))
        results["summary"] = summary(results["seeds"])
        _write(options.out, results)
        print(json.dumps(results["seeds"][-1], indent=None), flush=True)
    print(table(results["seeds"]))


class Shared:
    """What all seeds have in common: tunes of the base model, and who judges them."""

    def __init__(self, base: Checkpoint, options: Options) -> None:
        work, model, tokenizer = options.work, base.model, base.tokenizer
        work.mkdir(parents=True, exist_ok=True)

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
        self.base_rows: list[list[Any]] = _kept(
            work / "base.json", lambda: continued(model, base, self.prompts, 4)
        )
        printed = [tune for tune in read_corpus(options.corpus).tunes("train") if tune.gate]
        self.index = NoveltyIndex.build(printed)
        real = [tune.abc for tune in printed[:600]]
        self.raters = simulated_raters(self.voted, real, options.tastes)
        self.voted_features = Features.of(model, tokenizer, self.voted)
        self.references = Features.of(model, tokenizer, self.pool.sound_tunes)
        self.base_share = copies(self.base_rows, self.index)


def one_seed(base: Checkpoint, shared: Shared, options: Options, seed: int) -> dict[str, Any]:
    """Votes, reward model, PPO and the judgement of one seed."""
    rater = shared.raters[options.tastes[seed % len(options.tastes)]]
    reward, accuracy = reward_model(shared, rater, options.votes, seed)

    def score(rollouts: Rollouts) -> Any:
        return reward.rewards(
            Features.of(base.model, base.tokenizer, rollouts.tunes), rollouts.sound
        )

    tuned = copy.deepcopy(base.model)
    how = TuneOptions(method="ppo", pool=options.pool, seed=seed, policy=options.policy)
    started = time.process_time()
    state = options.work / f"state-{seed}.pt"
    steps = []
    for step in tune(tuned, base.tokenizer, score, how, lambda *_: shared.pool, state):
        steps.append(step)
        print(f"seed {seed} {step.line()}", flush=True)
    seconds = time.process_time() - started
    rows = continued(tuned, base, shared.prompts, 5 + seed)
    found = {
        "seed": seed,
        "taste": rater.name,
        "accuracy_noiseless": accuracy,
        **judgement(base, shared, rater, rows, steps),
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


def judgement(
    base: Checkpoint,
    shared: Shared,
    rater: Rater,
    rows: Sequence[Sequence[Any]],
    steps: Sequence[TuneStep],
) -> dict[str, Any]:
    """The tuned model's tunes `rows` beside the base model's, as a rater and the guards see it."""
    pairs = [
        (rater.utility(new), rater.utility(old))
        for (new, new_sound), (old, old_sound) in zip(rows, shared.base_rows, strict=True)
        if new_sound and old_sound
    ]
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    variety = [
        distinct_ngrams([encode_prompt(base.tokenizer, abc) for abc, _ in each])
        for each in (rows, shared.base_rows)
    ]
    kept = [step for step in steps if not step.taken_back]
    last = kept[-1] if kept else None
    copied = copies(rows, shared.index)
    worse_copies = copied - shared.base_share > 2 * np.sqrt(0.25 * 2 / len(rows))
    health, start = (last.health, last.base_health) if last else (None, None)
    lost_validity = bool(
        health
        and start
        and health.validity
        < start.validity - 2 * np.hypot(health.validity_error, start.validity_error)
    )
    return {
        "win_rate": wins / max(1, len(pairs)),
        "interval": list(wilson_interval(wins, len(pairs))) if pairs else [0, 1],
        "pairs": len(pairs),
        "variety_of_base": variety[0] / variety[1],
        "validity": health.validity if health else None,
        "base_validity": start.validity if start else None,
        "copied": copied,
        "base_copied": shared.base_share,
        "kl": health.kl if health else 0.0,
        "updates_kept": len(kept),
        "reward_gain": (last.reward - last.base_reward) if last else 0.0,
        "is_base": not kept,
        "collapsed": bool(variety[0] < 0.85 * variety[1] or lost_validity or worse_copies),
    }


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


def copies(rows: Sequence[Sequence[Any]], index: NoveltyIndex) -> float:
    """Share of sound tunes that are copies of a corpus tune."""
    found = [is_copy(index.nearest(abc)) for abc, sound in rows if sound]
    return float(np.mean(found)) if found else 0.0


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "seeds": len(rows),
        "collapsed": sum(row["collapsed"] for row in rows),
        "ended_as_base": sum(row["is_base"] for row in rows),
        "median_win_rate": float(
            np.median([0.0 if row["is_base"] else row["win_rate"] for row in rows])
        ),
        "mean_accuracy": float(np.mean([row["accuracy_noiseless"] for row in rows])),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["seed  taste        win rate  pairs    KL  variety  gate (base)  copied  collapsed"]
    for row in rows:
        gate = f"{row['validity']:.0%} ({row['base_validity']:.0%})" if row["validity"] else "-"
        lines.append(
            f"{row['seed']:>4}  {row['taste']:<12} {row['win_rate']:>7.1%} {row['pairs']:>6} "
            f"{row['kl']:>5.1f} {row['variety_of_base']:>8.0%}  {gate:>11}  {row['copied']:>6.1%}  "
            f"{'yes' if row['collapsed'] else 'no'}"
        )
    lines.append(json.dumps(summary(rows)))
    return "\n".join(lines)


def _kept(place: Path, make: Callable[[], list[Any]]) -> list[Any]:
    found = _read(place)
    if found is None:
        found = make()
        _write(place, found)
    return list(found)


def _plain(options: Options) -> dict[str, Any]:
    words: dict[str, Any] = json.loads(json.dumps(asdict(options), default=str))
    return words


def _read(place: Path) -> Any:
    return json.loads(place.read_text(encoding="utf-8")) if place.is_file() else None


def _write(place: Path, data: Any) -> None:
    part = place.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    part.replace(place)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
