"""The plan of a tune: how many bars each of its parts has, as a header line a model can read.

    N:parts 8+8

The line is a control token: in training it stands before K: in some of the tunes, so that a model
can be asked for a plan, draw one by itself, or do without. It is taken out of what is served.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from abc_tools import Tune

_LINE = re.compile(r"^N:parts ([0-9+]+)\n", re.MULTILINE)
_HALF = Fraction(1, 2)
MOST_PARTS, MOST_BARS = 8, 32  # that are asked for; far more than a model writes


def part_plan(tune: Tune) -> tuple[int, ...]:
    """Bars of each part as written, repeats not unfolded; () in free meter.

    A part ends at `:|` or `||`. Of several endings the first counts. Incomplete bars are added up,
    so a pick-up and the short bar that makes it whole are one bar, and a lone pick-up is none.
    """
    parts: list[Fraction] = []
    length = Fraction(0)
    counting = True
    previous = None
    for bar in tune.bars:
        if not bar.meter.ticks:
            return ()
        ended = previous is not None and (previous.closes or previous.double_after)
        if previous is not None and not bar.ending and (ended or bar.opens or bar.double_before):
            parts.append(length)
            # what stands before the first repeat sign is the pick-up of the part behind it
            length = parts.pop() if parts[-1] <= _HALF else Fraction(0)
            counting = True
        if bar.ending:
            counting = 1 in bar.ending
        if counting:
            length += Fraction(bar.ticks, bar.meter.ticks)
        previous = bar
    parts.append(length)
    return tuple(max(1, ceil(part - _HALF)) for part in parts)


def plan_text(plan: Sequence[int]) -> str:
    """What stands behind N: for a plan.

    >>> plan_text((8, 16))
    'parts 8+16'
    """
    return "parts " + "+".join(map(str, plan))


def read_plan(text: str) -> tuple[int, ...]:
    """The inverse of `plan_text`; () if `text` is something else.

    >>> read_plan("parts 8+16"), read_plan("Jig")
    ((8, 16), ())
    """
    match = re.fullmatch(r"parts ([0-9]+(?:\+[0-9]+)*)", text)
    return tuple(map(int, match[1].split("+"))) if match else ()


def asked_plan(
    plan: str | None = None, parts: int | None = None, bars: int | None = None
) -> tuple[int, ...] | None:
    """The plan that somebody asks for: "8+8+16", or so many parts of so many bars; None: no plan.

    Parts without bars have eight, bars without parts come twice. Raises ValueError, one line.

    >>> asked_plan("8+16"), asked_plan(parts=3), asked_plan(bars=16), asked_plan()
    ((8, 16), (8, 8, 8), (16, 16), None)
    """
    if plan is not None:
        if parts is not None or bars is not None:
            raise ValueError("a plan says how many parts and bars there are: leave those out")
        found = read_plan(f"parts {plan}")
        if not found:
            raise ValueError(f"{plan!r} is no plan: write the bars of each part, such as 8+8+16")
        return found
    if parts is None and bars is None:
        return None
    parts, bars = parts or 2, bars or 8
    if not (1 <= parts <= MOST_PARTS and 1 <= bars <= MOST_BARS):
        raise ValueError(
            f"{parts} parts of {bars} bars: choose up to {MOST_PARTS} parts of up to {MOST_BARS}"
        )
    return (bars,) * parts


def with_plan(abc: str, plan: Sequence[int]) -> str:
    """A canonical text with its plan line before K:."""
    return abc.replace("\nK:", f"\nN:{plan_text(plan)}\nK:", 1)


def without_plan(abc: str) -> str:
    """A text with no plan line."""
    return _LINE.sub("", abc)
