"""The stored votes as a ranking of models or of tunes."""

from __future__ import annotations

import functools
import math
from typing import Literal

from abc_tools import parse_tune
from prefs.ranking import Comparison, Ranking, Rating, rank
from prefs.store import Store

_SCORE = {"first": 1.0, "tie": 0.5, "second": 0.0}


def standings(store: Store, what: Literal["models", "tunes"]) -> list[Rating]:
    """All that was voted on, the best first; see ranking_of."""
    return list(ranking_of(store, what).ratings)


def ranking_of(store: Store, what: Literal["models", "tunes"]) -> Ranking:
    """All that was voted on, the best first, at equal sides and lengths.

    Models are ranked by evaluation pairs alone: learning pairs share an opening, and which of them
    are shown depends on earlier votes. A repeated pair does not count again.
    """
    kind: Literal["evaluation"] | None = "evaluation" if what == "models" else None
    pairs = {pair.id: pair for pair in store.pairs(kind) if pair.repeat_of is None}
    votes = [v for v in store.votes() if v.pair_id in pairs and v.choice in _SCORE]
    ids = {id for vote in votes for id in (pairs[vote.pair_id].first, pairs[vote.pair_id].second)}
    tunes = {tune.id: tune for tune in store.tunes(sorted(ids))}
    comparisons = []
    for vote in votes:
        one, other = (tunes[id] for id in (pairs[vote.pair_id].first, pairs[vote.pair_id].second))
        names = (one.model, other.model) if what == "models" else (one.id, other.id)
        if names[0] != names[1]:
            comparisons.append(
                Comparison(*names, _SCORE[vote.choice], _doublings(one.abc, other.abc))
            )
    items = sorted({item for found in comparisons for item in (found.first, found.second)}, key=str)
    return rank(items, comparisons, about_mean=what == "models")


def _doublings(one: str, other: str) -> float:
    """How often the shorter tune has to be doubled to be as long as the longer; < 0: the other."""
    return math.log2(_bars(one) / _bars(other))


@functools.lru_cache(maxsize=20_000)
def _bars(abc: str) -> int:
    """Written bars; at least 1."""
    return max(1, len(parse_tune(abc).bars))
