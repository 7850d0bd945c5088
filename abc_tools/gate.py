"""The one test of whether a tune is fit to be played to people, trained on or rewarded."""

from __future__ import annotations

from dataclasses import dataclass

from abc_tools.bar_checks import check_bars
from abc_tools.book import TuneText
from abc_tools.errors import AbcError
from abc_tools.parser import parse_tune
from abc_tools.repetition import repetition
from abc_tools.tune import Tune

FEWEST_BARS = 8


@dataclass(frozen=True, slots=True)
class GateResult:
    """True if the tune passed; `reasons` holds one code for each thing that it failed on:
    "unreadable", "unfinished", "short", "bar-length", "degenerate"."""

    reasons: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.reasons


def passes_gate(text: str | TuneText | Tune, finished: bool = True) -> GateResult:
    """Readable without errors, finished, 8 written bars or more, each of the right length, no loop.

    `finished` says whether the writer of the text came to an end by itself (a model's end token).
    """
    try:
        tune = text if isinstance(text, Tune) else parse_tune(text)
    except AbcError:
        return GateResult(("unreadable",))
    bars = tune.bars
    reasons = []
    if not bars or any(one.severity == "error" for one in tune.diagnostics):
        reasons.append("unreadable")
    if not finished or not bars or not bars[-1].closed:
        reasons.append("unfinished")
    if len(bars) < FEWEST_BARS:
        reasons.append("short")
    if check_bars(tune):
        reasons.append("bar-length")
    if repetition(tune).degenerate:
        reasons.append("degenerate")
    return GateResult(tuple(reasons))
