"""A tune -> the one text that models are trained on and pages show.

Fixed header, explicit repeats, four full bars a line, one space between beats, lengths in lowest
terms. Reading the text again gives the same notes, and writing it again the same text. Parts are
written out in the order that P: asks for. Other voices and lyrics are left out.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import NamedTuple

from abc_tools.scanner import natural_pitch
from abc_tools.structure import Section, section_order
from abc_tools.tempo import default_tempo
from abc_tools.tune import (
    ACCIDENTAL_OF,
    LETTERS,
    WHOLE,
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
    Tune,
)

BARS_A_LINE = 4
_GRACE_UNIT = WHOLE // 8


def canonical_text(
    tune: Tune, *, plain: bool = False, tempo: bool = False, title: bool = True
) -> str:
    """The canonical text of the first voice.

    `plain` keeps the notes only: no graces, decorations, slurs, chord symbols or annotations, and
    the top note of each chord. `tempo` writes Q:, a default one if the tune has none.
    """
    bars = tuple(map(_first_layer, tune.bars)) if plain else tune.bars
    played = section_order(tune, tune.voices[0]) if tune.voices else ()
    strains = [strain for section in played for strain in _strains(section, bars)]
    first = bars[strains[0].first] if strains else None
    meter = first.meter if first else tune.meter
    key = first.key if first else tune.key
    unit = canonical_unit(meter)
    lines = ["X:1"]
    if title and tune.title:
        lines.append(f"T:{' '.join(tune.title.split())}")
    if tune.rhythm:
        lines.append(f"R:{tune.rhythm}")
    lines.append(f"M:{meter.text}")
    lines.append(f"L:{Fraction(unit, WHOLE)}")
    if tempo:
        lines.append(f"Q:{tempo_text(tune.tempo or default_tempo(tune.rhythm, meter))}")
    lines.append(f"K:{key.text}")
    writer = _Writer(key, meter, unit, plain, tempo)
    for place, strain in enumerate(strains):
        following = strains[place + 1] if place + 1 < len(strains) else None
        lines += writer.strain(bars, strain, following)
    return "\n".join(lines) + "\n"


def canonical_unit(meter: Meter) -> int:
    """1/16 for meters shorter than 3/4 that are not counted in threes, else 1/8; in ticks."""
    threes = meter.numerator % 3 == 0 and meter.denominator >= 8
    return WHOLE // 16 if 0 < meter.ticks < WHOLE * 3 // 4 and not threes else WHOLE // 8


def beat_group(meter: Meter) -> int:
    """Length that eighths are beamed in, as printed dance music does; 0 for no groups. In ticks."""
    numerator, denominator = meter.numerator, meter.denominator
    if not meter.ticks:
        return WHOLE // 4
    if denominator >= 8:
        if numerator % 3 == 0:
            return WHOLE * 3 // denominator
        return WHOLE * 2 // denominator if numerator % 2 == 0 else 0
    if denominator == 4:
        if numerator % 3 == 0 and numerator > 3:
            return WHOLE * 3 // 4
        return WHOLE // 2 if numerator % 4 == 0 else WHOLE // 4
    return WHOLE // 2


def tempo_text(tempo: Tempo) -> str:
    """1/4=120"""
    return f"{Fraction(tempo.beat, WHOLE)}={tempo.beats_per_minute:g}"


def step_name(step: int) -> str:
    """C, C c c' for the octaves around middle C."""
    octave, letter = divmod(step, 7)
    if octave >= 5:
        return LETTERS[letter].lower() + "'" * (octave - 5)
    return LETTERS[letter] + "," * (4 - octave)


class _Writer:
    """Writes bars one after another and knows what a reader would take each note for."""

    def __init__(self, key: Key, meter: Meter, unit: int, plain: bool, tempo: bool):
        self.key = key
        self.meter = meter
        self.unit = unit
        self.plain = plain
        self.tempo = tempo
        self.active = list(key.alterations)
        self.tied: dict[int, int] = {}
        self.lengths: dict[int, str] = {}

    # --- bars ---

    def strain(
        self, bars: tuple[Bar, ...], strain: _Strain, following: _Strain | None
    ) -> list[str]:
        """The lines of a strain: |: common |1 first :|2 second || , the last one |]."""
        # A tie does not reach back to music that was written before it.
        untied = strain.last if following and following.first <= strain.last else -1
        lines: list[str] = []
        line = strain.opening
        full = 0
        for block, (_, indices) in enumerate(strain.blocks):
            for place, index in enumerate(indices):
                bar = bars[index]
                line += self.bar(bar, first=not block and not place, untied=index == untied)
                if not bar.meter.ticks or bar.ticks >= bar.meter.ticks:
                    full += 1
                if place + 1 < len(indices):
                    line += "|"
                elif block + 1 < len(strain.blocks):
                    line += strain.blocks[block + 1][0]
                    continue  # an ending starts on the line of the bar before it
                else:
                    line += strain.closing or ("||" if following else "|]")
                if full >= BARS_A_LINE:
                    lines.append(line)
                    line, full = "", 0
        return [*lines, line] if line else lines

    def bar(self, bar: Bar, first: bool, untied: bool) -> str:
        """The notes of one bar, a space between beats; `untied` drops a tie at its end."""
        elements = bar.elements
        last_timed = elements[_last_timed(elements)] if untied else None
        self.active = list(self.key.alterations)
        out: list[str] = []
        key, meter = bar.key, bar.meter
        tempo: Tempo | None = None
        group = beat_group(meter)
        # A pick-up counts from the barline after it.
        offset = meter.ticks - bar.ticks if first and 0 < bar.ticks < meter.ticks else 0
        now, beat, space = offset, offset // group if group else 0, False
        for element in elements:
            if isinstance(element, Change):
                if isinstance(element.value, Key):
                    key = element.value
                elif isinstance(element.value, Meter):
                    meter = element.value
                    group = beat_group(meter)
                else:
                    tempo = element.value
                continue
            if isinstance(element, Overlay):
                out.append("&")
                self.active = list(self.key.alterations)
                self.tied = {}
                now, beat, space = offset, offset // group if group else 0, False
                continue
            if space:
                out.append(" ")
                space = False
            if key != self.key or meter != self.meter or (tempo and self.tempo):
                out.append(self.changes(key, meter, tempo))
                tempo = None
            out.append(self.element(_untied(element) if element is last_timed else element))
            now += element.ticks
            if group and now // group != beat:
                beat = now // group
                space = True
        return "".join(out)

    def changes(self, key: Key, meter: Meter, tempo: Tempo | None) -> str:
        """Inline fields that bring the reader up to date."""
        text = ""
        if meter != self.meter:
            text += f"[M:{meter.text}]"
            self.meter = meter
        if tempo and self.tempo:
            text += f"[Q:{tempo_text(tempo)}]"
        if key != self.key:
            text += f"[K:{key.text}]"
            self.key = key
            self.active = list(key.alterations)
        return text

    # --- notes ---

    def element(self, element: Note | Chord | Rest) -> str:
        marks = "".join(map(self.mark, element.marks)) if element.marks else ""
        closes = "" if self.plain else ")" * element.closes
        if isinstance(element, Note):
            text = self.pitch(element) + self.length(element.written)
            if element.tied:
                self.tied = {element.step: element.pitch}
                return f"{marks}{text}-{closes}"
            self.tied = {}
            return f"{marks}{text}{closes}"
        if isinstance(element, Rest):
            self.tied = {}
            if element.bars:
                sign = "Z" if element.visible or self.plain else "X"
                return f"{marks}{sign}{element.bars if element.bars > 1 else ''}{closes}"
            sign = "z" if element.visible or self.plain else "x"
            return f"{marks}{sign}{self.length(element.written)}{closes}"
        if self.plain:
            top = max(element.notes, key=lambda note: note.pitch)
            return marks + self.element(top._replace(written=element.written, marks=(), closes=0))
        return f"{marks}{self.chord(element)}{closes}"

    def chord(self, chord: Chord) -> str:
        """[CEG]2, or [C2E4] where the lengths differ."""
        notes = chord.notes
        equal = all(note.written == chord.written for note in notes)
        all_tied = all(note.tied for note in notes)
        inner = ""
        for note in notes:
            inner += self.pitch(note)
            inner += "" if equal else self.length(note.written)
            inner += "-" if note.tied and not all_tied else ""
        self.tied = {note.step: note.pitch for note in notes if note.tied}
        return f"[{inner}]{self.length(chord.written) if equal else ''}{'-' if all_tied else ''}"

    def mark(self, mark: Mark) -> str:
        """What stands before a note; of it, plain text keeps tuplets."""
        if mark.kind == "tuplet":
            return mark.text
        if self.plain:
            return ""
        if mark.kind == "grace":
            notes = (
                self.pitch(note) + _length_text(note.written, _GRACE_UNIT) for note in mark.data
            )
            return f"{mark.text}{''.join(notes)}}}"
        return mark.text

    def pitch(self, note: Note) -> str:
        """The note without its length. Its accidental is the one in the source; where the reader
        would take the note for another one without, the accidental that it needs."""
        letter = note.step % 7
        move = note.pitch - natural_pitch(note.step)
        accidental = note.accidental
        if not accidental:
            taken_for = self.tied.get(note.step, natural_pitch(note.step) + self.active[letter])
            if taken_for != note.pitch:
                accidental = ACCIDENTAL_OF[move]
        if accidental:
            self.active[letter] = move
        return accidental + step_name(note.step)

    def length(self, ticks: int) -> str:
        text = self.lengths.get(ticks)
        if text is None:
            text = self.lengths[ticks] = _length_text(ticks, self.unit)
        return text


def _length_text(ticks: int, unit: int) -> str:
    """A length in lowest terms: "", "2", "/2", "3/2"."""
    common = gcd(ticks, unit)
    above, below = ticks // common, unit // common
    if below == 1:
        return "" if above == 1 else str(above)
    return f"{above if above > 1 else ''}/{below}"


class _Strain(NamedTuple):
    """A section as it is written: an opening sign, blocks of bars with the sign before each but the
    first, and a closing sign ("" for a double bar)."""

    opening: str
    blocks: list[tuple[str, list[int]]]
    closing: str

    @property
    def first(self) -> int:
        return self.blocks[0][1][0]

    @property
    def last(self) -> int:
        return self.blocks[-1][1][-1]


def _strains(section: Section, bars: tuple[Bar, ...]) -> list[_Strain]:
    """A section as one strain; pass by pass, if signs cannot say what it plays. Silent bars go."""
    passes = [
        [index for index in section.bars_of_pass(number) if _lasts(bars[index])]
        for number in range(section.first, section.last + 1)
    ]
    sounding = [indices for indices in passes if indices]
    if not sounding:
        return []
    if all(indices == sounding[0] for indices in sounding):
        colons = ":" * (len(sounding) - 1)
        return [
            _Strain("|" + colons if colons else "", [("", sounding[0])], colons and colons + "|")
        ]
    endings = [
        (
            ending.numbers,
            [index for index in range(ending.start, ending.end) if _lasts(bars[index])],
        )
        for ending in section.endings
    ]
    endings = [(numbers, indices) for numbers, indices in endings if indices]
    most = max(max(numbers) for numbers, _ in endings)
    one_more = section.last == most + 1 and len(endings) == 1 and 1 in endings[0][0]
    last_comes_last = one_more or (section.last == most and most in endings[-1][0])
    if section.first > 1 or sounding != passes or not last_comes_last:
        return [_Strain("", [("", indices)], "") for indices in sounding]
    common = [index for index in range(section.start, section.common_end) if _lasts(bars[index])]
    blocks = [("", common)] if common else []
    for place, (numbers, indices) in enumerate(endings):
        sign = "|" if common and not place and 1 in numbers else ":|"
        blocks.append((sign + ",".join(map(str, numbers)), indices))
    opening = "|:" if common else "|:" + blocks[0][0].strip(":|")
    return [_Strain(opening, blocks, ":|" if one_more else "")]


def _first_layer(bar: Bar) -> Bar:
    """The bar without what follows its first "&"."""
    for index, element in enumerate(bar.elements):
        if isinstance(element, Overlay):
            elements = bar.elements[:index]
            ticks = sum(one.ticks for one in elements if isinstance(one, Note | Chord | Rest))
            return bar._replace(elements=elements, ticks=ticks)
    return bar


def _last_timed(elements: tuple[Element, ...]) -> int:
    """Index of the last note, chord or rest."""
    return max(i for i, one in enumerate(elements) if not isinstance(one, Change | Overlay))


def _untied(element: Note | Chord | Rest) -> Note | Chord | Rest:
    if isinstance(element, Note):
        return element._replace(tied=False)
    if isinstance(element, Chord):
        return element._replace(notes=tuple(note._replace(tied=False) for note in element.notes))
    return element


def _lasts(bar: Bar) -> bool:
    """Whether a bar holds anything that takes time."""
    return any(not isinstance(element, Change | Overlay) for element in bar.elements)
