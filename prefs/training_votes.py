"""Which stored votes teach: decided or tied ones on learning pairs, each pair and rater once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prefs.probe import Comparisons
from prefs.records import Choice
from prefs.sitting import repeated_alike
from prefs.store import Store

OUTCOMES: dict[Choice, float] = {"first": 1.0, "second": 0.0, "tie": 0.5}


@dataclass(frozen=True)
class TrainingVotes:
    """Tunes that were voted on and the votes as indices into them."""

    tunes: tuple[str, ...]  # ABC text
    comparisons: Comparisons
    agreement: float | None  # share of repeated pairs on which a rater said the same again
    repeats: int

    def __len__(self) -> int:
        return len(self.comparisons)


def training_votes(store: Store, rater: str | None = None) -> TrainingVotes:
    """All votes of a store that teach, or those of one rater, in a fixed order.

    Skips and votes on evaluation pairs do not teach. A repeated pair measures self-agreement and
    does not teach either, or its rater would count twice.
    """
    pairs = {pair.id: pair for pair in store.pairs("learning")}
    votes = [
        vote for vote in store.votes(rater) if vote.pair_id in pairs and vote.choice in OUTCOMES
    ]
    again = repeated_alike(list(pairs.values()), votes)
    place: dict[str, int] = {}
    rows = []
    for vote in votes:
        pair = pairs[vote.pair_id]
        if pair.repeat_of is not None:
            continue
        first = place.setdefault(pair.first, len(place))
        second = place.setdefault(pair.second, len(place))
        rows.append((first, second, OUTCOMES[vote.choice]))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return TrainingVotes(
        tunes=tuple(tune.abc for tune in store.tunes(list(place))) if place else (),
        comparisons=Comparisons(
            table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]
        ),
        agreement=float(np.mean(again)) if again else None,
        repeats=len(again),
    )
