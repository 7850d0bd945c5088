"""What the votes of one rater have taught so far, in words: what the tunes they choose share.

For each musical statistic the difference between the chosen and the other tune, in standard
deviations, is averaged over the votes. It is told where its mean lies further from 0 than chance
brings about once in twenty sets of votes, all statistics taken together (Bonferroni). Nothing here
knows which model wrote a tune.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from prefs.probe import Comparisons
from prefs.statistics import STATISTICS, plain_statistics
from prefs.store import Store
from prefs.training_votes import training_votes

Array = NDArray[np.float64]

FEWEST = 15  # decided votes before anything is said
MOST_TOLD = 3
SURE = 3.2  # standard errors: two-sided 5% over 33 statistics
_features = functools.lru_cache(maxsize=20_000)(plain_statistics)

# Name of a statistic -> tunes with more of it, tunes with less.
WORDS: dict[str, tuple[str, str]] = {
    "bars": ("long tunes", "short tunes"),
    "notes a bar": ("many notes in a bar", "few notes in a bar"),
    "register": ("a high register", "a low register"),
    "range": ("a wide range", "a narrow range"),
    "spread of pitch": ("melodies that roam", "melodies that stay close"),
    "mean interval": ("wide intervals", "small intervals"),
    "share of steps": ("stepwise melodies", "melodies that leave steps out"),
    "share of leaps": ("leaps", "few leaps"),
    "share of repeated notes": ("repeated notes", "few repeated notes"),
    "share rising": ("rising lines", "falling lines"),
    "turning points": ("melodies that turn often", "long lines"),
    "share of short notes": ("quick notes among slower ones", "even notes"),
    "variety of lengths": ("varied note lengths", "even rhythm"),
    "off the beat": ("notes off the beat", "notes on the beat"),
    "different bars": ("bars that differ", "bars that come again"),
    "different rhythms": ("varied rhythms", "one rhythm throughout"),
    "likeness of the parts": ("parts that are alike", "parts that contrast"),
    "phrases ending on the tonic": ("phrases that come home", "phrases that stay open"),
    "phrases ending on the fifth": ("phrases that end on the fifth", "few ends on the fifth"),
    "ends on the tonic": ("an end on the keynote", "an end away from the keynote"),
    "compressed size": ("little repetition", "much repetition"),
    "second half higher": ("a second half that goes up high", "a second half that stays low"),
    "phrases rising": ("phrases that rise", "phrases that fall"),
    "phrases bending": ("phrases that arch", "phrases that go straight on"),
    "phrases ending on a long note": ("phrases that rest on a long note", "phrases that run on"),
    "phrases ending by step": ("phrases that end by step", "phrases that end with a leap"),
    "leaps turned back": ("leaps that turn back", "leaps that go on the same way"),
    "range of a bar": ("bars that reach wide", "bars that stay close"),
    "uneven lengths": ("uneven note lengths", "even note lengths"),
    "long notes": ("long notes", "few long notes"),
    "bars like the one before": ("bars repeated at once", "no bar twice in a row"),
    "bars like the second before": ("bars that come back after one other", "bars that move on"),
    "rhythms like the bar before": ("a rhythm that is kept", "a rhythm that changes"),
    "halves apart in notes": ("halves that differ in notes", "halves with the same notes"),
    "halves apart in rhythm": ("halves that differ in rhythm", "halves with the same rhythm"),
    "notes outside the key": ("notes outside the key", "notes of the key"),
}


def lessons(store: Store, rater: str) -> list[str]:
    """At most MOST_TOLD leanings in words, the surest first; [] while nothing is sure."""
    votes = training_votes(store, rater)
    if not votes.tunes:
        return []
    return leanings(np.array([_features(abc) for abc in votes.tunes]), votes.comparisons)


def leanings(table: Array, votes: Comparisons) -> list[str]:
    """The same for tunes with these plain STATISTICS, (N, PLAIN), and the votes on them."""
    decided = votes.take(votes.outcome != 0.5)
    if len(decided) < FEWEST:
        return []
    difference = table[decided.first] - table[decided.second]
    chosen = difference * np.where(decided.outcome > 0.5, 1.0, -1.0)[:, None]  # over the other
    error = chosen.std(0, ddof=1) / np.sqrt(len(chosen))
    sure = np.divide(chosen.mean(0), error, out=np.zeros(len(error)), where=error > 1e-12)
    found: list[str] = []
    for column in np.argsort(-np.abs(sure)):
        words = WORDS.get(STATISTICS[column])
        if words is not None and abs(sure[column]) >= SURE and len(found) < MOST_TOLD:
            found.append(words[0] if sure[column] > 0 else words[1])
    return found
