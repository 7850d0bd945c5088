"""What one row of a batch is held to while it is drawn, and openings that cannot be held to it."""

from __future__ import annotations

import numpy as np

from abc_tools import parse_tune
from musicgen.grammar_mask import GrammarMask
from musicgen.header import RequestError, TuneRequest
from musicgen.pitch_range import PitchRange, pitches_of


class RowRule:
    """What one row is held to: the grammar, a plan of its parts, a range of pitches."""

    def __init__(
        self,
        mask: GrammarMask,
        pitches: PitchRange | None,
        prompt: list[int],
        plan: tuple[int, ...] | None,
    ) -> None:
        self._mask, self._pitches = mask, pitches
        self._state = mask.begin(prompt, plan)
        self._moves = pitches.begin(prompt) if pitches else None

    def needed(self) -> int:
        """Tokens to the nearest sound end."""
        return self._mask.needed(self._state)

    def allowed(self, left: int) -> np.ndarray:
        """Tokens (V,) that may come next where `left` may still be written."""
        allowed = self._mask.allowed(self._state, left)
        if self._pitches is None or self._moves is None:
            return allowed
        inside = allowed & self._pitches.allowed(self._moves)
        return inside if inside.any() else allowed

    def read(self, token: int) -> None:
        self._state = self._mask.read(self._state, token)
        if self._pitches is not None and self._moves is not None:
            self._moves = self._pitches.read(self._moves, token)


def check_opening(request: TuneRequest) -> None:
    """Raises RequestError for an opening that leaves the range asked for."""
    if not request.opening or (request.low is None and request.high is None):
        return
    header = f"X:1\nM:{request.meter or '4/4'}\nL:1/8\nK:{request.key or 'C'}\n"
    pitches = pitches_of(parse_tune(header + request.opening))
    low, high = request.low or 0, 127 if request.high is None else request.high
    if pitches and not low <= min(pitches) <= max(pitches) <= high:
        raise RequestError(
            f"the opening goes from pitch {min(pitches)} to {max(pitches)}, outside the range "
            f"{low} to {high}: change one of them"
        )
