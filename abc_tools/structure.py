"""Repeats, endings and part orders: which bars are played, in which order.

A voice is cut into sections. Each is a common stretch of bars, then the endings, and is played on
some passes. Both the player and the canonical text are made from sections, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from abc_tools.fields import FieldError, parse_part_order
from abc_tools.tune import Bar, Tune, Voice

MAX_BARS_PLAYED = 4_000


class Ending(NamedTuple):
    """Bars `start` to `end` (excluded), played on the passes in `numbers`."""

    numbers: tuple[int, ...]
    start: int
    end: int


class Section(NamedTuple):
    """Bars `start` to `end` (excluded): common ones up to `common_end`, then the endings.

    It is played on the passes `first` to `last`; nearly always `first` is 1.
    """

    start: int
    common_end: int
    end: int
    last: int
    endings: tuple[Ending, ...]
    first: int = 1

    @property
    def passes(self) -> int:
        return self.last - self.first + 1

    def ranges_of_pass(self, number: int) -> list[range]:
        """The stretches of bars played on one pass: the common one, then the pass's ending."""
        ranges = [range(self.start, self.common_end)] if self.common_end > self.start else []
        for ending in self.endings:
            if number in ending.numbers:
                ranges.append(range(ending.start, ending.end))
        return ranges

    def bars_of_pass(self, number: int) -> list[int]:
        """Indices of the bars played on one pass."""
        return [index for stretch in self.ranges_of_pass(number) for index in stretch]


def sections(bars: tuple[Bar, ...]) -> list[Section]:
    """The sections of a voice as they are played one after another.

    `:|` goes back to the `|:` before it. Without one the first `:|` goes back to the beginning, a
    later one to the latest double bar, part label or end of a repeat. An ending lasts up to the
    next one, or to a repeat sign, double bar or part label.

    Where the standard is silent, as abc2midi: a part with endings stays open until the next `|:`.
    Endings that follow after its double bar belong to its last pass. The first `:|` that follows
    goes back to the part for one more pass, later ones do not go back.
    """
    return _Cutter(bars).sections()


class _Cutter:
    """Cuts a voice into sections, from the first bar to the last."""

    def __init__(self, bars: tuple[Bar, ...]):
        self.bars = bars
        self.found: list[Section] = []
        self.start = 0
        self.explicit = False  # the section was opened by |:
        self.endings: list[tuple[tuple[int, ...], int]] = []
        self.used: set[int] = set()  # numbers of its endings so far
        self.open: list[Section] = []  # a section whose endings are done, and what followed it
        self.number = 0  # pass on which the open section is
        self.again = False  # whether it has gone back for a pass more than its endings ask for
        self.repeated = False  # a repeat sign has passed

    def sections(self) -> list[Section]:
        bars = self.bars
        places = _signs(bars)
        goes_back = _first_repeat_goes_back(bars, places)
        for index in places:
            bar = bars[index]
            self.repeated = self.repeated or bool(bar.opens)
            if index > self.start and self.begins_section(index, goes_back):
                self.finish(index, closes=0)
            if index == self.start:
                self.explicit = bool(bar.opens)
                if bar.opens or bar.part:
                    self.open = []
            if bar.ending:
                self.endings.append((bar.ending, index))
                self.used.update(bar.ending)
            if bar.closes:
                self.repeated = True
                after = bars[index + 1] if index + 1 < len(bars) else None
                following = after.ending if after and not (after.opens or after.part) else ()
                if self.endings:
                    if not following or self.used & set(following):
                        self.finish(index + 1, bar.closes)
                elif not following or 1 in following:
                    self.finish(index + 1, bar.closes)
        if self.start < len(bars):
            self.finish(len(bars), closes=0)
        return self.found

    def begins_section(self, index: int, goes_back: bool) -> bool:
        """Whether a section begins at a bar although none was ended by a `:|` before it."""
        bar, previous = self.bars[index], self.bars[index - 1]
        if bar.opens or bar.part:
            return True
        if self.endings and self.used & set(bar.ending):
            return True
        if bar.ending or not (bar.double_before or previous.double_after):
            return False
        if self.endings:
            return max(self.used) > 1
        return not self.explicit and (self.repeated or not goes_back)

    def finish(self, end: int, closes: int) -> None:
        """End the section before bar `end`, after `closes` signs of repeat."""
        section = self.cut(end, closes)
        if self.open:
            self.follow(section, closes)
        else:
            self.found.append(section)
            if section.endings and section.last > 1 and not closes:
                self.open, self.number, self.again = [section], section.last, False
        self.start, self.explicit, self.endings, self.used = end, False, [], set()

    def cut(self, end: int, closes: int) -> Section:
        """The bars from the start of the section to `end`, with the passes it asks for itself."""
        if not self.endings:
            return Section(self.start, end, end, closes + 1, ())
        begins = [begin for _, begin in self.endings]
        last = max(self.used)
        # One ending closed by ":|" leaves one more pass, which goes on to what follows.
        if closes and len(self.endings) == 1 and 1 in self.used:
            last += 1
        return Section(
            self.start,
            begins[0],
            end,
            last,
            tuple(
                Ending(numbers, begin, stop)
                for (numbers, begin), stop in zip(self.endings, [*begins[1:], end], strict=False)
            ),
        )

    def follow(self, section: Section, closes: int) -> None:
        """A section that belongs to an open one: on its pass, then all of it on one more."""
        section = section._replace(first=self.number, last=self.number)
        self.found.append(section)
        self.open.append(section)
        if closes and not section.endings and not self.again:
            self.number += 1
            self.again = True
            self.found += [
                again._replace(first=self.number, last=self.number)
                for again in self.open
                if again.bars_of_pass(self.number)
            ]


def _signs(bars: tuple[Bar, ...]) -> list[int]:
    """The bars that have more than a barline before them, or a sign of repeat after them."""
    places = []
    double = False
    for index, bar in enumerate(bars):
        if bar.opens or bar.closes or bar.ending or bar.part or bar.double_before or double:
            places.append(index)
        double = bar.double_after
    return places


def _first_repeat_goes_back(bars: tuple[Bar, ...], places: list[int]) -> bool:
    """Whether the first repeat sign of all, apart from one before the first bar, is a `:|`."""
    for index in places:
        if bars[index].opens and index:
            return False
        if bars[index].closes:
            return True
    return False


def play_order(tune: Tune, voice: Voice) -> list[int]:
    """Indices of the voice's bars in the order they are played, cut at `MAX_BARS_PLAYED`."""
    return [index for stretch in play_ranges(tune, voice) for index in stretch]


def play_ranges(tune: Tune, voice: Voice) -> list[range]:
    """The same as stretches of bars that are played one after another as they are written."""
    return ranges_of(section_order(tune, voice))


def ranges_of(order: Sequence[Section]) -> list[range]:
    """The stretches of bars that sections played in this order are made of."""
    ranges: list[range] = []
    left = MAX_BARS_PLAYED
    for section in order:
        for number in range(section.first, section.last + 1):
            for stretch in section.ranges_of_pass(number):
                ranges.append(stretch[:left])
                left -= len(stretch)
                if left <= 0:
                    return ranges
    return ranges


def section_order(tune: Tune, voice: Voice) -> tuple[Section, ...]:
    """The sections in the order that the header's P: field asks for, or as written.

    Those of the first voice are remembered: the checks and the player both ask for them.
    """
    if not (tune.voices and voice is tune.voices[0]):
        return tuple(_section_order(tune, voice))
    known = tune.known
    if "section_order" not in known:
        known["section_order"] = tuple(_section_order(tune, voice))
    order: tuple[Section, ...] = known["section_order"]
    return order


def _section_order(tune: Tune, voice: Voice) -> list[Section]:
    written = sections(voice.bars)
    if not tune.part_order:
        return written
    try:
        order = parse_part_order(tune.part_order)
    except FieldError:
        return written
    parts: dict[str, list[Section]] = {}
    label = ""
    for section in written:
        own = voice.bars[section.start].part
        if own:
            label = own
        parts.setdefault(label, []).append(section)
    if not any(name in parts for name in order):
        return written
    played = list(parts.get("", ()))
    for name in order:
        played += parts.get(name, ())
    return played
