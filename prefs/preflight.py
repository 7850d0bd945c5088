"""Before the first update: is all as the learning takes it to be? If not, which mistake is it?

Each check stands for a way in which an experiment failed without anybody seeing why. They raise
TuneError with the cause. What options can get wrong is refused in tuning.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from abc_tools import passes_gate
from prefs.prompted import PromptedRollouts, TokenTable
from prefs.training_votes import TrainingVotes
from prefs.tuning import Score, TuneError

Array = NDArray[np.float64]

NATS = 1e-3  # what two computations of the same log-probability may differ by
MOST_RESPELLED = 0.1  # of the rollouts; a good model spells out a lexeme now and then
ERRORS = 4.0  # standard errors


def check_rollouts(
    rollouts: PromptedRollouts,
    table: TokenTable,
    own: torch.Tensor,
    base: torch.Tensor | None,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Are these tunes what the model draws, and does what counts end with them?

    `own` (B, W) are the model's log-probabilities by the forward pass of the training, in float32;
    `base` those of the base model, given only while both must be the same.
    """
    counted = table.mask.sum(1).long().tolist()
    for tokens, logprobs in zip(counted, rollouts.logprobs, strict=True):
        if tokens > len(logprobs):
            raise TuneError(
                f"{tokens - len(logprobs)} tokens behind the end of a tune, or before it in its "
                "prompt, count in the loss: mask all but what the policy drew"
            )
    end = tokenizer.eos_token_id
    if any(end in ids[:-1] for ids in rollouts.ids):
        raise TuneError("a tune goes on behind its end mark: stop drawing there, mask the rest")
    apart = (own - table.sampler_logprobs(rollouts)).abs() * table.mask
    if float(apart.max()) > NATS:
        raise TuneError(
            f"the sampler's log-probabilities and the training's differ by up to "
            f"{float(apart.max()):.3f} nats a token: draw at temperature 1 without top-k, top-p or "
            "mask, train without dropout"
        )
    if base is not None:
        kl = ((own - base) * table.mask).sum(1)
        if float(kl.abs().max()) > NATS:
            raise TuneError(
                f"before the first update the KL to the base model is {float(kl.mean()):.3f} nats "
                "a tune and not 0: the model is not the one that it is held to"
            )
    respelled = float(np.mean(rollouts.respelled))
    if respelled > MOST_RESPELLED:
        raise TuneError(
            f"{respelled:.0%} of the rollouts do not encode to the tokens that were drawn: the "
            "reward model would read other tunes than the model wrote; is it the same tokenizer?"
        )


def check_rewards(
    batches: Sequence[PromptedRollouts], rewards: Sequence[Array], score: Score, copies: int
) -> None:
    """Do rewards depend on the tune alone, with mean 0 and deviation 1 over the base model's?

    Both figures are held against their standard errors; tunes of one prompt are not independent,
    and the rewards were themselves scaled on about as many tunes, which doubles the variance.
    """
    everything = np.concatenate(rewards)
    sound = np.concatenate([np.asarray(batch.sound) for batch in batches])
    if not np.isfinite(everything).all():
        raise TuneError("some rewards are not finite numbers: fit the reward model again")
    first, given = batches[0], rewards[0]
    lengths = [len(ids) for ids in first.ids]
    for index in {int(np.argmin(lengths)), int(np.argmax(lengths)), 0}:
        alone = float(score(first.take([index]))[0])
        if abs(alone - given[index]) > NATS:
            raise TuneError(
                f"a tune is rewarded {alone:.3f} alone and {given[index]:.3f} beside longer ones: "
                "the reward model reads the padding, or not at the tune's end"
            )
    if sound.sum() < 2:
        raise TuneError("the base model writes no sound tunes: start from a better one")
    valid = everything[sound]
    prompts = (np.arange(len(everything)) // copies)[sound]
    mean, std = float(valid.mean()), float(valid.std())
    mean_error = _standard_error(valid, prompts)
    std_error = _standard_error((valid - mean) ** 2, prompts) / (2 * max(std, 1e-9))
    bound = ERRORS * np.sqrt(2)
    if abs(mean) > bound * mean_error or abs(std - 1) > bound * std_error:
        raise TuneError(
            f"the rewards of {len(valid)} sound tunes of the base model have mean {mean:+.2f} and "
            f"deviation {std:.2f}, not 0 and 1: the reward model was scaled on other tunes, or "
            "reads them in another form (prefix, padding, end mark) than those it learned from"
        )


def check_votes(votes: TrainingVotes, *, most: float = 0.5) -> None:
    """Were the votes cast on sound tunes? What is broken is not learned from votes.

    Some are let pass: about one printed tune in seven fails the gate.
    """
    sound = np.array([bool(passes_gate(abc)) for abc in votes.tunes])
    if not len(votes):
        return
    first, second = sound[votes.comparisons.first], sound[votes.comparisons.second]
    share = float(np.mean(~(first & second)))
    if share > most:
        both = int((~first & ~second & (votes.comparisons.outcome != 0.5)).sum())
        raise TuneError(
            f"{share:.0%} of the votes are on tunes that do not pass the gate ({both} choose "
            "between two such tunes): that would teach what is broken and not what is liked; mark "
            "them as broken and import the votes again"
        )


def _standard_error(values: Array, groups: NDArray[np.int64]) -> float:
    """Of the mean of `values`, which are independent between groups only."""
    deviations = values - values.mean()
    sums = np.bincount(groups, weights=deviations)
    return float(np.sqrt((sums**2).sum()) / len(values))
