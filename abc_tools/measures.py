"""The measures of a tune as a score shows them: repeats and endings explicit, ties resolved.

    written_measures(tune, voice) -> list[Measure]     in the order of the page
    layers(bar) -> list[list[Placed]]                  what sounds together in one of them
    resolved_ties(tune, voice) -> Ties                 which notes a tie really joins

A repeat that a score cannot show the way ABC plays it (an ending that no pass reaches, a pass
without an ending) is written out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from abc_tools.structure import Ending, Section, play_order, section_order
from abc_tools.tune import Bar, Change, Chord, Note, Overlay, Rest, Tune, Voice


@dataclass(frozen=True, slots=True)
class Measure:
    """One bar on the page.

    opens      a repeat begins here
    closes     how often the passage that ends here is played; 0: no repeat sign
    ending     the ending it belongs to, the same object for each of its bars
    line       the barline after it, where there is no repeat sign
    """

    bar: Bar
    opens: bool = False
    closes: int = 0
    ending: Ending | None = None
    line: Literal["", "double", "final"] = ""


class Ties(NamedTuple):
    """Notes that begin and that end a tie, by their offset in the source."""

    starts: frozenset[int]
    stops: frozenset[int]


def written_measures(tune: Tune, voice: Voice) -> list[Measure]:
    """The bars of a voice, those without time left out, in the order of parts that P: asks for."""
    bars = voice.bars
    out: list[Measure] = []
    for section in section_order(tune, voice):
        measures = _repeated(bars, section) if section.passes > 1 else None
        if measures is None:
            numbers = range(section.first, section.last + 1)
            played = [index for number in numbers for index in section.bars_of_pass(number)]
            measures = [Measure(bars[index]) for index in played if bars[index].ticks]
        if measures:
            if not measures[-1].closes:
                measures[-1] = replace(measures[-1], line="double")
            out += measures
    if out and not out[-1].closes:
        out[-1] = replace(out[-1], line="final")
    return [single for measure in out for single in _single_bars(measure)]


def _repeated(bars: tuple[Bar, ...], section: Section) -> list[Measure] | None:
    """The section between repeat signs, None if they cannot say how it is played."""
    spans = [(section.start, section.common_end), *((e.start, e.end) for e in section.endings)]
    passages = [
        [Measure(bars[index]) for index in range(start, end) if bars[index].ticks]
        for start, end in spans
    ]
    numbers = [number for ending in section.endings for number in ending.numbers]
    if section.first != 1 or not all(passages):
        return None
    common, endings = passages[0], passages[1:]
    if not endings:
        common[-1] = replace(common[-1], closes=section.passes)
    elif numbers != list(range(1, section.last + 1)):
        return None
    for place, (ending, passage) in enumerate(zip(section.endings, endings, strict=True)):
        passage[:] = [replace(measure, ending=ending) for measure in passage]
        if place + 1 < len(endings):
            passage[-1] = replace(passage[-1], closes=len(ending.numbers) + 1)
    common[0] = replace(common[0], opens=True)
    return [measure for passage in passages for measure in passage]


def resolved_ties(tune: Tune, voice: Voice) -> Ties:
    """The ties that join two notes of one pitch in at least one pass; as `unfold` joins them."""
    starts: set[int] = set()
    stops: set[int] = set()
    open_ties: dict[int, tuple[int, int]] = {}  # pitch -> (source offset, tick where it ends)
    begin = 0
    previous = -1
    for index in play_order(tune, voice):
        if index <= previous:
            open_ties.clear()  # a tie does not reach back to the start of a repeat
        previous = index
        bar = voice.bars[index]
        for tick, note in _notes(bar):
            held = open_ties.pop(note.pitch, None)
            if held and held[1] == begin + tick:
                starts.add(held[0])
                stops.add(note.start)
            if note.tied:
                open_ties[note.pitch] = (note.start, begin + tick + note.ticks)
        begin += bar.ticks
    return Ties(frozenset(starts), frozenset(stops))


class Placed(NamedTuple):
    """Something in a bar, so many ticks after the bar's start."""

    offset: int
    element: Note | Chord | Rest | Change


def layers(bar: Bar) -> list[list[Placed]]:
    """What sounds together in a bar: its overlays, and notes of a chord that last longer or less.

    Changes of key and tempo stand in the first layer. Nothing lasts beyond the end of the bar.
    """
    found: list[list[Placed]] = [[]]
    other_lengths: list[Placed] = []
    now = 0
    for element in bar.elements:
        if isinstance(element, Overlay):
            found.append([])
            now = 0
            continue
        if isinstance(element, Change):
            found[0].append(Placed(now, element))
            continue
        if isinstance(element, Chord):
            others = [note for note in element.notes if note.ticks != element.ticks]
            if others:
                other_lengths += [Placed(now, _cut(note, bar.ticks - now)) for note in others]
                same = tuple(note for note in element.notes if note.ticks == element.ticks)
                element = element._replace(notes=same)
        found[-1].append(Placed(now, element))
        now += element.ticks
    while other_lengths:
        layer: list[Placed] = []
        rest: list[Placed] = []
        now = 0
        for placed in other_lengths:
            free = placed.offset >= now
            (layer if free else rest).append(placed)
            if free:
                now = placed.offset + placed.element.ticks  # type: ignore[union-attr]
        found.append(layer)
        other_lengths = rest
    return found


def _cut(note: Note, ticks: int) -> Note:
    return note if note.ticks <= ticks else note._replace(ticks=ticks, written=ticks)


def _notes(bar: Bar) -> list[tuple[int, Note]]:
    """(ticks after the start of the bar, note) of every layer, in order of time."""
    found: list[tuple[int, Note]] = []
    for layer in layers(bar):
        for offset, element in layer:
            notes = element.notes if isinstance(element, Chord) else (element,)
            found += [(offset, note) for note in notes if isinstance(note, Note)]
    return sorted(found, key=lambda item: item[0])


def _single_bars(measure: Measure) -> list[Measure]:
    """The measure, or one for each bar of a rest of several bars (Z4)."""
    timed = [element for element in measure.bar.elements if not isinstance(element, Change)]
    if len(timed) != 1 or not isinstance(timed[0], Rest) or timed[0].bars < 2:
        return [measure]
    count = timed[0].bars
    ticks = timed[0].ticks // count
    rest = timed[0]._replace(ticks=ticks, written=ticks, bars=1)
    one = measure.bar._replace(elements=(rest,), ticks=ticks)
    first = measure.bar._replace(elements=(*measure.bar.elements[:-1], rest), ticks=ticks)
    middle = Measure(one, ending=measure.ending)
    return [
        Measure(first, opens=measure.opens, ending=measure.ending),
        *[middle] * (count - 2),
        replace(measure, bar=one, opens=False),
    ]
