"""Which notes lie within a range of pitches, for every token of a vocabulary at once.

How high a note without accidental is depends on the key and on accidentals before it in the bar, in
any octave of its letter, as abc_tools reads them. A range may be a player's instrument's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from abc_tools import Note, Tune
from abc_tools.fields import FieldError, parse_key
from abc_tools.scanner import natural_pitch
from abc_tools.tune import LETTERS, MOVE_OF

# Lowest and highest note as written (a whistle sounds an octave higher), as MIDI pitch. Fiddle and
# banjo (tenor, an octave above its strings) in first position with the fourth finger stretched,
# flute and whistle in D, the uilleann chanter, a B/C accordion, the lever harp, a guitar to the
# twelfth fret.
INSTRUMENT_RANGES = {
    "fiddle": (55, 84), "flute": (62, 86), "whistle": (62, 86), "pipes": (62, 86),
    "accordion": (59, 93), "harp": (43, 93), "banjo": (55, 84), "guitar": (52, 88),
}  # fmt: skip

Moves = tuple[tuple[int, ...], tuple[int, ...]]  # of the key, in force now: C D E F G A B

_NOTE = re.compile(r" ?([_^=]{0,2})([A-Ga-g])([,']*)[0-9/]*")
_KEY = re.compile(r"\[?K:([^\]\n]*)(?:\]|\n)")
_LINE = re.compile(r"(?:\[\||:*\|+[:\]]?|::).*\n?")
_NO_MOVES = (0,) * 7


def instrument_range(instrument: str | None) -> tuple[int | None, int | None]:
    """Lowest and highest note of an instrument; ValueError, one line, for one that is not known."""
    if instrument is None:
        return None, None
    if instrument not in INSTRUMENT_RANGES:
        raise ValueError(f"no instrument {instrument!r}; choose {', '.join(INSTRUMENT_RANGES)}")
    return INSTRUMENT_RANGES[instrument]


class PitchRange:
    """The notes from `low` to `high`, both MIDI pitches that are allowed."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, low: int, high: int) -> None:
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        size = len(vocabulary)
        self._letters: dict[int, tuple[int, int | None]] = {}  # token -> letter, its accidental
        self._keys: dict[int, tuple[int, ...]] = {}
        self._lines: set[int] = set()
        self._natural = np.zeros(size, dtype=np.int64)
        self._letter = np.full(size, 7)  # 7: no note without accidental
        self._inside = np.ones(size, dtype=np.bool_)  # where nothing depends on what came before
        self.always = np.ones(size, dtype=np.bool_)  # within the range whatever came before
        for text, index in vocabulary.items():
            if match := _NOTE.fullmatch(text):
                accidental, letter, octaves = match.groups()
                step = LETTERS.index(letter.upper()) + 28 + 7 * letter.islower()
                step += 7 * (octaves.count("'") - octaves.count(","))
                move = MOVE_OF.get(accidental)
                pitch = natural_pitch(step)
                self._letters[index] = step % 7, move
                self._natural[index] = pitch
                if move is None:
                    self._letter[index] = step % 7
                    self.always[index] = low <= pitch - 1 and pitch + 1 <= high
                else:
                    self._inside[index] = self.always[index] = low <= pitch + move <= high
            elif match := _KEY.fullmatch(text):
                self._keys[index] = _alterations(match[1])
            elif _LINE.fullmatch(text):
                self._lines.add(index)
        self._low, self._high = low, high
        self._rows: dict[tuple[int, ...], NDArray[np.bool_]] = {}

    def begin(self, ids: Sequence[int]) -> Moves:
        """What is in force after a prompt."""
        moves: Moves = (_NO_MOVES, _NO_MOVES)
        for token in ids:
            moves = self.read(moves, token)
        return moves

    def read(self, moves: Moves, token: int) -> Moves:
        """What is in force after one more token."""
        key, now = moves
        if token in self._lines:
            return key, key
        if token in self._keys:
            return self._keys[token], self._keys[token]
        letter, move = self._letters.get(token, (0, None))
        if move is None:
            return moves
        return key, (*now[:letter], move, *now[letter + 1 :])

    def allowed(self, moves: Moves) -> NDArray[np.bool_]:
        """Tokens (V,) that are no notes, or notes within the range."""
        now = moves[1]
        if now not in self._rows:
            pitches = self._natural + np.array([*now, 0])[self._letter]
            inside = (self._low <= pitches) & (pitches <= self._high)
            self._rows[now] = np.where(self._letter < 7, inside, self._inside)
        return self._rows[now]


def _alterations(text: str) -> tuple[int, ...]:
    try:
        return tuple(parse_key(text).alterations)
    except FieldError:
        return _NO_MOVES


def pitches_of(tune: Tune) -> list[int]:
    """MIDI pitches of the notes as written."""
    return [e.pitch for bar in tune.bars for e in bar.elements if isinstance(e, Note)]
