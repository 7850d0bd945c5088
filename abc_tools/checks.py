"""What is doubtful about a tune that was read: each check is `check_x(tune) -> diagnostics`.

Those that ask for notes are given them as well, so that they are gathered once.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress, pairwise
from typing import NamedTuple

from abc_tools.bar_checks import check_bars
from abc_tools.errors import Diagnostic, diagnostic
from abc_tools.fields import FieldError, parse_part_order
from abc_tools.repetition import FLAGGED_ABOVE, Repetition, repetition
from abc_tools.scanner import natural_pitch
from abc_tools.structure import MAX_BARS_PLAYED, Section, section_order, sections
from abc_tools.tune import LETTERS, Bar, Chord, Key, Note, NoteColumns, Rest, Tune

# Lowest and highest note of each instrument, as tunebooks write them for it: MIDI numbers.
RANGES = {
    "fiddle": (55, 100),  # open G string to E7
    "flute": (62, 95),  # D4 to B6: the keyless wooden flute in D, its third octave included
    "whistle": (62, 85),  # D4 to C#6, sounding an octave higher
    "pipes": (62, 86),  # D4 to D6: the uilleann chanter
    "accordion": (57, 93),  # A3 to A6: the B/C box
    "banjo": (43, 88),  # G2 to E6: tenor, tuned G D A E
    "guitar": (40, 88),  # E2 to E6
    "harp": (36, 93),  # C2 to A6: 34 strings
}
FEWEST_FOR_KEY = 4  # times that a letter must be heard before the key is doubted
FEWEST_FOR_DOUBLE = 3  # sharps or flats of a key in which double ones occur in print
_NAMES = {-2: "double flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double sharp"}


def check_tune(tune: Tune, instrument: str = "fiddle") -> list[Diagnostic]:
    """Everything noticed about a tune, in the order of the text.

    `instrument` is one of `RANGES`: notes that it does not have are reported.
    """
    notes = written_notes(tune)
    found = [
        *tune.diagnostics,
        *check_bars(tune),
        *check_repeats(tune),
        *check_parts(tune),
        *check_ties(tune, notes),
        *check_key(tune, notes),
        *check_voices(tune),
        *check_end(tune),
        *check_repetition(tune),
        *check_range(tune, notes, instrument),
    ]
    found.sort(key=lambda one: (one.line, one.column, one.code))
    return found


class WrittenNotes(NamedTuple):
    """Every written note of the first voice, those of chords last.

    `alone` says that the voice has nothing but notes one after another.
    """

    columns: NoteColumns
    alone: bool


def written_notes(tune: Tune) -> WrittenNotes:
    """What the checks that look at notes ask for."""
    if tune.columns:
        return WrittenNotes(tune.columns, alone=True)
    elements = [element for bar in tune.bars for element in bar.elements]
    notes = [element for element in elements if isinstance(element, Note)]
    for element in elements:
        if isinstance(element, Chord):
            notes += element.notes
    return WrittenNotes(NoteColumns.of(notes), alone=False)


def check_repeats(tune: Tune) -> list[Diagnostic]:
    """Repeats that are opened and never closed, endings that are missing or out of order."""
    found = []
    bars = tune.bars
    if not bars:
        return []
    order = section_order(tune, tune.voices[0])
    written = sections(bars) if tune.part_order else order
    played = sum([section.passes * (section.end - section.start) for section in order])
    if played > MAX_BARS_PLAYED:
        message = f"{played} bars would be played; the music stops after {MAX_BARS_PLAYED}"
        found.append(diagnostic(tune, "error", "too-long", message, bars[0].start, bars[0].end))
    for section in written:
        first = bars[section.start]
        if first.opens and section.passes == 1:
            found.append(
                diagnostic(
                    tune, "warning", "unclosed-repeat",
                    'this "|:" is not followed by a ":|"; the part is played once',
                    max(0, first.start - 1), first.end,
                )
            )  # fmt: skip
        if fault := section.endings and _fault_of_endings(bars, section):
            ending = bars[section.endings[0].start]
            start = max(0, ending.start - 1)
            found.append(diagnostic(tune, "warning", "bad-ending", fault, start, ending.end))
    return found


def _fault_of_endings(bars: tuple[Bar, ...], section: Section) -> str:
    """What is wrong with a section's endings, "" for nothing."""
    endings = section.endings
    numbers = {number for ending in endings for number in ending.numbers}
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - numbers)
    if missing:
        return f"this part has ending {max(numbers)} but no ending {missing[0]}"
    if numbers == {1}:
        return "this part has ending 1 but no ending 2"
    for earlier, later in pairwise(endings):
        if later.numbers[0] < earlier.numbers[0]:
            return f"ending {later.numbers[0]} stands after ending {earlier.numbers[0]}"
        if not bars[earlier.end - 1].closes:
            return f'no ":|" stands between endings {earlier.numbers[0]} and {later.numbers[0]}'
    return ""


def check_parts(tune: Tune) -> list[Diagnostic]:
    """An order of parts (P: in the header) that cannot be played."""
    if not tune.part_order:
        return []
    place = tune.source.find("\nP:", tune.span.start) + 1
    end = tune.source.find("\n", place)
    end = len(tune.source) if end < 0 else end
    try:
        order = parse_part_order(tune.part_order)
    except FieldError as error:
        return [diagnostic(tune, "warning", error.code, error.message, place, end)]
    labels = {bar.part for bar in tune.bars}
    missing = [name for name in order if name not in labels]
    if not missing:
        return []
    message = f'P: asks for part {missing[0]}, but no "P:{missing[0]}" stands in the tune'
    return [diagnostic(tune, "warning", "bad-parts", message, place, end)]


def check_ties(tune: Tune, notes: WrittenNotes) -> list[Diagnostic]:
    """Ties that join nothing, because another note follows or none; the first is reported."""
    if not any(notes.columns.tied):
        return []
    tied: tuple[int, ...] = ()  # pitches that wait for their like
    end = 0
    for bar in tune.bars:
        for element in bar.elements:
            if isinstance(element, Note):
                if tied and element.pitch not in tied:
                    break
                tied = (element.pitch,) if element.tied else ()
            elif isinstance(element, Chord):
                if tied and not any(note.pitch in tied for note in element.notes):
                    break
                tied = tuple(note.pitch for note in element.notes if note.tied)
            elif tied and isinstance(element, Rest):
                break
            if tied:
                end = element.end
        else:
            continue
        message = "this tie joins nothing: the next note has another pitch"
        return [diagnostic(tune, "warning", "stray-tie", message, end, end + 1)]
    if tied and not tune.bars[-1].closes:
        message = "this tie joins nothing: the tune ends here"
        return [diagnostic(tune, "warning", "stray-tie", message, end, end + 1)]
    return []


def check_key(tune: Tune, notes: WrittenNotes) -> list[Diagnostic]:
    """A key that no note of some letter keeps to, and double sharps or flats in a simple key."""
    if notes.alone and not any(notes.columns.accidentals):
        return []  # nothing but the key has moved any note
    keys = _different_keys(tune)
    if len({key.alterations for key in keys}) != 1 or any([key.explicit for key in keys]):
        return []
    alterations = keys[0].alterations
    kept: set[int] = set()  # letters that the key is true of somewhere
    doubtful: set[int] = set()  # letters that are seen to be moved otherwise
    doubled: set[tuple[int, int]] = set()
    steps, pitches = notes.columns.steps, notes.columns.pitches
    for step, pitch in {*zip(steps, pitches, strict=True)}:
        move = pitch - natural_pitch(step)
        if move == alterations[step % 7]:
            kept.add(step % 7)
            continue
        doubtful.add(step % 7)
        if abs(move) == 2 and abs(sum(alterations)) < FEWEST_FOR_DOUBLE:
            doubled.add((step, pitch))
    found = []
    for letter in sorted(doubtful - kept):
        moved = [step % 7 == letter for step in steps]
        if sum(moved) >= FEWEST_FOR_KEY:
            start, end = _first(notes.columns, moved)
            message = (
                f"no {LETTERS[letter]} of the tune is {_NAMES[alterations[letter]]}, as the key "
                f"{tune.bars[0].key.text} says: is the key right?"
            )
            found.append(diagnostic(tune, "warning", "doubtful-key", message, start, end))
    if doubled:
        pairs = list(zip(steps, pitches, strict=True))
        odd = next(pair for pair in pairs if pair in doubled)
        start, end = _first(notes.columns, [pair == odd for pair in pairs])
        message = f'a double accidental in the key {tune.bars[0].key.text}: was "^" or "_" meant?'
        found.append(diagnostic(tune, "warning", "odd-accidental", message, start, end))
    return found


def _first(notes: NoteColumns, wanted: Iterable[bool]) -> tuple[int, int]:
    """Start and end of the first of the notes that are wanted."""
    return min(compress(zip(notes.starts, notes.ends, strict=True), wanted))


def check_range(tune: Tune, notes: WrittenNotes, instrument: str = "fiddle") -> list[Diagnostic]:
    """Notes that the instrument does not have; the first of them is reported."""
    lowest, highest = RANGES[instrument]
    pitches = notes.columns.pitches
    different = {*pitches}
    shifted = any([bar.key.shift for bar in tune.bars])  # by a clef or transpose=
    if not (shifted or (different and (min(different) < lowest or max(different) > highest))):
        return []
    for bar in tune.bars:
        low, high = lowest - bar.key.shift, highest - bar.key.shift
        for element in bar.elements:
            for note in element.notes if isinstance(element, Chord) else (element,):
                if isinstance(note, Note) and not low <= note.pitch <= high:
                    side = "below" if note.pitch < low else "above"
                    message = f"this note is {side} the range of the {instrument}"
                    return [
                        diagnostic(tune, "warning", "out-of-range", message, note.start, note.end)
                    ]
    return []


def _different_keys(tune: Tune) -> list[Key]:
    """The keys of the bars; bars that share one, as most do, count once."""
    return list({id(bar.key): bar.key for bar in tune.bars}.values())


def check_voices(tune: Tune) -> list[Diagnostic]:
    """More than one voice: the first is checked and shown."""
    if len(tune.voices) < 2:
        return []
    place = tune.voices[1].bars[0].start
    message = f"the tune has {len(tune.voices)} voices; only the first is checked and shown"
    return [diagnostic(tune, "warning", "several-voices", message, place, place + 1)]


def check_end(tune: Tune) -> list[Diagnostic]:
    """A tune without notes, or one that stops before a barline."""
    if not tune.columns and not any(
        isinstance(element, Note | Chord) for bar in tune.bars for element in bar.elements
    ):
        place = tune.span.start
        return [
            diagnostic(tune, "warning", "empty-tune", "the tune has no notes", place, place + 1)
        ]
    last = tune.bars[-1]
    if last.closed or last.ticks == last.meter.ticks:
        return []
    message = "the tune stops without a barline"
    return [
        diagnostic(tune, "warning", "unfinished", message, max(last.start, last.end - 1), last.end)
    ]


def check_repetition(tune: Tune) -> list[Diagnostic]:
    """Notes that go round in a loop."""
    result = repetition(tune, FLAGGED_ABOVE)
    return [_repetition_diagnostic(tune, result)] if result.degenerate else []


def _repetition_diagnostic(tune: Tune, result: Repetition) -> Diagnostic:
    notes = "the same note" if result.period == 1 else f"the same {result.period} notes"
    message = f"from here {notes} come round again and again ({result.notes} notes in all)"
    return diagnostic(
        tune, "warning", "degenerate-repetition", message, result.offset, result.offset + 1
    )
