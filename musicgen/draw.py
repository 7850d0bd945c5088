"""Drawing one token a row from logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def choose(
    logits: torch.Tensor, uniforms: Sequence[float], temperature: float, top_p: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one token a row by inverting the cumulative distribution at `uniforms`.

    logits (B, V) -> token ids (B,), their log-probabilities in nats under the distribution drawn
    from (B,). top_p keeps the smallest set of most probable tokens that reaches that mass (nucleus
    sampling, Holtzman et al. 2020).
    """
    scaled = logits.double().cpu().numpy() / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled)
    if top_p < 1:
        weights = _nucleus(weights, top_p)
    sums = np.cumsum(weights, axis=1)
    targets = np.asarray(uniforms)[:, None] * sums[:, -1:]
    # a token of no weight never is the first whose sum is above the target; rounding may leave none
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
    chosen = np.minimum((sums <= targets).sum(axis=1), last)
    rows = np.arange(len(chosen))
    return chosen, np.log(weights[rows, chosen] / sums[:, -1])


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
