"""Ways to tune that are measured beside those of prefs/, written small: none of them is offered.

editing      tunes of the base model are edited up the gradient of the reward (prefs/adversarial.py)
             and the model is trained on those that gained most
winners      no reward model: the model is trained on the tunes that won their votes
prefixes     expert iteration whose tunes go on from long beginnings first, then shorter, then none
lengths      expert iteration that learns from short tunes first, then longer, then all
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import parse_tune
from musicgen.checkpoint import Checkpoint
from prefs.adversarial import AdversarialMiner
from prefs.optimise import TuneOptions, fit_to_tunes, tune
from prefs.prompted import cut_prompts, roll_out_prompts
from prefs.reward_model import UNSOUND, RewardModel
from prefs.rollout import Rollouts
from prefs.training_votes import TrainingVotes
from prefs.tuning import Draw, Score, TuneStep

OtherArm = Literal["editing", "winners", "prefixes", "lengths"]
OTHER_ARMS: tuple[OtherArm, ...] = get_args(OtherArm)

STAGES = 3
PREFIX_BARS = (12, 6, 0)  # by round
MOST_BARS = (8, 16, 10_000)
EDITED = 96  # tunes that are edited; the better half is learned from
EDIT_STEPS = 6


@dataclass(frozen=True)
class Given:
    """What an arm may use."""

    base: Checkpoint
    reward: RewardModel
    votes: TrainingVotes
    pool: Rollouts  # of the base model
    score: Score
    draw: Draw


def run_other(
    arm: OtherArm, model: GPT2LMHeadModel, given: Given, options: TuneOptions
) -> Iterator[TuneStep]:
    """Tunes `model` in place; a record a round where there are rounds."""
    if arm in ("editing", "winners"):
        tunes = _edited(given) if arm == "editing" else _winners(given.votes)
        rng = np.random.default_rng(options.seed)
        fit_to_tunes(model, given.base.tokenizer, tunes, options, options.lr, rng)
        return
    rounds = replace(options, rounds=STAGES)
    if arm == "prefixes":
        draw = ShrinkingPrefixes(given.pool)
        yield from tune(model, given.base.tokenizer, given.score, rounds, draw)
    else:
        growing = GrowingLength(given.draw, given.score)
        yield from tune(model, given.base.tokenizer, growing.score, rounds, growing.draw)


def _edited(given: Given) -> list[str]:
    miner = AdversarialMiner(given.base.model, given.base.tokenizer, given.reward)
    found = [miner.climb(abc, steps=EDIT_STEPS) for abc in list(given.pool.sound_tunes)[:EDITED]]
    found.sort(key=lambda one: one.reward_before - one.reward_after)
    return [one.after for one in found[: max(1, len(found) // 2)]]


def _winners(votes: TrainingVotes) -> list[str]:
    compared = votes.comparisons
    decided = compared.outcome != 0.5
    won = np.where(compared.outcome > 0.5, compared.first, compared.second)[decided]
    return [votes.tunes[index] for index in won]


class ShrinkingPrefixes:
    """Draws tunes that go on from the first bars of the base model's own, fewer each round."""

    def __init__(self, pool: Rollouts) -> None:
        self.tunes = pool.sound_tunes

    def __call__(
        self, model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, n: int, seed: int
    ) -> Rollouts:
        bars = PREFIX_BARS[min(seed // 1_000, STAGES - 1)]
        rng = np.random.default_rng(seed)
        prompts = cut_prompts(tokenizer, self.tunes, n, bars, rng)
        drawn = roll_out_prompts(model, tokenizer, prompts, 1, seed)
        return Rollouts(drawn.tunes, drawn.finished, drawn.sound)


class GrowingLength:
    """Of what is drawn only tunes of so many bars are rewarded, more each round."""

    def __init__(self, draw: Draw, score: Score) -> None:
        self._draw, self._score, self._most = draw, score, MOST_BARS[0]

    def draw(
        self, model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, n: int, seed: int
    ) -> Rollouts:
        self._most = MOST_BARS[min(seed // 1_000, STAGES - 1)]
        return self._draw(model, tokenizer, n, seed)

    def score(self, rollouts: Rollouts) -> NDArray[np.float64]:
        rewards = self._score(rollouts)
        short = _bars(rollouts) <= self._most
        return np.where(short, rewards, UNSOUND)


def _bars(rollouts: Rollouts) -> NDArray[np.int64]:
    """Written bars of each tune; 0 where it is not sound, which is not rewarded anyway."""
    counts: Sequence[int] = [
        len(parse_tune(abc).bars) if sound else 0
        for abc, sound in zip(rollouts.tunes, rollouts.sound, strict=True)
    ]
    return np.array(counts)
