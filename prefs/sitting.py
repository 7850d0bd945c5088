"""How a rater is getting on: votes, votes an hour, agreement with themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from prefs.records import Pair, Vote
from prefs.store import Store

PAUSE_SECONDS = 300.0  # a longer silence between two votes ends a sitting
_OTHER_SIDE = {"first": "second", "second": "first", "tie": "tie"}


@dataclass(frozen=True)
class Progress:
    """What the counter of the Rate page shows."""

    votes: int  # that count, skips left out
    an_hour: int | None  # in this sitting; None before the third vote
    agreement: float | None  # share of repeated pairs that were decided alike
    repeats: int

    @classmethod
    def of(cls, store: Store, rater: str) -> Progress:
        votes = [vote for vote in store.votes(rater) if vote.choice != "skip"]
        again = repeated_alike(store.pairs(), votes)
        return cls(
            votes=len(votes),
            an_hour=votes_an_hour([vote.at for vote in votes]),
            agreement=sum(again) / len(again) if again else None,
            repeats=len(again),
        )


def repeated_alike(pairs: Sequence[Pair], votes: Sequence[Vote]) -> list[bool]:
    """For each repeated pair that was decided both times, whether the same tune won."""
    original = {pair.id: pair.repeat_of for pair in pairs if pair.repeat_of is not None}
    said = {(vote.pair_id, vote.rater): vote.choice for vote in votes if vote.choice != "skip"}
    return [
        said[original[vote.pair_id], vote.rater] == _OTHER_SIDE[vote.choice]
        for vote in votes
        if vote.choice != "skip"
        and vote.pair_id in original
        and (original[vote.pair_id], vote.rater) in said
    ]


def votes_an_hour(times: Sequence[str]) -> int | None:
    """Pace of the last sitting from the ISO 8601 times of its votes; None for fewer than three."""
    seconds = sorted(moment.timestamp() for time in times if (moment := _moment(time)))
    start = len(seconds) - 1
    while start > 0 and seconds[start] - seconds[start - 1] <= PAUSE_SECONDS:
        start -= 1
    sitting = seconds[max(start, 0) :]
    if len(sitting) < 3 or sitting[-1] <= sitting[0]:
        return None
    return round(3600 * (len(sitting) - 1) / (sitting[-1] - sitting[0]))


def _moment(time: str) -> datetime | None:
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        return None
