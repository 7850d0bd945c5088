"""What a tune is made of: immutable values, exact lengths, and a span of the source on each.

Lengths are whole numbers of ticks, `WHOLE` of them in a whole note. `WHOLE` is divisible by every
number that note lengths are divided by in practice (4096ths; triplets in triplets; quintuplets; 7,
11, 13, 17, 19), so sums are exact without the cost of `Fraction`, which the `length` properties
give. A length that does not fit is reported as `note-length` and rounded to the nearest tick.

The elements are NamedTuples and not frozen dataclasses: a tune has hundreds, and they are made four
times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from abc_tools.errors import Diagnostic

WHOLE = 2**12 * 3**3 * 5**2 * 7 * 11 * 13 * 17 * 19  # ticks in a whole note
LETTERS = "CDEFGAB"


class Span(NamedTuple):
    """Offsets into `Tune.source`, end excluded."""

    start: int
    end: int


class Key(NamedTuple):
    """A key: tonic ("F#"), mode ("", "min", "dor", ...) and explicit accidentals.

    `alterations` holds, for C D E F G A B, the semitones that a note without accidental is moved.
    `shift` is the semitones by which the whole voice sounds higher (clef octave, `transpose=`).
    `tonic` is "" for `K:none` and keys that were not understood, "HP" for highland pipes.
    """

    tonic: str
    mode: str
    explicit: tuple[tuple[str, int], ...]
    alterations: tuple[int, ...]
    shift: int = 0

    @property
    def tonic_pitch(self) -> int | None:
        """Pitch class of the tonic, 0 for C; None for a key without one. Highland pipes play in A.

        >>> Key("Bb", "", (), (0,) * 7).tonic_pitch, Key("F#", "min", (), (0,) * 7).tonic_pitch
        (10, 6)
        """
        if self.tonic in ("", "HP"):
            return 9 if self.tonic else None
        moved = self.tonic.count("#") - self.tonic[1:].count("b")
        return ("C.D.EF.G.A.B".index(self.tonic[0]) + moved) % 12

    @property
    def text(self) -> str:
        """As the canonical text spells it: D, Amin, Ador, Emix, Dphr, D ^g, none."""
        name = (self.tonic + self.mode) or "none"
        words = [name, *(ACCIDENTAL_OF[move] + note for note, move in self.explicit)]
        return " ".join([*words, f"transpose={self.shift}"] if self.shift else words)


class Meter(NamedTuple):
    """A meter; `ticks` is the length of a bar, 0 for free meter; `text` the canonical spelling."""

    text: str
    numerator: int
    denominator: int
    ticks: int

    @property
    def length(self) -> Fraction | None:
        """Length of a bar in whole notes, None for free meter."""
        return Fraction(self.numerator, self.denominator) if self.ticks else None

    @property
    def compound(self) -> bool:
        """6/8, 9/8, 12/8 and the like: beats of three."""
        return self.numerator % 3 == 0 and self.numerator > 3 and self.denominator >= 8


class Tempo(NamedTuple):
    """`beats_per_minute` beats of `beat` ticks; 0 beats means that only words were given."""

    beat: int
    beats_per_minute: float
    words: str = ""

    @property
    def quarters_per_minute(self) -> float:
        return self.beats_per_minute * self.beat * 4 / WHOLE


class Mark(NamedTuple):
    """Something written before a note.

    kind: "slur", "tuplet", "chord symbol", "annotation", "decoration" or "grace". `text` is the
    canonical spelling, of grace notes the opening only. `data` is (p, q, r) of a tuplet; the notes
    of a grace, an unmarked one counting as an eighth whatever the unit length.
    """

    kind: str
    text: str
    start: int
    end: int
    data: tuple = ()


class Note(NamedTuple):
    """A note. `step` counts white keys (C4, the middle C, is 28), `pitch` is the MIDI number.

    `ticks` is its length as played, `written` the length before a tuplet changes it.
    `accidental` is the one written at this note ("" for none), `closes` the slurs that end here.
    """

    pitch: int
    step: int
    accidental: str
    ticks: int
    written: int
    tied: bool
    marks: tuple[Mark, ...]
    closes: int
    start: int
    end: int

    @property
    def length(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, WHOLE)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


class Chord(NamedTuple):
    """Notes that start together. Its own `ticks` say when the next element starts."""

    notes: tuple[Note, ...]
    ticks: int
    written: int
    marks: tuple[Mark, ...]
    closes: int
    start: int
    end: int

    @property
    def length(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, WHOLE)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


class Rest(NamedTuple):
    """A silence; `bars` counts the bars of a multi-bar rest (Z), else 0."""

    ticks: int
    written: int
    visible: bool
    bars: int
    marks: tuple[Mark, ...]
    closes: int
    start: int
    end: int

    @property
    def length(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, WHOLE)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


class Change(NamedTuple):
    """A change of key (K), meter (M) or tempo (Q) inside the tune body."""

    field: str
    value: Key | Meter | Tempo
    start: int
    end: int


class Overlay(NamedTuple):
    """`&`: time goes back to the start of the bar and a second layer follows."""

    start: int
    end: int


Element = Note | Chord | Rest | Change | Overlay


class Bar(NamedTuple):
    """What stands between two barlines (or a repeat sign, an ending, a part label).

    ticks         length of its first layer
    opens         0, or n if a sign for n repeats (`|:` one, `|::` two) stands before it
    closes        the same for `:|` after it
    ending        numbers of the ending that starts here: (1,) for `[1`, (1, 3) for `[1,3`
    part          label of the part (P:) that starts here
    double_before, double_after    `||`, `[|`, `|]`
    joined        no barline stands before it: the bar was cut by `[1` or P:
    closed        a barline stands after it
    key, meter    in force where it starts
    """

    elements: tuple[Element, ...]
    ticks: int
    start: int
    end: int
    opens: int
    closes: int
    ending: tuple[int, ...]
    part: str
    double_before: bool
    double_after: bool
    joined: bool
    closed: bool
    key: Key
    meter: Meter

    @property
    def length(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, WHOLE)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


class Voice(NamedTuple):
    """One voice of a tune; most tunes have one, named "1"."""

    name: str
    bars: tuple[Bar, ...]


class NoteColumns(NamedTuple):
    """Notes by column: for each field of `Note`, a tuple with an item a note."""

    pitches: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    accidentals: tuple[str, ...] = ()
    ticks: tuple[int, ...] = ()
    written: tuple[int, ...] = ()
    tied: tuple[bool, ...] = ()
    marks: tuple[tuple[Mark, ...], ...] = ()
    closes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @classmethod
    def of(cls, notes: Sequence[Note]) -> NoteColumns:
        """The columns of notes, in their order."""
        return cls._make(zip(*notes, strict=True)) if notes else cls()


_ONLY_NOTES = {Note}


def note_columns(bars: tuple[Bar, ...]) -> NoteColumns | None:
    """The notes of bars that hold nothing else, as most do; None for others."""
    elements: list = list(chain.from_iterable([bar.elements for bar in bars]))
    return NoteColumns.of(elements) if {*map(type, elements)} == _ONLY_NOTES else None


@dataclass(frozen=True, slots=True)
class Tune:
    """A tune as it was read. Spans are offsets into `source`; `first_line` is its line in the file.

    `rhythm` is the R: field as one of the known names, `part_order` the header's P: field.
    `meter`, `unit` (ticks), `tempo` and `key` are those of the header; `fields` holds all of its
    fields as (letter, text).
    `diagnostics` holds what the reader noticed; `check_tune` adds the musical ones.
    `known` is what was worked out about the tune and will be asked for again, by name.
    """

    source: str
    first_line: int
    span: Span
    number: int | None
    titles: tuple[str, ...]
    rhythm: str
    meter: Meter
    unit: int
    tempo: Tempo | None
    key: Key
    part_order: str
    fields: tuple[tuple[str, str], ...]
    voices: tuple[Voice, ...]
    diagnostics: tuple[Diagnostic, ...]
    known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def title(self) -> str:
        return self.titles[0] if self.titles else ""

    @property
    def unit_length(self) -> Fraction:
        """L:, in whole notes."""
        return Fraction(self.unit, WHOLE)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The written bars of the first voice, the one that is played and checked."""
        return self.voices[0].bars if self.voices else ()

    @property
    def columns(self) -> NoteColumns | None:
        """The `note_columns` of the first voice; the checks and the player both ask for them."""
        known = self.known
        if "columns" not in known:
            known["columns"] = note_columns(self.bars)
        columns: NoteColumns | None = known["columns"]
        return columns


ACCIDENTAL_OF = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
MOVE_OF = {text: move for move, text in ACCIDENTAL_OF.items()}
