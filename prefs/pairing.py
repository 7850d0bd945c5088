"""Which pair a rater hears next: what kind, and of the pairs that lie ready, which one.

Three learning pairs to one evaluation pair, during a blind trial evaluation pairs alone; one pair
in twenty comes a second time with its sides swapped, to measure how well raters agree with
themselves. Otherwise nobody hears a pair twice, and a pair that anybody voted on is used up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import numpy as np

from prefs.records import Pair, Vote
from prefs.store import Store

Wanted: TypeAlias = Literal["learning", "evaluation", "repeat"]
# Of several learning pairs, the index of the one to be heard.
Choose: TypeAlias = Callable[[Sequence[Pair]], int]

REPEATED = 0.05  # share of pairs that come a second time
EVALUATION_EVERY = 4
FORGOTTEN_AFTER = 10  # votes between a pair and its repetition


def first_of(pairs: Sequence[Pair]) -> int:
    """Chooses the pair that has waited longest."""
    return 0


@dataclass(frozen=True)
class Stock:
    """What a rater could hear next."""

    learning: tuple[Pair, ...]  # nobody has voted on these; the oldest first
    evaluation: tuple[Pair, ...]
    repeatable: tuple[Pair, ...]  # this rater decided these a while ago and once, or their repeats
    heard: int  # pairs that this rater voted on, skipped or is about to hear

    @classmethod
    def of(
        cls,
        store: Store,
        rater: str,
        *,
        holding: Collection[str] = (),
        taken: Collection[str] = (),
    ) -> Stock:
        """What `store` has for a rater whose page is `holding` pairs; others have `taken` some."""
        pairs = {pair.id: pair for pair in store.pairs()}
        touched = {row.vote.pair_id for row in store.history()} | {*holding, *taken}
        votes = [vote for vote in store.votes(rater) if vote.pair_id in pairs]
        fresh = [
            pair for pair in pairs.values() if pair.id not in touched and pair.repeat_of is None
        ]
        return cls(
            learning=tuple(pair for pair in fresh if pair.kind == "learning"),
            evaluation=tuple(pair for pair in fresh if pair.kind == "evaluation"),
            repeatable=tuple(_repeatable(pairs, votes, touched)),
            heard=len({vote.pair_id for vote in votes} | {*holding}),
        )

    def between(self, models: Collection[str], model_of: Callable[[str], str]) -> Stock:
        """The same without evaluation pairs of other models than these two."""
        kept = [p for p in self.evaluation if {model_of(p.first), model_of(p.second)} == {*models}]
        return replace(self, evaluation=tuple(kept))


def next_kind(stock: Stock, rng: np.random.Generator, *, rivals: bool, trial: bool) -> Wanted:
    """What the rater should hear next; `rivals`: there are two models to be compared."""
    if trial and rivals:
        return "evaluation"
    if stock.repeatable and rng.random() < REPEATED:
        return "repeat"
    if rivals and stock.heard % EVALUATION_EVERY == EVALUATION_EVERY - 1:
        return "evaluation"
    return "learning"


def next_pair(
    stock: Stock, wanted: Wanted, rng: np.random.Generator, choose: Choose = first_of
) -> Pair | None:
    """The next pair of the wanted kind, or None if none is ready.

    A repetition is a pair of its own that the caller has to store. Evaluation pairs come in the
    order in which they were drawn: choosing among them would bias the comparison.
    """
    if wanted == "repeat":
        pair = stock.repeatable[int(rng.integers(len(stock.repeatable)))]
        return pair if pair.repeat_of else swapped(pair)
    if wanted == "evaluation":
        return stock.evaluation[0] if stock.evaluation else None
    return stock.learning[choose(stock.learning)] if stock.learning else None


def swapped(pair: Pair) -> Pair:
    """The same two tunes on the other sides, as a pair that repeats this one."""
    options = dict(pair.options)
    if isinstance(draws := options.get("first_draw_sound"), list):
        options["first_draw_sound"] = draws[::-1]
    return replace(
        pair,
        id=secrets.token_hex(8),
        first=pair.second,
        second=pair.first,
        repeat_of=pair.id,
        options=options,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _repeatable(
    pairs: dict[str, Pair], votes: Sequence[Vote], touched: Collection[str]
) -> Iterator[Pair]:
    repeats = {pair.repeat_of: pair for pair in pairs.values() if pair.repeat_of}
    for vote in votes[: max(0, len(votes) - FORGOTTEN_AFTER)]:
        pair = pairs[vote.pair_id]
        if vote.choice == "skip" or pair.repeat_of is not None:
            continue
        repeat = repeats.get(pair.id)
        if repeat is None:
            yield pair
        elif repeat.id not in touched:
            yield repeat  # handed out once, and its page was closed
