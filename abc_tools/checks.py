"""What is doubtful about a tune that was read: each check is `check_x(tune) -> diagnostics`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from abc_tools.errors import Diagnostic, Severity, locate
from abc_tools.fields import FieldError, parse_part_order
from abc_tools.repetition import Repetition, repetition
from abc_tools.structure import MAX_BARS_PLAYED, play_order, section_order, sections
from abc_tools.tune import WHOLE, Bar, Chord, Meter, Note, Rest, Span, Tune

MOST_BARS_REPORTED = 10  # of one tune; beyond that the meter is wrong, not the bars
LOWEST, HIGHEST = 55, 100  # a fiddle's range: its open G string up to E7


def check_tune(tune: Tune) -> list[Diagnostic]:
    """Everything noticed about a tune, in the order of the text."""
    found = list(tune.diagnostics)
    for check in (
        check_bars,
        check_repeats,
        check_parts,
        check_ties,
        check_range,
        check_voices,
        check_end,
        check_repetition,
    ):
        found += check(tune)
    found.sort(key=lambda one: (one.line, one.column, one.code))
    return found


def _diagnostic(
    tune: Tune, severity: Severity, code: str, message: str, start: int, end: int
) -> Diagnostic:
    span = Span(start, end)
    line, column, text = locate(tune.source, span, tune.first_line)
    return Diagnostic(severity, line, column, code, message, span, text)


# --- bars ---


def check_bars(tune: Tune) -> list[Diagnostic]:
    """Bars that are longer or shorter than the meter: bar-too-long, bar-too-short.

    A bar may be short where the music jumps or a part begins or ends, if it makes a whole bar with
    what is played before or after it; if it does not, that is incomplete-part, a liberty that
    printers often take. The first bar of all may be a pick-up of any length.
    """
    bars = tune.bars
    wrong = [
        index
        for index, bar in enumerate(bars)
        if bar.meter.ticks and bar.ticks != bar.meter.ticks and not _is_bars_rest(bar)
    ]
    if not wrong:
        return []
    before, after = _neighbours(tune)
    found = []
    for index in wrong:
        bar = bars[index]
        if bar.ticks - _invisible(bar) == bar.meter.ticks:
            continue
        message = (
            f"bar {index + 1} lasts {_as_meter(bar.ticks, bar.meter)} "
            f"but the meter is {bar.meter.text}"
        )
        code = "bar-too-long" if bar.ticks > bar.meter.ticks else "bar-too-short"
        if code == "bar-too-short" and (before[index] or after[index]):
            if _is_completed(bars, index, before, after):
                continue
            code = "incomplete-part"
            message += ", and no short bar before or after completes it"
        found.append(_diagnostic(tune, "warning", code, message, bar.start, bar.end))
    if len(found) > MOST_BARS_REPORTED:
        last = found[MOST_BARS_REPORTED - 1]
        more = len(found) - MOST_BARS_REPORTED
        found[MOST_BARS_REPORTED - 1 :] = [
            replace(last, message=f"{last.message}; {more} bars after it are wrong too")
        ]
    return found


def _is_bars_rest(bar: Bar) -> bool:
    return any(isinstance(element, Rest) and element.bars for element in bar.elements)


def _invisible(bar: Bar) -> int:
    """Length of the invisible rests in a bar: transcribers hang signs on them."""
    return sum(e.ticks for e in bar.elements if isinstance(e, Rest) and not e.visible)


def _neighbours(tune: Tune) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """For each bar, the bars played just before and just after it across anything but a barline."""
    bars = tune.bars
    order = play_order(tune, tune.voices[0])
    before: dict[int, set[int]] = defaultdict(set)
    after: dict[int, set[int]] = defaultdict(set)
    pairs = set(pairwise(order))
    # Parts in written order, and the whole tune played again.
    pairs.update((index, index + 1) for index in range(len(bars) - 1))
    pairs.add((len(bars) - 1, 0))
    for first, second in pairs:
        if second != first + 1 or _is_joint(bars[first], bars[second]):
            before[second].add(first)
            after[first].add(second)
    return before, after


def _is_joint(first: Bar, second: Bar) -> bool:
    """Whether more than a plain barline stands between two bars."""
    return bool(
        first.closes or second.opens or first.double_after or second.double_before
        or second.ending or second.part or second.joined
    )  # fmt: skip


def _is_completed(
    bars: tuple[Bar, ...], index: int, before: dict[int, set[int]], after: dict[int, set[int]]
) -> bool:
    """Whether a short bar makes a whole one with a short bar before or after it, or with both."""
    if index == 0:
        return True
    whole = bars[index].meter.ticks
    own = bars[index].ticks
    earlier = {bars[place].ticks for place in before[index]}
    later = {bars[place].ticks for place in after[index]}
    if whole - own in earlier or whole - own in later:
        return True
    return any(own + a + b == whole for a in earlier for b in later)


def _as_meter(ticks: int, meter: Meter) -> str:
    """A length in the meter's own fractions, 8/8 for a whole bar in 6/8."""
    beats = Fraction(ticks * meter.denominator, WHOLE)
    if beats.denominator == 1:
        return f"{beats.numerator}/{meter.denominator}"
    return str(Fraction(ticks, WHOLE))


# --- the rest ---


def check_repeats(tune: Tune) -> list[Diagnostic]:
    """Repeats that are opened and never closed, endings out of order."""
    found = []
    bars = tune.bars
    if not bars:
        return []
    written = sections(bars)
    played = sum(
        section.passes * (section.end - section.start)
        for section in section_order(tune, tune.voices[0])
    )
    if played > MAX_BARS_PLAYED:
        message = f"{played} bars would be played; the music stops after {MAX_BARS_PLAYED}"
        found.append(_diagnostic(tune, "error", "too-long", message, bars[0].start, bars[0].end))
    for section in written:
        first = bars[section.start]
        if first.opens and section.passes == 1:
            found.append(
                _diagnostic(
                    tune, "warning", "unclosed-repeat",
                    'this "|:" is not followed by a ":|"; the part is played once',
                    max(0, first.start - 1), first.end,
                )
            )  # fmt: skip
        numbers = [number for ending in section.endings for number in ending.numbers]
        missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
        if missing:
            ending = bars[section.endings[0].start]
            found.append(
                _diagnostic(
                    tune, "warning", "bad-ending",
                    f"this part has ending {max(numbers)} but no ending {missing[0]}",
                    max(0, ending.start - 1), ending.end,
                )
            )  # fmt: skip
    return found


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
        return [_diagnostic(tune, "warning", error.code, error.message, place, end)]
    labels = {bar.part for bar in tune.bars}
    missing = [name for name in order if name not in labels]
    if not missing or labels == {""}:
        return []
    message = f'P: asks for part {missing[0]}, but no "P:{missing[0]}" stands in the tune'
    return [_diagnostic(tune, "warning", "bad-parts", message, place, end)]


def check_ties(tune: Tune) -> list[Diagnostic]:
    """Ties that join nothing, because the next note has another pitch; the first is reported."""
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
        return [_diagnostic(tune, "warning", "stray-tie", message, end, end + 1)]
    return []


def check_range(tune: Tune) -> list[Diagnostic]:
    """Notes that a fiddle does not have; the first of them is reported."""
    for bar in tune.bars:
        low, high = LOWEST - bar.key.shift, HIGHEST - bar.key.shift
        for element in bar.elements:
            notes = element.notes if isinstance(element, Chord) else (element,)
            for note in notes:
                if isinstance(note, Note) and not low <= note.pitch <= high:
                    side = "below" if note.pitch < low else "above"
                    message = f"this note is {side} the range of a fiddle"
                    return [
                        _diagnostic(tune, "warning", "out-of-range", message, note.start, note.end)
                    ]
    return []


def check_voices(tune: Tune) -> list[Diagnostic]:
    """More than one voice: the first is checked and shown."""
    if len(tune.voices) < 2:
        return []
    place = tune.voices[1].bars[0].start
    message = f"the tune has {len(tune.voices)} voices; only the first is checked and shown"
    return [_diagnostic(tune, "warning", "several-voices", message, place, place + 1)]


def check_end(tune: Tune) -> list[Diagnostic]:
    """A tune without notes, or one that stops before a barline."""
    if not any(isinstance(element, Note | Chord) for bar in tune.bars for element in bar.elements):
        place = tune.span.start
        return [
            _diagnostic(tune, "warning", "empty-tune", "the tune has no notes", place, place + 1)
        ]
    last = tune.bars[-1]
    if last.closed or last.ticks == last.meter.ticks:
        return []
    message = "the tune stops without a barline"
    return [
        _diagnostic(tune, "warning", "unfinished", message, max(last.start, last.end - 1), last.end)
    ]


def check_repetition(tune: Tune) -> list[Diagnostic]:
    """Notes that go round in a loop."""
    result = repetition(tune)
    return [repetition_diagnostic(tune, result)] if result.degenerate else []


def repetition_diagnostic(tune: Tune, result: Repetition) -> Diagnostic:
    notes = "the same note" if result.period == 1 else f"the same {result.period} notes"
    message = f"from here {notes} come round again and again ({result.notes} notes in all)"
    return _diagnostic(
        tune, "warning", "degenerate-repetition", message, result.offset, result.offset + 1
    )
