"""What the reader remembers of a voice: what is in force, the bar being read, the bars done."""

from __future__ import annotations

from abc_tools.note_meanings import STEPS, NoteMeaning, note_meanings
from abc_tools.tune import (
    Bar,
    Change,
    Chord,
    Element,
    Key,
    Mark,
    Meter,
    Note,
    Overlay,
    Rest,
    Tempo,
    Voice,
)

_USUAL_Q = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # (p alone means p notes in the time of q


class VoiceState:
    """Everything that a token may depend on. Mutable, and private to one call of `parse_tune`.

    `active` says by how many semitones a note without accidental is moved: by its key, or by an
    accidental earlier in the bar. How far that reaches is `spread`: "pitch" all octaves (one slot a
    letter), "octave" its own octave (one slot a step), "not" nowhere (accidentals have own slots).
    """

    def __init__(self, name: str, unit: int, meter: Meter, key: Key, shift: int = 0):
        self.name = name
        self.unit = unit
        self.meter = meter
        self.shift = shift  # semitones that the voice's own clef or transpose= adds
        self.key = key._replace(shift=key.shift + shift) if shift else key
        self.spread = "pitch"
        self.meanings = note_meanings(unit, self.spread)
        self.bars: list[Bar] = []
        self.moves = self.key_moves()
        self.active = list(self.moves)
        self.tied: dict[int, int] | None = None  # step -> pitch of a note tied to the next
        self.broken: tuple[int, int] | None = None  # what > or < leaves to the next note
        self.tuplet: tuple[int, int, int] | None = None  # p, q, notes left
        self.tuplet_mark = Mark("tuplet", "", 0, 0)  # the latest tuplet sign
        self.marks: list[Mark] = []  # waiting for their note
        self.part = ""
        self.open_bar(joined=False)

    # --- what is in force ---

    def key_moves(self) -> tuple[int, ...]:
        """What `active` is at the start of a bar: the key, without any accidental in the bar."""
        alterations = self.key.alterations
        if self.spread == "pitch":
            return alterations
        if self.spread == "not":
            return alterations * 2
        return tuple(alterations[step % 7] for step in range(STEPS))

    def forget_accidentals(self) -> None:
        """A new bar or key: the moves are those of the key again."""
        self.active = list(self.moves)

    def set_key(self, key: Key) -> None:
        self.key = key._replace(shift=key.shift + self.shift) if self.shift else key
        self.moves = self.key_moves()
        self.forget_accidentals()
        if not self.sustained:
            self.bar_key = self.key

    def set_meter(self, meter: Meter) -> None:
        self.meter = meter
        if not self.sustained:
            self.bar_meter = meter

    def set_spread(self, spread: str) -> None:
        self.spread = spread
        self.meanings = note_meanings(self.unit, spread)
        self.moves = self.key_moves()
        self.forget_accidentals()

    def set_unit(self, unit: int) -> None:
        self.unit = unit
        self.meanings = note_meanings(unit, self.spread)

    # --- bars ---

    def open_bar(self, joined: bool) -> None:
        self.elements: list[Element] = []
        self.ticks = 0
        self.first_layer = -1  # length of the layer before the first "&"
        self.sustained = False  # whether the bar holds anything that lasts
        self.opens = 0
        self.ending: tuple[int, ...] = ()
        self.double_before = False
        self.joined = joined
        self.start = -1
        self.bar_key = self.key
        self.bar_meter = self.meter

    def close_bar(self, end: int, closes: int, double: bool, closed: bool) -> None:
        """End the bar at a barline (`closed`), or where an ending or a part cuts it.

        Barlines with nothing between them are one barline: what they say is added up.
        """
        if self.sustained or (self.ending and closes):
            ticks = self.ticks if self.ticks > self.first_layer else self.first_layer
            self.bars.append(
                tuple.__new__(
                    Bar,
                    (
                        tuple(self.elements), ticks, self.start if self.start >= 0 else end, end,
                        self.opens, closes, self.ending, self.part,
                        self.double_before, double, self.joined, closed,
                        self.bar_key, self.bar_meter,
                    ),
                )
            )  # fmt: skip
            self.part = ""
            self.open_bar(joined=not closed)
        else:
            self.double_before = self.double_before or double
            if self.bars and (closes or double or closed):
                self.joined = self.joined and not closed
                self.add_to_barline(closes, double, closed)
        if closed:
            self.active = list(self.moves)

    def add_to_barline(self, closes: int, double: bool, closed: bool) -> None:
        """One more sign at the barline after the last bar."""
        last = self.bars[-1]
        if closes > last.closes or double > last.double_after or closed > last.closed:
            self.bars[-1] = last._replace(
                closes=max(last.closes, closes),
                double_after=last.double_after or double,
                closed=last.closed or closed,
            )

    def change(self, field: str, value: Key | Meter | Tempo, start: int, end: int) -> None:
        """A new key, meter or tempo from here on."""
        self.elements.append(Change(field, value, start, end))

    def overlay(self, start: int, end: int) -> None:
        """Go back to the start of the bar for another layer."""
        self.first_layer = max(self.first_layer, self.ticks)
        self.elements.append(Overlay(start, end))
        self.ticks = 0
        self.tied = None
        self.forget_accidentals()

    # --- elements ---

    def pitch(self, meaning: NoteMeaning) -> int:
        """The MIDI number of a note; its accidental holds from here on."""
        _, move, slot, step, natural, _, _ = meaning
        if move is not None:
            self.active[slot] = move
            return natural + move
        if self.tied and step in self.tied:
            return self.tied[step]
        return natural + self.active[slot]

    def add(self, element: Note | Chord | Rest) -> None:
        self.elements.append(element)
        if not self.sustained:
            self.sustained = True
            self.start = element.start
        self.ticks += element.ticks

    def take_marks(self) -> tuple[Mark, ...]:
        """The marks that waited for the note now read."""
        marks = tuple(self.marks)
        self.marks = []
        return marks

    def next_of_tuplet(self) -> tuple[int, int]:
        """(p, q) for the next note, (1, 1) outside tuplets; one note less is left."""
        if not self.tuplet:
            return 1, 1
        p, q, left = self.tuplet
        self.tuplet = (p, q, left - 1) if left > 1 else None
        return p, q

    def usual_q(self, p: int) -> int:
        """Notes in whose time p are played; (5 (7 (9 ask whether the meter is compound."""
        return _USUAL_Q.get(p) or (3 if self.meter.compound else 2)

    def tuplet_name(self, p: int, q: int, r: int) -> str:
        """The sign of a tuplet: "(3", or "(3:2:4" where the numbers are not the usual ones."""
        return f"({p}" if q == self.usual_q(p) and r == p < 10 else f"({p}:{q}:{r}"

    def cut_tuplet(self) -> int:
        """End a tuplet before its last note; how many notes it lacks.

        Its sign is rewritten to cover the notes that it has, so that the canonical text is right
        wherever it is read.
        """
        if not self.tuplet:
            return 0
        p, q, left = self.tuplet
        self.tuplet = None
        old = self.tuplet_mark
        has = old.data[2] - left
        if not has:
            self.marks = [mark for mark in self.marks if mark is not old]
            return left
        new = old._replace(text=self.tuplet_name(p, q, has), data=(p, q, has))
        if not _replace_mark(self.elements, old, new):
            for index in range(len(self.bars) - 1, -1, -1):
                elements = list(self.bars[index].elements)
                if _replace_mark(elements, old, new):
                    self.bars[index] = self.bars[index]._replace(elements=tuple(elements))
                    break
        return left

    def tuplet_length(self, written: int) -> int:
        """The length of the next note of a tuplet as it is played."""
        p, q = self.next_of_tuplet()
        return written * q // p

    def last_timed(self) -> int:
        """Index of the last note, chord or rest of the layer, -1 if there is none."""
        for index in range(len(self.elements) - 1, -1, -1):
            if isinstance(self.elements[index], Overlay):
                break
            if not isinstance(self.elements[index], Change):
                return index
        return -1

    def scale_last(self, index: int, above: int, below: int) -> None:
        """Make an element of the bar longer or shorter."""
        element = self.elements[index]
        assert not isinstance(element, Change | Overlay)
        scaled = _scaled(element, above, below)
        self.ticks += scaled.ticks - element.ticks
        self.elements[index] = scaled

    def tie_last(self, index: int) -> None:
        """A tie sign apart from its note: mark the note, remember its pitch."""
        element = self.elements[index]
        if isinstance(element, Note):
            self.elements[index] = element._replace(tied=True)
            self.tied = {element.step: element.pitch}
        elif isinstance(element, Chord):
            notes = tuple(note._replace(tied=True) for note in element.notes)
            self.elements[index] = element._replace(notes=notes)
            self.tied = {note.step: note.pitch for note in notes}

    def close_last(self) -> None:
        """A slur ends at the last note of the bar."""
        index = self.last_timed()
        if index >= 0:
            element = self.elements[index]
            assert not isinstance(element, Change | Overlay)
            self.elements[index] = element._replace(closes=element.closes + 1)

    def finished(self) -> Voice:
        return Voice(self.name, tuple(self.bars))


def _replace_mark(elements: list[Element], old: Mark, new: Mark) -> bool:
    """Put one mark in the place of another; whether it was there."""
    for index, element in enumerate(elements):
        if isinstance(element, Change | Overlay):
            continue
        if any(mark is old for mark in element.marks):
            marks = tuple(new if mark is old else mark for mark in element.marks)
            elements[index] = element._replace(marks=marks)
            return True
    return False


def _scaled(element: Note | Chord | Rest, above: int, below: int) -> Note | Chord | Rest:
    """An element with its lengths multiplied by above / below."""
    ticks, written = element.ticks * above // below, element.written * above // below
    if isinstance(element, Chord):
        notes = tuple(
            note._replace(ticks=note.ticks * above // below, written=note.written * above // below)
            for note in element.notes
        )
        return element._replace(notes=notes, ticks=ticks, written=written)
    return element._replace(ticks=ticks, written=written)
