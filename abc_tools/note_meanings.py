"""The text of a note -> pitch and length, under a unit length; remembered.

Tunes write the same few hundred notes again and again, so what one means is worked out once for all
tunes. A note that is faulty is not remembered: it must be reported wherever it stands.
"""

from __future__ import annotations

from functools import lru_cache

from abc_tools.scanner import natural_pitch, note_parts, note_token, only_a_note, token_kind
from abc_tools.tune import WHOLE

LONGEST_NOTE = 64 * WHOLE
STEPS = 80  # white keys that a note can lie on, and a few more
_MOST_REMEMBERED = 2048  # texts under one unit length, each of at most so many characters:
_LONGEST_REMEMBERED = 12

# (accidental, its move or None, slot among the moves in force, step, natural pitch, ticks,
# characters). A plain tuple: it is taken apart at every note, which costs a NamedTuple more.
NoteMeaning = tuple[str, int | None, int, int, int, int, int]


class NoteMeanings(dict[str, NoteMeaning | None]):
    """Text of a token -> its meaning, None if it is anything but a sound note with blanks after it.

    >>> note_meanings(WHOLE // 8, "pitch")["^c2 "] == ("^", 1, 0, 35, 72, WHOLE // 4, 3)
    True
    """

    def __init__(self, unit: int, spread: str):
        super().__init__()
        self.unit = unit
        self.spread = spread
        self.with_tail = NotesWithTail(self)

    def __missing__(self, text: str) -> NoteMeaning | None:
        note = only_a_note(text)
        meaning = _sound_meaning(note, self.unit, self.spread) if note else None
        if len(text) <= _LONGEST_REMEMBERED and len(self) < _MOST_REMEMBERED:
            self[text] = meaning
        return meaning


class NotesWithTail(dict[str, tuple[NoteMeaning, str, str] | None]):
    """Text of a token -> (meaning of its note, its tail, its broken rhythm), None if it is anything
    but a sound note.

    >>> note_meanings(WHOLE // 8, "pitch").with_tail["c2)>"][1:]
    (')', '>')
    """

    def __init__(self, meanings: NoteMeanings):
        super().__init__()
        self.meanings = meanings

    def __missing__(self, text: str) -> tuple[NoteMeaning, str, str] | None:
        kind, own_text = token_kind(text)
        note, tail, broken = note_token(own_text) if kind == "note" else ("", "", "")
        meaning = self.meanings[note] if note else None
        found = (meaning, tail, broken) if meaning else None
        if len(text) <= _LONGEST_REMEMBERED and len(self) < _MOST_REMEMBERED:
            self[text] = found
        return found


@lru_cache(maxsize=16)
def note_meanings(unit: int, spread: str) -> NoteMeanings:
    """The meanings under one unit length, the same object for every tune that has it."""
    return NoteMeanings(unit, spread)


def _sound_meaning(note: str, unit: int, spread: str) -> NoteMeaning | None:
    """The meaning of a note, None if anything is wrong with it."""
    accidental, move, step, above, below = note_parts(note)
    ticks, fault = length_ticks(unit, above, below)
    natural = natural_pitch(step)
    if fault or not 0 <= natural <= 127:
        return None
    return accidental, move, slot(step, spread, move is not None), step, natural, ticks, len(note)


def slot(step: int, spread: str, has_accidental: bool) -> int:
    """Where among the moves in force a note reads its own, or writes it."""
    if spread == "octave":
        return max(0, min(step, STEPS - 1))
    return step % 7 + (7 if spread == "not" and has_accidental else 0)


def length_ticks(unit: int, above: int, below: int) -> tuple[int, str]:
    """(ticks of a written length, what is wrong with it or "")."""
    if not above or not below:
        return unit, "a length of nothing: expected a number above 0"
    ticks, left = divmod(unit * above, below)
    if ticks > LONGEST_NOTE:
        return unit, f"this lasts {ticks // WHOLE} whole notes: expected at most 64"
    if left or not ticks:
        return max(1, ticks), "a length that cannot be played: expected a power of 2 after the /"
    return ticks, ""
