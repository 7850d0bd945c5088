"""The same tune in another key: scale degrees and their alterations are kept."""

from __future__ import annotations

import re
from dataclasses import replace

from abc_tools.canonical import canonical_text
from abc_tools.parser import parse_tune
from abc_tools.scanner import natural_pitch
from abc_tools.tune import (
    ACCIDENTAL_OF,
    LETTERS,
    Bar,
    Change,
    Chord,
    Element,
    Key,
    Mark,
    Note,
    Tune,
)

LOWEST, HIGHEST = 55, 88  # a fiddle in first position and a little above it: G3 to E6
_TONIC = re.compile(r"[A-G][#b]?")


def transpose(tune: Tune, tonic: str) -> Tune:
    """The first voice on another tonic ("Bb") in the same mode, as canonical text read again.

    Of the octaves that keep the tune within a fiddle's range, the one that moves it least. Keys
    that change inside the tune move by the same interval. Raises ValueError for a tonic that is
    none, or a tune without one (K:none, highland pipes).
    """
    if not _TONIC.fullmatch(tonic):
        raise ValueError(f'"{tonic}" is not a tonic: expected A to G, then # or b or nothing')
    bars = tune.bars
    key = bars[0].key if bars else tune.key
    if not _TONIC.fullmatch(key.tonic):
        raise ValueError(f'a tune in the key "{key.text}" has no tonic to move')
    move = _Move(tune, key.tonic, tonic)
    moved = tuple(_bar(bar, move) for bar in bars)
    voices = (tune.voices[0]._replace(bars=moved),) if tune.voices else ()
    return parse_tune(
        canonical_text(replace(tune, key=move.key(tune.key), voices=voices), tempo=bool(tune.tempo))
    )


class _Move:
    """An interval: `steps` on the staff, `semitones` in sound."""

    def __init__(self, tune: Tune, old: str, new: str):
        steps = LETTERS.index(new[0]) - LETTERS.index(old[0])
        semitones = _tonic_pitch(new) - _tonic_pitch(old)
        pitches = [
            note.pitch
            for bar in tune.bars
            for element in bar.elements
            for note in (element.notes if isinstance(element, Chord) else (element,))
            if isinstance(note, Note)
        ]
        low, high = min(pitches, default=60), max(pitches, default=60)

        def cost(octave: int) -> tuple[int, int]:
            by = semitones + 12 * octave
            outside = max(0, LOWEST - low - by) + max(0, high + by - HIGHEST)
            return outside, abs(by)

        octave = min((-2, -1, 0, 1, 2), key=cost)
        self.steps = steps + 7 * octave
        self.semitones = semitones + 12 * octave

    def key(self, key: Key) -> Key:
        """The key with its signature and explicit accidentals moved; one without tonic stays."""
        if not _TONIC.fullmatch(key.tonic):
            return key
        moves = [0] * 7
        for letter, alteration in enumerate(key.alterations):
            step, pitch = self.note(28 + letter, natural_pitch(28 + letter) + alteration)
            moves[step % 7] = pitch - natural_pitch(step)
        explicit = []
        for name, _ in key.explicit:
            letter = (LETTERS.index(name.upper()) + self.steps) % 7
            explicit.append((LETTERS[letter].lower(), moves[letter]))
        return Key(self.tonic(key.tonic), key.mode, tuple(explicit), tuple(moves), key.shift)

    def tonic(self, name: str) -> str:
        """A tonic or the root of a chord symbol, moved."""
        step = 28 + LETTERS.index(name[0])
        step, pitch = self.note(step, 60 + _tonic_pitch(name))
        alteration = pitch - natural_pitch(step)
        return LETTERS[step % 7] + ("#" * alteration if alteration > 0 else "b" * -alteration)

    def note(self, step: int, pitch: int) -> tuple[int, int]:
        """(step, pitch) moved; one that would need three sharps or flats is spelled otherwise."""
        step, pitch = step + self.steps, pitch + self.semitones
        while pitch - natural_pitch(step) > 2:
            step += 1
        while pitch - natural_pitch(step) < -2:
            step -= 1
        return step, pitch


def _tonic_pitch(name: str) -> int:
    """Semitones of a tonic above C."""
    return natural_pitch(28 + LETTERS.index(name[0])) - 60 + name.count("#") - name.count("b")


def _bar(bar: Bar, move: _Move) -> Bar:
    elements = tuple(_element(element, move) for element in bar.elements)
    return bar._replace(elements=elements, key=move.key(bar.key))


def _element(element: Element, move: _Move) -> Element:
    if isinstance(element, Note):
        return _note(element, move)
    if isinstance(element, Chord):
        notes = tuple(_note(note, move) for note in element.notes)
        return element._replace(notes=notes, marks=_marks(element.marks, move))
    if isinstance(element, Change) and isinstance(element.value, Key):
        return element._replace(value=move.key(element.value))
    return element


def _note(note: Note, move: _Move) -> Note:
    step, pitch = move.note(note.step, note.pitch)
    accidental = ACCIDENTAL_OF[pitch - natural_pitch(step)] if note.accidental else ""
    return note._replace(
        step=step, pitch=pitch, accidental=accidental, marks=_marks(note.marks, move)
    )


def _marks(marks: tuple[Mark, ...], move: _Move) -> tuple[Mark, ...]:
    if not marks:
        return marks
    return tuple(_mark(mark, move) for mark in marks)


def _mark(mark: Mark, move: _Move) -> Mark:
    if mark.kind == "grace":
        return mark._replace(data=tuple(_note(note, move) for note in mark.data))
    if mark.kind == "chord symbol":
        text = re.sub(r'(?<=["/(])[A-G][#b]?', lambda root: move.tonic(root[0]), mark.text)
        return mark._replace(text=text)
    return mark
