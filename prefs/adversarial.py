"""The tunes that a reward model likes for no good reason: found by gradient, put to the vote.

From a sound tune, gradient ascent on the input embeddings raises the reward through the activations
that it reads. Each step is projected back to a tune: a note may become the nearest token, in
embedding space, of the same length, if the grammar allows it there; the change counts only if the
whole tune passes the gate and its full reward, statistics included, is higher. As in HotFlip
(Ebrahimi et al. 2018), only several notes at a time. The header and the first bars stay, so the
tune before and the tune after make a learning pair: if the reward is right the rater prefers the
second, and if not, that vote is what the reward model needs most.
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import canonical_text, parse_tune, passes_gate
from musicgen.checkpoint import Checkpoint
from musicgen.grammar_mask import GrammarMask
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import decode_tune, encode_prompt, encode_tune
from prefs.pair_maker import NewPair, opening_of
from prefs.probe import ProbeError, Projection
from prefs.records import Pair, TuneRecord
from prefs.reward_model import PESSIMISM, Features, RewardModel

EDITED = "edited"  # where such tunes come from, in place of a model's name
_NOTE = re.compile(r"( ?)[_^=]{0,2}[A-Ga-g][,']*([0-9/]*)")
_AT_ONCE = (1, 2, 4, 8)  # notes changed in one step


@dataclass(frozen=True)
class Found:
    """A tune, and what became of it; rewards in deviations of the base model's."""

    before: str
    after: str
    reward_before: float
    reward_after: float


class AdversarialMiner:
    """Climbs the reward of one reward model through its base model."""

    def __init__(
        self, model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, reward: RewardModel
    ) -> None:
        self.model, self.tokenizer, self.reward = model, tokenizer, reward
        self.mask = GrammarMask(tokenizer)
        self._alike = _notes_of_the_same_length(tokenizer)
        self._means = _tensors(reward.of_activations)
        start = reward.of_statistics.axes.shape[1]
        self._climbed = slice(start, start + reward.of_activations.axes.shape[1])
        self._weights = torch.tensor(reward.probe.weights[self._climbed])
        self._covariance = torch.tensor(reward.probe.covariance)

    def climb(self, abc: str, *, fixed: str = "", steps: int = 12) -> Found:
        """Raise the reward of a sound tune in at most `steps` steps; `fixed` is how it must begin.

        Where nothing helps the tune stays as it is.
        """
        first = best = self._rewards([abc])[0]
        now = abc
        held = len(encode_prompt(self.tokenizer, fixed))
        for _ in range(steps):
            candidates = self._neighbours(now, held)
            if not candidates:
                break
            rewards = self._rewards(candidates)
            place = int(np.argmax(rewards))
            if rewards[place] <= best + 1e-6:
                break
            now, best = candidates[place], float(rewards[place])
        return Found(abc, now, float(first), float(best))

    def _rewards(self, tunes: Sequence[str]) -> list[float]:
        features = Features.of(self.model, self.tokenizer, tunes)
        return [float(reward) for reward in self.reward.rewards(features, [True] * len(tunes))]

    def _neighbours(self, abc: str, held: int) -> list[str]:
        """Sound tunes with notes changed along the gradient, behind the first `held` tokens."""
        ids = encode_tune(self.tokenizer, abc)
        if len(ids) > self.model.config.n_positions:
            return []
        gradient = self.gradient(ids, abc)
        table = self.model.transformer.wte.weight.detach()
        moves: list[tuple[float, int, int]] = []
        state = self.mask.begin(ids[:held])
        for place in range(held, len(ids) - 1):
            allowed = self.mask.allowed(state, self.model.config.n_positions - place)
            state = self.mask.read(state, ids[place])
            others = [t for t in self._alike.get(ids[place], []) if allowed[t] and t != ids[place]]
            if not others:
                continue
            # the point that a gradient step reaches, and the token that lies nearest to it
            step = gradient[place] / (gradient[place].norm() + 1e-12)
            reached = table[ids[place]] + table[ids[place]].norm() * step
            nearest = others[int((table[others] - reached).norm(dim=1).argmin())]
            gain = float((table[nearest] - table[ids[place]]) @ gradient[place])
            if gain > 0:
                moves.append((gain, place, nearest))
        moves.sort(reverse=True)
        found = []
        for count in _AT_ONCE:
            # and the same further down the list, should the first ones break something
            for chosen in (moves[:count], moves[count : 2 * count]):
                changed = list(ids)
                for _, place, token in chosen:
                    changed[place] = token
                text = decode_tune(self.tokenizer, changed)
                if chosen and text not in found and bool(passes_gate(text)):
                    found.append(text)
        return found

    def gradient(self, ids: Sequence[int], abc: str) -> torch.Tensor:
        """Of the unscaled reward, by the embedding of each token read, (T, width).

        The part that other members than the activations have in it is taken as fixed; so is the
        log-likelihood. Where the activations are no member, any direction is as good as another,
        and which of its neighbours is kept the reward itself decides.
        """
        model, middle = self.model, self.model.config.n_layer // 2
        tokens = torch.tensor([ids[: model.config.n_positions]], device=model.device)
        embedded = model.transformer.wte(tokens).detach().requires_grad_(True)
        if "activations" not in self.reward.members:
            chance = torch.Generator().manual_seed(zlib.crc32(abc.encode()))
            return torch.randn(embedded.shape[1:], generator=chance)
        features = Features.of(model, self.tokenizer, [abc])
        inputs = torch.tensor(self.reward.project(features)[0])
        out = model(inputs_embeds=embedded, output_hidden_states=True, use_cache=False)
        pooled = out.hidden_states[middle][0].mean(0).double().cpu()
        likelihood = torch.tensor(features.activations[0, -1:])
        mean, scale, axes = self._means
        projected = (torch.cat([pooled, likelihood]) - mean) / scale @ axes
        before, after = inputs[: self._climbed.start], inputs[self._climbed.stop :]
        difference = torch.cat([before, projected, after]) - torch.tensor(self.reward.center)
        std = (difference @ self._covariance @ difference).clamp(min=1e-12).sqrt()
        (projected @ self._weights - PESSIMISM * std).backward()
        assert embedded.grad is not None
        return embedded.grad[0]


def adversarial_pair(
    miner: AdversarialMiner, abc: str, model: str, rng: np.random.Generator
) -> NewPair | None:
    """A learning pair of a sound tune by `model` and what it was changed to; None if to nothing."""
    plain = canonical_text(parse_tune(abc), plain=True, title=False)
    opening = opening_of(plain)
    if not plain.startswith(opening):
        return None
    found = miner.climb(plain, fixed=opening)
    if found.after == found.before:
        return None
    texts = [canonical_text(parse_tune(t), title=False) for t in (found.before, found.after)]
    records = [
        TuneRecord(id=secrets.token_hex(6), abc=text, model=name, seed=0)
        for text, name in zip(texts, (model, EDITED), strict=True)
    ]
    if rng.integers(2):
        records.reverse()
    pair = Pair(
        id=secrets.token_hex(8),
        first=records[0].id,
        second=records[1].id,
        kind="learning",
        opening=opening,
        options={"source": "adversarial"},
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    return NewPair(pair, *records)


def adversarial_pairs(
    base: Checkpoint, reward: RewardModel, count: int, rng: np.random.Generator
) -> Iterator[NewPair]:
    """`count` learning pairs from fresh tunes of `base`, whose activations `reward` reads.

    Raises ProbeError if the reward model was made for another base model.
    """
    if len(reward.of_activations.mean) != base.model.config.n_embd + 1:
        raise ProbeError(
            f"this reward model does not read {base.name!r}: give the model it was for"
        )
    miner = AdversarialMiner(base.model, base.tokenizer, reward)
    sampler = TuneSampler(base.model, base.tokenizer)
    while count:
        options = SampleOptions(seed=int(rng.integers(2**31)))
        for sample in sampler.served(TuneRequest(), options, count):
            pair = adversarial_pair(miner, sample.abc, base.name, rng)
            if pair is not None:
                count -= 1
                yield pair


def _notes_of_the_same_length(tokenizer: PreTrainedTokenizerFast) -> dict[int, list[int]]:
    """For each token that is a note, those that are as long and as beamed."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for word, index in tokenizer.get_vocab().items():
        if match := _NOTE.fullmatch(word):
            kinds.setdefault((match[1], match[2]), []).append(index)
    return {index: members for members in kinds.values() for index in members}


def _tensors(projection: Projection) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.tensor(projection.mean),
        torch.tensor(projection.scale),
        torch.tensor(projection.axes),
    )
