"""Two tunes that begin alike: from where each is heard, and to where."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from abc_tools import parse_tune
from ui.playback import Score

# How many bars of each tune play by themselves, of pairs that begin alike from where they part.
LEARNING_BARS = 8
EVALUATION_BARS = 16


def parting(first: Score, second: Score) -> int:
    """Index of the first sounding note that the two tunes do not share; both have it or more."""
    notes = zip(_notes(first), _notes(second), strict=False)
    shared = 0
    for one, other in notes:
        if one != other:
            break
        shared += 1
    return min(shared, len(first.spans) - 1, len(second.spans) - 1)


def excerpt_ms(score: Score, note: int, bars: int) -> tuple[float, float]:
    """Milliseconds from the bar of sounding note `note` to the end of `bars` bars from there."""
    bar_of = _bar_of_each_note(score)
    begin = note
    while begin > 0 and _same_bar(bar_of, begin - 1, begin):
        begin -= 1
    left = bars
    for place in range(begin, len(bar_of) - 1):
        left -= not _same_bar(bar_of, place, place + 1)
        if left == 0:
            return score.onsets_ms[begin], score.onsets_ms[place + 1]
    return score.onsets_ms[begin], score.seconds * 1000


def _notes(score: Score) -> list[tuple[float, str]]:
    """When each note sounds and how it is written."""
    return [
        (onset, score.abc[start:end])
        for onset, (start, end) in zip(score.onsets_ms, score.spans, strict=True)
    ]


def _bar_of_each_note(score: Score) -> list[tuple[int, int]]:
    """For each sounding note its bar in the text, and how often the music went back before it."""
    bar_starts = [bar.start for bar in parse_tune(score.abc).bars]
    passes = [0]
    sounding = zip(score.spans, score.onsets_ms, strict=True)
    for ((before, _), earlier), ((now, _), later) in pairwise(sounding):
        passes.append(passes[-1] + (now <= before and later > earlier))  # not within a chord
    bars = [max(0, bisect_right(bar_starts, start) - 1) for start, _ in score.spans]
    return list(zip(bars, passes, strict=True))


def _same_bar(bar_of: list[tuple[int, int]], one: int, other: int) -> bool:
    return bar_of[one] == bar_of[other]
