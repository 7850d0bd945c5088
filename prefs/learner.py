"""What the methods of tuning have in common: the models, the options, and drawing from prompts.

A method (arm.py) is a Learner that adds how it learns, and what it has to keep beside the weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from prefs.prompted import PromptedRollouts, TokenTable, cut_prompts, roll_out_prompts
from prefs.rollout import Rollouts
from prefs.tuning import Score, TuneOptions


class Learner:
    """`model` is trained in place; `base` is what it is held to and measured by."""

    def __init__(
        self,
        model: GPT2LMHeadModel,
        base: GPT2LMHeadModel,
        tokenizer: PreTrainedTokenizerFast,
        score: Score,
        options: TuneOptions,
    ) -> None:
        self.model, self.base, self.tokenizer, self.score = model, base, tokenizer, score
        self.options = options
        self.rounds = options.rounds

    def resume(self, pool: Rollouts) -> None:
        pass

    def tighten(self) -> str | None:
        return None  # nothing but the rate can be changed

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        pass


class PromptLearner(Learner):
    """Draws several tunes from each of many prompts, which are cut from the base model's tunes."""

    prompts: int  # drawn from in a round
    copies: int  # tunes from each
    bars: int  # that a prompt has at most

    pool: tuple[str, ...] = ()  # tunes of the base model

    def resume(self, pool: Rollouts) -> None:
        self.pool = pool.tunes

    def draw(self, number: int, tries: int) -> PromptedRollouts:
        """The tunes after round `number`, which depend on nothing but these and the weights."""
        rng = np.random.default_rng([self.options.seed, number, tries])
        prompts = cut_prompts(self.tokenizer, self.pool, self.prompts, self.bars, rng)
        seed = int(rng.integers(2**31))
        return roll_out_prompts(self.model, self.tokenizer, prompts, self.copies, seed)

    def table(self, rollouts: PromptedRollouts) -> TokenTable:
        return TokenTable.of(rollouts, self.tokenizer.pad_token_id, self.model.device)
