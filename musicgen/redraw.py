"""Bars drawn anew between bars that stay: so many, of given lengths, leading to what follows.

A language model writes from left to right, so what stands behind a gap cannot steer what is drawn
into it. Several fillings are drawn instead, and one of them is chosen with a probability
proportional to that which the model gives the passage behind the gap after it: sampling importance
resampling (Rubin 1987), here with the Gumbel-max trick. With many fillings this draws from the
model's own distribution of fillings given both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from musicgen.draw import choose, exponentials, mask_logits
from musicgen.grammar_mask import GrammarMask
from musicgen.sample import SampleError, SampleOptions, TuneSampler
from musicgen.tune_grammar import TuneState

FILLINGS = 24  # that are drawn for one gap
HORIZON = 96  # tokens behind the gap that count: twelve bars of eighths
_LONGEST_BAR = 40  # tokens


@dataclass(frozen=True)
class Slot:
    """A bar to be drawn: its length in ticks, and the tokens behind it, which are given."""

    ticks: int
    line: tuple[int, ...]


class _Filling:
    """One row: what it has drawn so far and where it stands."""

    def __init__(self, mask: GrammarMask, bar: TuneState, slots: Sequence[Slot]) -> None:
        self._mask, self._bar = mask, bar
        self._slots = list(slots)
        self._given: list[int] = []  # tokens that are written without drawing
        self.ids: list[int] = []
        self.bars: list[list[int]] = [[]]
        self._begin_slot()

    def _begin_slot(self) -> None:
        if self._slots:
            # only the length of what is drawn matters here, not where in the tune it stands
            self._state = TuneState(
                body=True,
                bar=self._slots[0].ticks,
                unit=self._bar.unit,
                compound=self._bar.compound,
            )

    @property
    def done(self) -> bool:
        return not self._slots and not self._given

    @property
    def given(self) -> bool:
        """Whether the next token is not to be drawn."""
        return bool(self._given)

    def allowed(self) -> np.ndarray:
        return self._mask.filling(self._state)

    def write(self, token: int | None = None) -> None:
        """The token that was drawn, or the one that is given."""
        if token is None:
            self.ids.append(self._given.pop(0))
            return
        self.ids.append(token)
        self.bars[-1].append(token)
        self._state = self._mask.read(self._state, token)
        if self._mask.is_full(self._state):
            self._given += self._slots.pop(0).line
            if self._slots:
                self.bars.append([])
            self._begin_slot()


def redraw(
    sampler: TuneSampler,
    before: Sequence[int],
    slots: Sequence[Slot],
    after: Sequence[int],
    options: SampleOptions,
    row: int = 0,
    *,
    avoid: Sequence[Sequence[int]] = (),
    fillings: int = FILLINGS,
) -> list[list[int]]:
    """Token ids of the bars, one for each slot, in the gap between `before` and `after`.

    The same seed and row give the same bars. `avoid` is a filling that is not wanted. Raises
    SampleError where the model reads fewer tokens than there are, or no filling came to an end.
    """
    decoder = sampler.decoder
    room = decoder.context - len(before)
    longest = min(room, _LONGEST_BAR * len(slots) + sum(len(slot.line) for slot in slots))
    if room < 8 * len(slots) + min(len(after), 8):
        raise SampleError(
            f"the model reads {decoder.context} tokens, too few for this tune: give fewer bars"
        )
    with torch.inference_mode():
        ids = torch.tensor([list(before)], device=decoder.device)
        cache = decoder.new_cache(1, len(before))
        logits = decoder(ids, 0, cache)
        state = sampler.mask.begin(before)
        rows = [_Filling(sampler.mask, state, slots) for _ in range(fillings)]
        drawn = _draw(sampler, cache, logits, rows, options, row, longest)
        wanted = [filling for filling in drawn if filling.bars != list(avoid)]
        if not wanted:
            raise SampleError("no other bars came of this: take more bars, or a higher temperature")
        weights = _weights(sampler, cache, [each.ids for each in wanted], after[:HORIZON])
    stream = np.random.Generator(np.random.Philox([options.seed, row, fillings]))
    return wanted[int(np.argmax(weights + stream.gumbel(size=len(weights))))].bars


def _draw(
    sampler: TuneSampler,
    before: torch.Tensor,
    logits: torch.Tensor,
    rows: Sequence[_Filling],
    options: SampleOptions,
    row: int,
    longest: int,
) -> list[_Filling]:
    """The rows that came to an end in time, written side by side.

    `before` is the cache of the passage before the gap, `logits` (1, V) those behind it.
    """
    decoder = sampler.decoder
    position = before.shape[4]
    cache = decoder.new_cache(len(rows), position + longest)
    cache[:, :, :, :, :position] = before
    logits = logits.expand(len(rows), -1)
    streams = [
        np.random.Generator(np.random.Philox([options.seed, row, place]))
        for place in range(len(rows))
    ]
    for _ in range(longest):
        drawing = [place for place, each in enumerate(rows) if not (each.done or each.given)]
        if drawing:
            allowed = np.stack([rows[place].allowed() for place in drawing])
            offered, _ = mask_logits(logits[drawing], allowed)
            noise = np.stack([exponentials(streams[p], offered.shape[1]) for p in drawing])
            chosen, _ = choose(offered, noise, options.temperature, options.top_p)
        tokens = dict(zip(drawing, map(int, chosen), strict=True)) if drawing else {}
        for place, each in enumerate(rows):
            if not each.done:
                each.write(tokens.get(place))
        if all(each.done for each in rows) or position + 1 >= cache.shape[4]:
            break
        # a row that is done reads its last token again: nobody looks at what comes of it
        ids = torch.tensor([[each.ids[-1]] for each in rows], device=decoder.device)
        logits = decoder(ids, position, cache)
        position += 1
    return [each for each in rows if each.done]


def _weights(
    sampler: TuneSampler,
    before: torch.Tensor,
    fillings: Sequence[Sequence[int]],
    after: Sequence[int],
) -> np.ndarray:
    """Log-probability of `after` behind each filling (F,), as far as the model reads."""
    decoder = sampler.decoder
    start = before.shape[4]
    pad = int(sampler.tokenizer.pad_token_id)
    room = decoder.context - start
    rows = [[*filling, *after][:room] for filling in fillings]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad, device=decoder.device)
    counts = torch.zeros((len(rows), width - 1), dtype=torch.bool, device=decoder.device)
    for place, (row, filling) in enumerate(zip(rows, fillings, strict=True)):
        ids[place, : len(row)] = torch.tensor(row)
        counts[place, len(filling) - 1 : len(row) - 1] = True
    cache = decoder.new_cache(len(rows), start + width)
    cache[:, :, :, :, :start] = before
    logprobs = decoder.token_logprobs(ids, start, cache)
    return (logprobs.double() * counts).sum(1).cpu().numpy()
