"""How full a bar is after each token: two extra training targets that teach a small model to count.

Whether a bar is full decides whether a tune is sound, but it costs few bits, so a language model
learns it late. Two losses tell it directly, in training only; the model stays a plain GPT-2.

1. Position: a linear head on a middle layer predicts the length since the bar line; the head is
   thrown away afterwards.
2. Grammar: the probability that the next token keeps the bar fillable should be 1, so the loss is
   minus the log of that probability ("semantic loss", Xu et al. 2018). What a bar allows is stated
   leniently: where a real tune does otherwise, the loss is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

IGNORED = -100
SHORTEST = 8  # bars: shorter tunes do not pass the gate, so none is trained on
_NOTE = re.compile(r" ?(?:[_^=]{0,2}[A-Ga-g][,']*|[zx])(?P<length>[0-9]*(?:/[0-9]+)?)")
_TUPLET = re.compile(r" ?\((?P<p>[2-9])")
_BAR_LINE = re.compile(r":*\|+[:\]]?(?:[0-9][0-9,-]*)?\n?|::|\[\|")
_HEADER = re.compile(r"(?P<letter>[A-Za-z]):(?P<value>.*)\n")
_METER = re.compile(r"(\d+)/(\d+)")
# p notes in the time of q (ABC 2.1, section 4.13); 5, 7, 9 take 3 in compound meters, else 2
_TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


class BarState(NamedTuple):
    """Where a tune stands after a token; lengths in units of L:. `place` None: not known."""

    place: Fraction | None = None  # length since the last bar line
    bar: Fraction | None = None  # length of a full bar; None in free meter
    opening: bool = False  # the first bar of a part, which may be a pick-up bar
    factor: Fraction = Fraction(1)  # of the tuplet that is open
    left: int = 0  # its notes to come
    unit: Fraction = Fraction(1, 8)
    meter: tuple[int, int] | None = None
    bar_lines: int = 0  # with music before them; counted up to SHORTEST


class BarGrammar:
    """Reads token ids of one tokenizer; remembers which tokens each state allows."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        rows: Iterable[Sequence[int]],
        *,
        min_count: int = 50,
    ) -> None:
        """`rows` are tunes as token ids; positions seen in fewer than `min_count` are rare."""
        self.words = {index: word for word, index in tokenizer.get_vocab().items()}
        self.end = tokenizer.eos_token_id
        self._lengths: dict[int, Fraction] = {}
        self._tuplets: dict[int, int] = {}
        self._bar_lines: dict[int, bool] = {}  # -> whether a part may end or begin there
        self._headers: dict[int, tuple[str, str]] = {}
        for index, word in self.words.items():
            if match := _NOTE.fullmatch(word):
                self._lengths[index] = _length(match["length"])
            elif match := _TUPLET.fullmatch(word):
                self._tuplets[index] = int(match["p"])
            elif _BAR_LINE.fullmatch(word):
                self._bar_lines[index] = not re.fullmatch(r"\|[0-9,-]*\n?", word)
            elif match := _HEADER.fullmatch(word):
                self._headers[index] = match["letter"], match["value"]
        self._ties = {index for index, word in self.words.items() if word == "-"}
        self._inline = {
            index for index, word in self.words.items() if re.fullmatch(r"\[[A-Za-z]:.+\]", word)
        }
        self._masks: dict[tuple[object, ...], int] = {}
        self._allowed_by = [np.ones(len(self.words), dtype=np.bool_)]
        counts = Counter(state.place for row in rows for state in self.states(row))
        kept = sorted(p for p, count in counts.items() if p is not None and count >= min_count)
        self._classes = {place: number for number, place in enumerate(kept)}

    @property
    def positions(self) -> int:
        """How many classes of bar positions there are."""
        return len(self._classes)

    def targets(self, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Both targets for each token but the last.

        A class of bar position: IGNORED in the header and at rare positions. Which of `masks` the
        next token falls under: 0 allows all.
        """
        states = list(self.states(ids[:-1]))
        positions = [
            IGNORED if state.place is None else self._classes.get(state.place, IGNORED)
            for state in states
        ]
        indices = [self._mask_index(state) for state in states]
        masks = [
            mask if self._allowed_by[mask][following] else 0
            for mask, following in zip(indices, ids[1:], strict=True)
        ]
        return positions, masks

    def masks(self) -> torch.Tensor:
        """(masks, V) booleans: what each mask allows; grows as states are met."""
        return torch.from_numpy(np.stack(self._allowed_by))

    def states(self, ids: Iterable[int]) -> Iterator[BarState]:
        """The state after each token."""
        state = BarState()
        for index in ids:
            state = self._after(state, index)
            yield state

    def _after(self, state: BarState, index: int) -> BarState:
        if (header := self._headers.get(index)) is not None:
            return _after_header(state, *header)
        if (boundary := self._bar_lines.get(index)) is not None:
            if state.meter is None and state.place is None and state.bar is None:
                return state
            return state._replace(
                place=Fraction(0),
                opening=boundary,
                factor=Fraction(1),
                left=0,
                bar_lines=min(SHORTEST, state.bar_lines + (state.place != 0)),
            )
        if state.place is None or index in self._ties or index == self.end:
            return state
        if (length := self._lengths.get(index)) is not None:
            left = max(0, state.left - 1)
            return state._replace(
                place=state.place + length * state.factor,
                left=left,
                factor=state.factor if left else Fraction(1),
            )
        if (p := self._tuplets.get(index)) is not None:
            compound = state.meter is not None and state.meter[0] in (6, 9, 12)
            return state._replace(
                factor=Fraction(_TUPLET_TIME.get(p, 3 if compound else 2), p), left=p
            )
        return state._replace(place=None)  # spelled out: not followed until the next bar line

    def _mask_index(self, state: BarState) -> int:
        if state.place is None or state.bar is None:
            return 0
        long_enough = state.bar_lines >= SHORTEST
        key = (state.place, state.bar, state.opening, state.factor, state.left > 0, long_enough)
        if key not in self._masks:
            self._masks[key] = len(self._allowed_by)
            allowed = [self._allows(state, index) for index in range(len(self.words))]
            self._allowed_by.append(np.array(allowed))
        return self._masks[key]

    def _allows(self, state: BarState, index: int) -> bool:
        """Whether the bar can still be filled exactly after this token."""
        place, bar = state.place, state.bar
        if place is None or bar is None:
            return True
        if (length := self._lengths.get(index)) is not None:
            return place + length * state.factor <= bar
        if (boundary := self._bar_lines.get(index)) is not None:
            if state.left:
                return False
            return place == bar or boundary or (state.opening and place > 0)
        if index in self._tuplets:
            return not state.left and place < bar
        if index == self.end:
            return place == 0 and state.bar_lines >= SHORTEST
        return index in self._ties or index in self._inline  # and nothing that is spelled out


def _after_header(state: BarState, letter: str, value: str) -> BarState:
    if letter == "M":
        match = _METER.fullmatch(value)
        state = state._replace(meter=(int(match[1]), int(match[2])) if match else None)
    elif letter == "L" and (match := _METER.fullmatch(value)):
        state = state._replace(unit=Fraction(int(match[1]), int(match[2])))
    elif letter == "K":
        bar = Fraction(*state.meter) / state.unit if state.meter else None
        state = state._replace(place=Fraction(0), bar=bar, opening=True)
    return state


def _length(text: str) -> Fraction:
    """A length as ABC writes it behind a note: "", "3", "/2", "3/2".

    >>> [str(_length(text)) for text in ("", "3", "/2", "3/2")]
    ['1', '3', '1/2', '3/2']
    """
    top, _, bottom = text.partition("/")
    return Fraction(int(top or 1), int(bottom or 1))


def grammar_loss(
    logits: torch.Tensor, mask_indices: torch.Tensor, masks: torch.Tensor
) -> torch.Tensor:
    """Mean of -log P(next token allowed), in nats a token that falls under a mask.

    logits (B, T, V), mask_indices (B, T) into masks (N, V); index 0 and IGNORED do not count.
    """
    under = mask_indices > 0
    if not under.any():
        return logits.sum() * 0
    chosen = logits[under].float()  # (n, V)
    forbidden = ~masks[mask_indices[under]]
    allowed = torch.logsumexp(chosen.masked_fill(forbidden, float("-inf")), -1)
    return (torch.logsumexp(chosen, -1) - allowed).mean()
