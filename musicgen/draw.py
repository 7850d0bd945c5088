"""Drawing one token a row from logits."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch


class Noise:
    """One row's random numbers: V numbers for each token drawn, in order, from a stream of its own.

    Those of tokens still to come can be looked at: a guess is drawn with the very numbers that the
    token will be drawn with.
    """

    def __init__(self, stream: np.random.Generator, size: int) -> None:
        self._stream, self._size = stream, size
        self._made: deque[np.ndarray] = deque()

    def take(self) -> np.ndarray:
        """The numbers (V,) of the next token."""
        found = self.ahead(0)
        self._made.popleft()
        return found

    def ahead(self, place: int) -> np.ndarray:
        """Those of the token `place` after the next; they stay."""
        while len(self._made) <= place:
            self._made.append(exponentials(self._stream, self._size))
        return self._made[place]


def exponentials(stream: np.random.Generator, size: int | tuple[int, int]) -> np.ndarray:
    """Random numbers for `choose`, each from the exponential distribution of mean 1."""
    return np.maximum(stream.standard_exponential(size), np.finfo(np.float64).tiny)


def choose(
    logits: torch.Tensor, noise: np.ndarray, temperature: float, top_p: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one token a row: the one whose weight is most, divided by its number in `noise`.

    Of exponential numbers e (B, V), each of mean 1, argmax p / e is drawn from p; it is the
    Gumbel-max trick. Two like distributions mostly give the same token for the same numbers, which
    no cut of a cumulative sum does as well: that is what lets a guess come true (draft.py).

    logits (B, V) -> token ids (B,), their log-probabilities in nats under the distribution drawn
    from (B,). top_p keeps the smallest set of most probable tokens that reaches that mass (nucleus
    sampling, Holtzman et al. 2020).
    """
    weights = weigh(logits, temperature, top_p)
    chosen = np.argmax(weights / noise, axis=1)
    return chosen, np.log(weights[np.arange(len(chosen)), chosen] / weights.sum(axis=1))


def weigh(logits: torch.Tensor, temperature: float, top_p: float) -> np.ndarray:
    """What a token is drawn by: weights (B, V) in proportion to its probability, 0 if cut off."""
    scaled = logits.double().cpu().numpy() / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    weights: np.ndarray = np.exp(scaled, out=scaled)
    return _nucleus(weights, top_p) if top_p < 1 else weights


def _nucleus(weights: np.ndarray, top_p: float) -> np.ndarray:
    """Weights (B, V) with 0 outside the smallest set of the largest that reaches `top_p` of all.

    Tokens of less than (1 - top_p) / V of the whole have less than 1 - top_p together, so they are
    never in the set, and only the others are sorted.
    """
    totals = weights.sum(axis=1, keepdims=True)
    size = weights.shape[1]
    count = int((weights >= (1 - top_p) * totals / size).sum(axis=1).max())
    if count < size:
        places = np.sort(np.argpartition(-weights, count - 1, axis=1)[:, :count], axis=1)
    else:
        places = np.broadcast_to(np.arange(size), weights.shape)
    found = np.take_along_axis(weights, places, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    found = np.take_along_axis(found, order, axis=1)
    before = np.cumsum(found, axis=1) - found
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, places, np.where(before < top_p * totals, found, 0.0), axis=1)
    return kept


def mask_logits(logits: torch.Tensor, allowed: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Logits (B, V) without what is not `allowed` (B, V); -log of the mass that was left (B,)."""
    kept = torch.from_numpy(allowed).to(logits.device)
    without = logits.masked_fill(~kept, float("-inf"))
    taken = torch.logsumexp(logits, 1) - torch.logsumexp(without, 1)
    return without, taken.clamp(min=0).cpu().numpy()


def take_off(logits: torch.Tensor, costs: Sequence[np.ndarray | None]) -> torch.Tensor:
    """Logits (B, V) less the costs (V,) of each row, in nats; None where a row has none."""
    places = [place for place, cost in enumerate(costs) if cost is not None]
    if not places:
        return logits
    dearer = logits.clone()
    taken = np.stack([cost for cost in costs if cost is not None])
    dearer[places] -= torch.from_numpy(taken).to(logits)
    return dearer
