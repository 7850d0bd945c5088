"""Makes it dearer, note by note, for a tune to go round in a circle.

Models that are sure of themselves fall into loops (Holtzman et al. 2020), printed tunes hardly
ever do. While a tune is drawn, the approximate-tandem score (abc_tools/repetition.py) of the loop
that it may be in is kept for each period. Above FREE, which 2.5% of printed tunes ever reach, each
point takes `cost` nats off the note that would go on with the loop, so a loop is left while it is
short.
A tune with more than 16 points is not served; no printed tune that passes the gate has so many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from abc_tools.repetition import LONGEST_PERIOD

FREE = 4.0  # points
_MISMATCH = 3.0
_NOTE = re.compile(r" ?(?P<sound>(?:[_^=]{0,2}[A-Ga-g][,']*|z)[0-9]*(?:/[0-9]*)?)")


class LoopGuard:
    """Which tokens of one vocabulary are the same note, and what loops cost."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, cost: float) -> None:
        """`cost` in nats for each point of the score above FREE."""
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        self.cost = cost
        self.notes = np.full(len(vocabulary), -1)  # token -> number of its note, -1 for no note
        numbers: dict[str, int] = {}
        for text, index in vocabulary.items():
            if match := _NOTE.fullmatch(text):
                self.notes[index] = numbers.setdefault(match["sound"], len(numbers))
        self._count = len(numbers)

    def begin(self, prompt: Iterable[int]) -> LoopState:
        """The state behind the tokens of `prompt`."""
        state = LoopState()
        for token in prompt:
            self.read(state, token)
        return state

    def read(self, state: LoopState, token: int) -> None:
        """Take in the token that was drawn."""
        note = self.notes[token]
        if note < 0:
            return
        alike = state.latest == note
        state.running = np.maximum(state.running, 0.0) + np.where(alike, 1.0, -_MISMATCH)
        state.latest = np.concatenate([[note], state.latest[:-1]])

    def costs(self, state: LoopState) -> NDArray[np.float64] | None:
        """Nats (V,) to be taken off the logits of each token; None where nothing is."""
        points = state.running - _PERIODS - FREE
        if points.max() <= 0:
            return None
        of_notes = np.zeros(self._count + 1)  # the last for what is no note
        np.maximum.at(of_notes, state.latest, np.maximum(points, 0.0))
        of_notes[-1] = 0.0
        return np.asarray(self.cost * of_notes[self.notes])


class LoopState:
    """One tune's last notes, the latest first, and the score of each period, its length not yet
    taken off."""

    __slots__ = ("latest", "running")

    def __init__(self) -> None:
        self.latest = np.full(LONGEST_PERIOD, -1)
        self.running = np.zeros(LONGEST_PERIOD)


_PERIODS = np.arange(1, LONGEST_PERIOD + 1)
