"""The bundled tuned model from the synthetic ladder alone: no vote of anybody is in it.

    python -m benchmarks.preference.ladder_model

A reward model learns from pairs of which one tune is better by construction (prefs/ladder.py); the
base model is then tuned to it by expert iteration, with the guards of every retraining. What a
killed run has drawn is kept in --work. It takes about seven minutes of one core.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from musicgen.checkpoint import (
    Checkpoint,
    CheckpointError,
    find_model,
    load_checkpoint,
    save_checkpoint,
)
from musicgen.corpus import CorpusError
from musicgen.evaluate import read_tunes
from musicgen.model_card import command_line
from prefs.ladder import build_ladder, save_reward
from prefs.optimise import TuneError, TuneOptions, TuneStep, tune
from prefs.probe import ProbeError
from prefs.reward_model import Features, RewardModel, fit_reward_model, rewards_of
from prefs.rollout import Rollouts
from prefs.run_folder import RunFolder

COMMAND = "python -m benchmarks.preference.ladder_model"


@dataclass(frozen=True)
class LadderCommand:
    """Tune a base model to the synthetic ladder."""

    model: str = "base"
    out: Path = Path("musicgen/models/ladder")
    corpus: Path = Path("data/corpus/train.jsonl")
    work: Path = Path("runs/ladder")
    printed: int = 500  # printed tunes, each above a damaged copy and a tune of the model
    pool: int = 768  # tunes a round
    rounds: int = 2
    seed: int = 0


def ladder_model(options: LadderCommand) -> TuneStep:
    """Writes the model folder; returns the last round that counts.

    Raises CheckpointError, CorpusError, ProbeError or TuneError.
    """
    base = load_checkpoint(find_model(options.model))
    asked = {**asdict(options), "corpus": str(options.corpus)}
    run = RunFolder(options.work, {k: v for k, v in asked.items() if k not in ("out", "work")})
    pool = run.roll_out(base.model, base.tokenizer, options.pool, options.seed)
    reward = _reward(options, base, pool)
    followed = sorted(reward.statistics_followed(_features(base, pool)).items(), key=_size)[:6]
    print("the ladder's reward follows", ", ".join(f"{n} {v:+.2f}" for n, v in followed))

    def score(rollouts: Rollouts) -> Any:
        return rewards_of(reward, base, rollouts.tunes, rollouts.sound)

    tuned = load_checkpoint(base.folder)
    how = TuneOptions(rounds=options.rounds, pool=options.pool, seed=options.seed)
    steps = []
    for step in tune(tuned.model, tuned.tokenizer, score, how, run.roll_out):
        print(step.line(), flush=True)
        steps.append(step)
    kept = [step for step in steps if not step.taken_back]
    if not kept:
        raise TuneError(f"every round was taken back: {steps[-1].taken_back[0]}")
    save_checkpoint(
        options.out,
        tuned.model,
        tuned.tokenizer,
        card=card(options, base.name, reward, kept[-1]),
        titles=base.titles,
    )
    save_reward(options.out, reward, base)
    return kept[-1]


def _size(item: tuple[str, float]) -> float:
    return -abs(item[1])


def _features(base: Checkpoint, pool: Rollouts) -> Features:
    return Features.of(base.model, base.tokenizer, pool.sound_tunes)


def _reward(options: LadderCommand, base: Checkpoint, pool: Rollouts) -> RewardModel:
    rng = np.random.default_rng(options.seed)
    printed = read_tunes(options.corpus)
    ladder = build_ladder(printed, pool.sound_tunes, options.printed, rng)
    voted = Features.of(base.model, base.tokenizer, ladder.tunes)
    model = fit_reward_model(voted, ladder.comparisons, _features(base, pool))
    print(
        f"reward model from {len(ladder.comparisons)} pairs of the ladder: orders "
        f"{model.probe.accuracy:.0%} of unseen ones"
    )
    return model


def card(options: LadderCommand, base: str, reward: RewardModel, step: TuneStep) -> str:
    """The model card."""
    again = replace(options, out=LadderCommand.out, work=LadderCommand.work)
    return f"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
tags: [music, abc-notation, folk]
---

# ladder: {base}, tuned without votes

No person's vote, and no simulated one, is in this model. It is here so that there is something to
set against the base model on the first day. A reward model learned from {reward.probe.votes} pairs
of which one tune is better by construction: printed tunes above the same tunes damaged (bars in
disorder, notes moved, foreign bars), and above tunes of the base model. It orders
{reward.probe.accuracy:.0%} of unseen pairs of this kind. The base model was tuned to it by expert
iteration: {step.round} round{"s" * (step.round > 1)} of {options.pool} tunes, seed {options.seed}.

On its own {step.health.tunes} tunes at temperature 1: {step.health.validity:.0%} pass the gate
(base {step.base_health.validity:.0%}), {step.health.variety:.3f} different 4-grams
(base {step.base_health.variety:.3f}), KL to the base {step.health.kl:.1f} nats a tune. The reward,
in its deviations, went from {step.base_reward:+.2f} to {step.reward:+.2f}.

Whether people prefer it nobody has measured: `musicgen compare base ladder` counts blind votes.
Data, credits and terms are those of the base model.

## Make it again

    {command_line(COMMAND, again)}
"""


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(
        LadderCommand,
        prog=COMMAND,
        args=args,
        description=__doc__,
    )
    try:
        step = ladder_model(options)
    except (CheckpointError, CorpusError, ProbeError, TuneError) as error:
        print(f"ladder_model: {error}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(step.health)))
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
