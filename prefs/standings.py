"""The stored votes as a ranking of models or of tunes."""

from __future__ import annotations

from typing import Literal

from prefs.ranking import Comparison, Rating, rank
from prefs.store import Store

_SCORE = {"first": 1.0, "tie": 0.5, "second": 0.0}


def standings(store: Store, what: Literal["models", "tunes"]) -> list[Rating]:
    """All that was voted on, the best first.

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
            comparisons.append(Comparison(*names, _SCORE[vote.choice]))
    items = sorted({item for found in comparisons for item in (found.first, found.second)}, key=str)
    return rank(items, comparisons)
