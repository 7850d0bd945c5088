"""An interpolated Kneser-Ney n-gram model over token ids, counted with sorted integer codes.

Modified Kneser-Ney smoothing (Chen & Goodman 1999, section 5): the highest order counts n-grams, a
lower one in how many contexts an n-gram occurs; each count gives up a discount that depends on
whether it is 1, 2 or more, and what was taken goes to the next lower order, at last to 1/V.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class _Order:
    """One order: its n-grams and their contexts, both sorted, as codes of `bits` a token."""

    grams: Codes  # (G,)
    kept: NDArray[np.float64]  # (G,) counts less their discounts
    contexts: Codes  # (C,)
    totals: NDArray[np.float64]  # (C,) counts of a context
    left: NDArray[np.float64]  # (C,) share that goes to the next lower order


class KneserNey:
    """P(token | the order - 1 tokens before it), counted over rows of token ids."""

    def __init__(self, rows: Sequence[Sequence[int]], vocabulary: int, order: int = 5) -> None:
        """Each row begins with its begin mark, which is given, and is padded with it in front."""
        self.vocabulary, self.order = vocabulary, order
        self._bits = vocabulary.bit_length()
        if self._bits * order > 62:
            raise ValueError(f"{vocabulary} words are too many for codes of {order} tokens")
        codes = np.concatenate([self._codes(row) for row in rows])
        grams, counts = np.unique(codes, return_counts=True)
        orders = [self._smoothed(grams, counts)]
        for length in range(order - 1, 0, -1):
            # how many different tokens stand before each shorter n-gram
            shorter = grams & ((1 << (self._bits * length)) - 1)
            grams, counts = np.unique(shorter, return_counts=True)
            orders.append(self._smoothed(grams, counts))
        self._orders = orders[::-1]  # from one token to the longest

    def row_nats(self, row: Sequence[int]) -> float:
        """-log of the probability of a row behind its begin mark."""
        codes = self._codes(row)
        probability = np.full(len(codes), 1 / self.vocabulary)
        for length, found in enumerate(self._orders, start=1):
            grams = codes & ((1 << (self._bits * length)) - 1)
            context, known = _places(found.contexts, grams >> self._bits)
            place, seen = _places(found.grams, grams)
            share = np.where(known, found.left[context], 1.0)
            own = np.where(seen, found.kept[place], 0.0)
            probability = probability * share + np.where(known, own / found.totals[context], 0.0)
        return float(-np.log(probability).sum())

    def distribution(self, before: Sequence[int]) -> NDArray[np.float64]:
        """Probability of each token (V,) behind the tokens `before`, the begin mark first."""
        padded = [before[0]] * (self.order - 1) + list(before)
        probability = np.full(self.vocabulary, 1 / self.vocabulary)
        mask = (1 << self._bits) - 1
        for length, found in enumerate(self._orders, start=1):
            code = 0
            for token in padded[len(padded) - length + 1 :]:
                code = code << self._bits | token
            place = int(np.searchsorted(found.contexts, code))
            if place == len(found.contexts) or found.contexts[place] != code:
                break
            first, last = np.searchsorted(
                found.grams, [code << self._bits, (code + 1) << self._bits]
            )
            probability *= found.left[place]
            tokens = found.grams[first:last] & mask
            probability[tokens] += found.kept[first:last] / found.totals[place]
        return probability

    def sample(
        self, begin: int, end: int, rng: np.random.Generator, longest: int = 512
    ) -> list[int]:
        """A row drawn from the model, from the begin mark to the end mark or `longest` tokens."""
        row = [begin]
        while len(row) < longest and row[-1] != end:
            sums = np.cumsum(self.distribution(row))
            row.append(int(np.searchsorted(sums, rng.random() * sums[-1], side="right")))
        return row

    def _codes(self, row: Sequence[int]) -> Codes:
        """A code a token but for the begin mark: itself in the lowest bits, then those before."""
        ids = np.array([row[0]] * (self.order - 1) + list(row), dtype=np.int64)
        count = len(row) - 1
        codes = np.zeros(count, dtype=np.int64)
        for place in range(self.order):
            codes = codes << self._bits | ids[place + 1 : place + 1 + count]
        return codes

    def _smoothed(self, grams: Codes, counts: NDArray[np.int64]) -> _Order:
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        contexts, first = np.unique(grams >> self._bits, return_index=True)
        totals = np.add.reduceat(counts, first).astype(np.float64)
        left = np.add.reduceat(discounts, first) / totals
        return _Order(grams, counts - discounts, contexts, totals, left)


def _discounts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """What counts of 0, 1, 2 and 3 or more give up, from how often each occurs (equation 26)."""
    n = [int((counts == number).sum()) for number in (1, 2, 3, 4)]
    if min(n) == 0:
        return np.array([0.0, 0.5, 0.75, 0.9])  # too few n-grams to estimate from
    y = n[0] / (n[0] + 2 * n[1])
    found = [0.0] + [k - (k + 1) * y * n[k] / n[k - 1] for k in (1, 2, 3)]
    return np.clip(found, [0.0, 0.05, 0.05, 0.05], [0.0, 0.95, 1.9, 2.9])


def _places(known: Codes, wanted: Codes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each code stands in a sorted array (some place if it does not), and whether it does."""
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return places, known[places] == wanted
