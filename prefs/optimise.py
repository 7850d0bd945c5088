"""One loop for every method of tuning: `for step in tune(...)`, a record a round.

A round learns from tunes that the model has drawn and their rewards, then draws again; the new
tunes are what the round is judged by, and what the next one learns from. So the same guards hold
for best-of-n distillation, expert iteration, DPO, RLOO and PPO, and the command, the page and the
tests read the same records. The methods are in selection.py, direct.py and policy.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from prefs.arm import Arm
from prefs.direct import Direct
from prefs.guards import reward_spread
from prefs.policy import PolicyGradient
from prefs.rollout import roll_out
from prefs.selection import Selection, best_of_each_kind, fit_to_tunes
from prefs.tune_state import TuneState, load_state, save_state
from prefs.tuning import (
    DpoOptions,
    Draw,
    Method,
    PolicyOptions,
    Score,
    TuneError,
    TuneOptions,
    TuneStep,
)
from prefs.watch import Watch


def arm_of(
    model: GPT2LMHeadModel,
    base: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    score: Score,
    options: TuneOptions,
    draw: Draw,
) -> Arm:
    """The method that the options name."""
    if options.method in ("ppo", "rloo"):
        return PolicyGradient(model, base, tokenizer, score, options)
    if options.method == "dpo":
        return Direct(model, base, tokenizer, score, options)
    return Selection(model, base, tokenizer, score, options, draw)


def tune(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    score: Score,
    options: TuneOptions,
    draw: Draw = roll_out,
    keep: Path | None = None,
) -> Iterator[TuneStep]:
    """Tune `model` in place; it ends as the last state that no guard stopped.

    `score` gives rewards (N,) for rollouts; `draw` may remember what it drew before. With `keep`
    the state is written to that file, twenty times in a run; if it is there already, the run goes
    on from it, its earlier records first. Raises TuneError if the model cannot be learned from.
    """
    base = copy.deepcopy(model).eval().requires_grad_(False)
    model.eval()  # dropout stays off: the probabilities must be those that the tunes were drawn by
    arm = arm_of(model, base, tokenizer, score, options, draw)
    pool = draw(base, tokenizer, options.pool, options.seed)
    state = load_state(keep, options) if keep is not None else None
    if state is None:
        begun = arm.begin(pool)
        watch = Watch(begun, options.limits, model, arm)
        state = TuneState(begun, begun.rollouts, begun.rewards)
    else:
        begun = state.begun
        watch = Watch(begun, options.limits, model, arm)
        state.put_back(model, arm, watch, pool)
        yield from state.steps
    while state.number <= arm.rounds and not watch.over:
        learned = arm.learn(state.rollouts, state.rewards, state.number, state.tries, watch.factor)
        fresh = arm.draw(state.number, state.tries)
        rewards = score(fresh)
        health = replace(arm.measure(fresh), reward_spread=reward_spread(fresh, rewards))
        health, wrong = watch.judge(health, float(rewards.mean()))
        if wrong:
            done = watch.go_back(model, arm)
            state.tries += 1
            fresh, rewards_next = watch.best.rollouts, watch.best.rewards
        else:
            watch.keep_if_best(state.number, model, arm, fresh, rewards)
            done = watch.soften(health, state.number, arm)
            rewards_next = rewards
        step = TuneStep(
            round=state.number,
            kept=learned.kept,
            loss=learned.loss,
            lr=learned.lr,
            reward=float(rewards.mean()),
            base_reward=begun.reward,
            health=health,
            base_health=begun.health,
            taken_back=tuple(wrong),
            done=done,
            figures=learned.figures,
        )
        state.number += not wrong
        state.rollouts, state.rewards = fresh, np.asarray(rewards_next)
        state.steps.append(step)
        if keep is not None and (state.number - 1) % max(1, arm.rounds // 20) == 0:
            save_state(keep, options, state, model, arm, watch)
        yield step


def what_happened(steps: list[TuneStep]) -> str:
    """A run in two or three sentences, for its report."""
    if not steps:
        return "Nothing was learned."
    back = [step for step in steps if step.taken_back]
    soft = [step for step in steps if step.done and not step.taken_back]
    kept = [step for step in steps if not step.taken_back]
    words = [f"{len(steps)} rounds."]
    if soft:
        first = soft[0]
        words.append(
            f"In {len(soft)} of them a figure came near its limit, first in round {first.round}: "
            f"{first.done[0]}."
        )
    for step in back:
        done = f": {step.done[0]}" if step.done else ""
        words.append(f"Round {step.round} was taken back, as {step.taken_back[0]}{done}.")
    if not soft and not back:
        words.append("No figure came near its limit.")
    if kept:
        last = kept[-1]
        words.append(
            f"The reward went from {last.base_reward:+.2f} to {last.reward:+.2f} at "
            f"{last.health.kl:.1f} nats a tune from the base model."
        )
    return " ".join(words)


__all__ = [
    "DpoOptions",
    "Draw",
    "Method",
    "PolicyOptions",
    "Score",
    "TuneError",
    "TuneOptions",
    "TuneStep",
    "best_of_each_kind",
    "fit_to_tunes",
    "tune",
    "what_happened",
]
