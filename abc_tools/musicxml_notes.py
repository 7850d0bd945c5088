"""Notes, chords and rests of a tune -> those of music21: pitch, length, ties, decorations."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from music21 import articulations, chord, duration, expressions, note, pitch, spanner, tie

from abc_tools.measures import Ties
from abc_tools.scanner import natural_pitch
from abc_tools.tune import LETTERS, WHOLE, Chord, Key, Mark, Note, Rest

# Names of note values, the longest first, with their length in ticks. Those with flags come last.
NAMES = (
    *("longa", "breve", "whole", "half", "quarter"),
    *("eighth", "16th", "32nd", "64th", "128th", "256th", "512th", "1024th"),
)
VALUES = tuple((name, 4 * WHOLE >> place) for place, name in enumerate(NAMES))
FLAGS = {name: place - NAMES.index("quarter") for place, name in enumerate(NAMES) if place > 4}

# Signs and names of ABC 2.1, sections 4.13 and 4.14.
ARTICULATIONS = {
    ".": articulations.Staccato,
    "u": articulations.UpBow,
    "v": articulations.DownBow,
    "L": articulations.Accent,
    "!upbow!": articulations.UpBow,
    "!downbow!": articulations.DownBow,
    "!accent!": articulations.Accent,
    "!emphasis!": articulations.Accent,
    "!>!": articulations.Accent,
    "!tenuto!": articulations.Tenuto,
}
EXPRESSIONS = {
    "~": expressions.Turn,
    "T": expressions.Trill,
    "H": expressions.Fermata,
    "M": expressions.Mordent,
    "P": expressions.InvertedMordent,
    "!roll!": expressions.Turn,
    "!turn!": expressions.Turn,
    "!trill!": expressions.Trill,
    "!fermata!": expressions.Fermata,
    "!mordent!": expressions.Mordent,
    "!lowermordent!": expressions.Mordent,
    "!uppermordent!": expressions.InvertedMordent,
    "!pralltriller!": expressions.InvertedMordent,
}


class NoteWriter:
    """Writes one element after another, and knows what has been written before it in the bar.

    `slurs` are the slurs found so far.
    """

    def __init__(self, ties: Ties) -> None:
        self.ties = ties
        self.slurs: list[Any] = []
        self.open_slurs: list[Any] = []
        self.tuplet: tuple[int, int] = (1, 1)
        self.left = 0  # notes that still belong to the tuplet
        self.shift = 0
        self.alterations: tuple[int, ...] = (0,) * 7
        self.shown: dict[int, int] = {}  # step -> alteration that a reader takes for granted

    def begin_layer(self, key: Key) -> None:
        """A barline, an overlay or a change of key: accidentals no longer hold."""
        self.alterations = key.alterations
        self.shift = key.shift
        self.shown = {}

    def element(self, element: Note | Chord | Rest) -> list[Any]:
        """Grace notes, then the element: one object, or several tied where no value fits it."""
        graces = [grace for mark in element.marks for grace in self.graces(mark)]
        lengths = self.lengths(element)
        if isinstance(element, Rest):
            written = [note.Rest(duration=length) for length in lengths]
            if not element.visible:
                for rest in written:
                    rest.style.hideObjectOnPrint = True
        else:
            notes = element.notes if isinstance(element, Chord) else (element,)
            written = self.sounding(notes, lengths)
            self.decorate(written[0], element.marks)
        self.slur(written, element)
        return [*graces, *written]

    # --- pitch ---

    def sounding(self, notes: tuple[Note, ...], lengths: list[Any]) -> list[Any]:
        """Notes that sound together, as often as it takes lengths to fill their time."""
        written = []
        for place, length in enumerate(lengths):
            heads = []
            for one in notes:
                head = note.Note(self.pitch(one, tied=place > 0 or one.start in self.ties.stops))
                begins = place + 1 < len(lengths) or one.start in self.ties.starts
                ends = place > 0 or one.start in self.ties.stops
                if begins or ends:
                    head.tie = tie.Tie(
                        "continue" if begins and ends else "start" if begins else "stop"
                    )
                heads.append(head)
            whole = heads[0] if len(heads) == 1 else chord.Chord(heads)
            whole.duration = length
            written.append(whole)
        return written

    def pitch(self, one: Note, tied: bool = False) -> Any:
        """With an accidental to print where the source has one or a reader would need one."""
        if self.shift % 12:
            return pitch.Pitch(midi=one.pitch + self.shift)
        octave, letter = divmod(one.step, 7)
        move = one.pitch - natural_pitch(one.step)
        needed = self.shown.get(one.step, self.alterations[letter]) != move
        written = pitch.Pitch(LETTERS[letter], octave=octave + self.shift // 12)
        if move or needed or one.accidental:
            written.accidental = pitch.Accidental(move)
            written.accidental.displayStatus = not tied and (needed or bool(one.accidental))
        if not tied:
            self.shown[one.step] = move
        return written

    def graces(self, mark: Mark) -> Iterator[Any]:
        if mark.kind == "grace":
            value = "eighth" if len(mark.data) == 1 else "16th"
            for one in mark.data:
                grace = note.Note(self.pitch(one), type=value).getGrace()
                grace.duration.slash = mark.text.startswith("{/")
                yield grace

    # --- length ---

    def lengths(self, element: Note | Chord | Rest) -> list[Any]:
        """The durations that together fill the element's time."""
        tuplets, edges = self.tuplets(element)
        written = element.written if tuplets else element.ticks
        fraction = Fraction(written, WHOLE)
        odd = fraction.denominator // (fraction.denominator & -fraction.denominator)
        if odd > 1:  # thirds, fifths: A/3 is a note of a triplet although no sign says so
            normal = 1 << (odd.bit_length() - 1)
            written = written * odd // normal
            tuplets.append(duration.Tuplet(odd, normal))
        found = []
        for name, dots in note_values(written):
            length = duration.Duration(type=name, dots=dots)
            for tuplet in tuplets:
                length.appendTuplet(
                    duration.Tuplet(tuplet.numberNotesActual, tuplet.numberNotesNormal)
                )
            found.append(length)
        if tuplets and "start" in edges:
            found[0].tuplets[0].type = "start"
        if tuplets and "stop" in edges:
            found[-1].tuplets[0].type = (
                "stop" if len(found) > 1 or "start" not in edges else "startStop"
            )
        return found

    def tuplets(self, element: Note | Chord | Rest) -> tuple[list[Any], set[str]]:
        """The tuplet that the element belongs to, and whether it starts or stops there."""
        edges = set()
        for mark in element.marks:
            if mark.kind == "tuplet":
                actual, normal, self.left = mark.data
                self.tuplet = (actual, normal)
                edges.add("start")
        if element.ticks == element.written or not element.written:
            self.left = max(0, self.left - 1)
            return [], set()
        ratio = Fraction(element.written, element.ticks)
        actual, normal = self.tuplet
        if not self.left or ratio != Fraction(actual, normal):
            return [duration.Tuplet(ratio.numerator, ratio.denominator)], set()
        self.left -= 1
        if not self.left:
            edges.add("stop")
        return [duration.Tuplet(actual, normal)], edges

    # --- what stands around the note ---

    def decorate(self, written: Any, marks: tuple[Mark, ...]) -> None:
        for mark in marks:
            if mark.kind == "decoration":
                if mark.text in ARTICULATIONS:
                    written.articulations.append(ARTICULATIONS[mark.text]())
                elif mark.text in EXPRESSIONS:
                    written.expressions.append(EXPRESSIONS[mark.text]())

    def slur(self, written: list[Any], element: Note | Chord | Rest) -> None:
        self.open_slurs += [written[0] for mark in element.marks if mark.kind == "slur"]
        for _ in range(element.closes):
            if self.open_slurs:
                begin = self.open_slurs.pop()
                if begin is not written[-1] and not begin.isRest and not written[-1].isRest:
                    self.slurs.append(spanner.Slur(begin, written[-1]))


def note_values(ticks: int) -> list[tuple[str, int]]:
    """A length as note values (name, dots), the longest first, up to two dots each.

    What is left below a 1024th note is dropped, and so is what lies beyond 64 whole notes.

    >>> note_values(WHOLE * 5 // 8)
    [('half', 0), ('eighth', 0)]
    >>> note_values(WHOLE * 7 // 16)
    [('quarter', 2)]
    """
    found = []
    ticks = min(ticks, 64 * WHOLE)
    for name, value in VALUES:
        while ticks >= value:
            dots = 2 if ticks >= value * 7 // 4 else 1 if ticks >= value * 3 // 2 else 0
            found.append((name, dots))
            ticks -= value * (2 ** (dots + 1) - 1) >> dots
    return found or [(NAMES[-1], 0)]


def beam_together(notes: list[tuple[int, Any]], group: int) -> None:
    """Beam eighths and shorter notes that touch each other and lie in the same `group` of ticks.

    `notes` are (ticks since the start of a whole bar, note). A `group` of 0 beams nothing.
    """
    if not group:
        return
    run: list[Any] = []
    end = beat = -1
    for tick, one in notes:
        flags = FLAGS.get(one.duration.type, 0)
        if run and (not flags or tick != end or tick // group != beat):
            _beam(run)
            run = []
        if flags:
            run.append(one)
            beat = tick // group
        end = tick + round(Fraction(one.quarterLength) * WHOLE / 4)
    _beam(run)


def _beam(run: list[Any]) -> None:
    """Beams over notes in a row; a shorter one alone among longer ones gets a stub."""
    if len(run) < 2:
        return
    flags = [FLAGS[one.duration.type] for one in run]
    for level in range(1, max(flags) + 1):
        for place, one in enumerate(run):
            if flags[place] < level:
                continue
            before = place > 0 and flags[place - 1] >= level
            after = place + 1 < len(run) and flags[place + 1] >= level
            if before and after:
                one.beams.append("continue")
            elif before or after:
                one.beams.append("stop" if before else "start")
            else:
                one.beams.append("partial", "left" if place else "right")
