"""Are the bars as long as the meter says? Pick-ups and bars split at repeats or line ends count."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from abc_tools.errors import Diagnostic, diagnostic
from abc_tools.structure import play_ranges
from abc_tools.tune import WHOLE, Bar, Meter, Rest, Tune

MOST_BARS_REPORTED = 10  # of one tune; beyond that the meter is wrong, not the bars


def check_bars(tune: Tune) -> list[Diagnostic]:
    """Bars that are longer or shorter than the meter: bar-too-long, bar-too-short.

    A bar may be short where the music jumps or a part begins or ends, if it makes a whole bar with
    what is played before or after it. If it does not, a pick-up of up to half a bar and the last
    bar of a part are incomplete-part, a liberty that printers often take; anything else is too
    short. The first bar of all may be a pick-up of any length.
    """
    bars = tune.bars
    wrong = [
        index
        for index, bar in enumerate(bars)
        if bar.ticks != bar.meter.ticks
        and bar.meter.ticks
        and (index or bar.ticks > bar.meter.ticks)  # the first may be a pick-up
        and (tune.columns or not _is_bars_rest(bar))
    ]
    if not wrong:
        return []
    jumps = _jumps(tune)
    found = []
    for index in wrong:
        bar = bars[index]
        if not tune.columns and bar.ticks - _invisible(bar) == bar.meter.ticks:
            continue
        first, ticks = bar, bar.ticks
        code = "bar-too-long" if ticks > bar.meter.ticks else "bar-too-short"
        more = ""
        before, after = _neighbours(bars, index, jumps)
        if code == "bar-too-short" and (before or after):
            if _is_completed(bars, index, before, after):
                continue
            if _goes_on(bars, index):
                first = bars[index - 1]
                ticks += first.ticks
                code, more = "bar-too-long", ", counted over the end of the line"
            elif _is_liberty(bars, index):
                code = "incomplete-part"
                more = ", and no short bar before or after completes it"
        number = index if first is not bar else index + 1
        message = (
            f"bar {number} lasts {_as_meter(ticks, bar.meter)} "
            f"but the meter is {bar.meter.text}{more}"
        )
        found.append(diagnostic(tune, "warning", code, message, first.start, bar.end))
    if len(found) > MOST_BARS_REPORTED:
        last = found[MOST_BARS_REPORTED - 1]
        left = len(found) - MOST_BARS_REPORTED
        found[MOST_BARS_REPORTED - 1 :] = [
            replace(last, message=f"{last.message}; {left} bars after it are wrong too")
        ]
    return found


def _goes_on(bars: tuple[Bar, ...], index: int) -> bool:
    """Whether a bar is the rest of the one before it, which was whole at the end of its line."""
    bar, previous = bars[index], bars[index - 1]
    return bar.joined and not (bar.ending or bar.part or previous.closed)


def _is_liberty(bars: tuple[Bar, ...], index: int) -> bool:
    """Whether a short bar is one that printers leave short: a pick-up, or the end of a part."""
    bar = bars[index]
    if 2 * bar.ticks <= bar.meter.ticks or bar.closes or bar.double_after:
        return True
    following = bars[index + 1] if index + 1 < len(bars) else None
    return not following or bool(following.opens or following.part or following.double_before)


def _is_bars_rest(bar: Bar) -> bool:
    return any([isinstance(element, Rest) and element.bars for element in bar.elements])


def _invisible(bar: Bar) -> int:
    """Length of the invisible rests in a bar: transcribers hang signs on them."""
    return sum([e.ticks for e in bar.elements if isinstance(e, Rest) and not e.visible])


def _jumps(tune: Tune) -> set[tuple[int, int]]:
    """Bars that are played one after another without being written so."""
    jumps = {(len(tune.bars) - 1, 0)}  # the whole tune played again
    for before, after in pairwise(play_ranges(tune, tune.voices[0])):
        if after[0] != before[-1] + 1:
            jumps.add((before[-1], after[0]))
    return jumps


def _neighbours(
    bars: tuple[Bar, ...], index: int, jumps: set[tuple[int, int]]
) -> tuple[set[int], set[int]]:
    """The bars played just before and just after a bar across anything but a barline."""
    before = {first for first, second in jumps if second == index}
    after = {second for first, second in jumps if first == index}
    if index and _is_joint(bars[index - 1], bars[index]):
        before.add(index - 1)
    if index + 1 < len(bars) and _is_joint(bars[index], bars[index + 1]):
        after.add(index + 1)
    return before, after


def _is_joint(first: Bar, second: Bar) -> bool:
    """Whether more than a plain barline stands between two bars."""
    return bool(
        first.closes or second.opens or first.double_after or second.double_before
        or second.ending or second.part or second.joined
    )  # fmt: skip


def _is_completed(bars: tuple[Bar, ...], index: int, before: set[int], after: set[int]) -> bool:
    """Whether a short bar makes a whole one with a short bar before or after it, or with both."""
    missing = bars[index].meter.ticks - bars[index].ticks
    earlier = {bars[place].ticks for place in before}
    later = {bars[place].ticks for place in after}
    if missing in earlier or missing in later:
        return True
    return any(a + b == missing for a in earlier for b in later)


def _as_meter(ticks: int, meter: Meter) -> str:
    """A length in the meter's own fractions, 8/8 for a whole bar in 6/8."""
    beats = Fraction(ticks * meter.denominator, WHOLE)
    if beats.denominator == 1:
        return f"{beats.numerator}/{meter.denominator}"
    return str(Fraction(ticks, WHOLE))
