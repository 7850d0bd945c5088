"""What a tune that repeats itself may write next, so that several tokens are read in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.draw import Noise

_MATCH, _GUESSED = 3, 5  # tokens that must have stood there before, and that are guessed


class Guesser:
    """Guesses how a tune goes on: as it did when its last tokens stood there before.

    A pass of the decoder takes nearly as long for a few tokens as for one, so the guess is read
    along with the last token of a tune that is written alone. What is drawn does not depend on it:
    each token is drawn from the logits behind those drawn before it, with its own random number.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[int, ...], int] = {}  # last tokens -> place behind them
        self._end = _MATCH

    def guess(self, text: Sequence[int], most: int, _noise: Noise | None = None) -> list[int]:
        """Up to `most` tokens that may follow; [] if the last ones are new."""
        for place in range(self._end, len(text)):
            self._places[tuple(text[place - _MATCH : place])] = place
        self._end = max(self._end, len(text))
        place = self._places.get(tuple(text[-_MATCH:]), len(text))
        return list(text[place : place + max(0, min(_GUESSED, most))])
