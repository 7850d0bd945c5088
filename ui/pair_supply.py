"""Pairs drawn ahead for the Rate page, so that the next one is there when it is asked for.

They are stored at once: what was drawn for one visit serves the next one. A thread draws while
somebody rates and the stock is low; otherwise it sleeps.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from prefs.pairing import Stock, Wanted, next_kind, next_pair
from prefs.records import Pair
from prefs.store import Store, StoreError
from ui.pair_source import PairSource
from ui.source import SourceError

if TYPE_CHECKING:
    from prefs.pair_maker import NewPair

log = logging.getLogger("musicgen")

# (store, learning pairs) -> the index of the one to be heard next
Choose: TypeAlias = Callable[[Store, Sequence[Pair]], int]

LEARNING_STOCK = 16  # among which the most informative one is chosen at first
# New ones for each that is handed out. With one, every pair would be voted on sooner or later, and
# choosing among them would teach nothing: in simulations no more than taking them as they come.
FRESH = 4
MOST_WAITING = 2_000
EVALUATION_STOCK = 3
AWAKE_SECONDS = 900.0  # after somebody last asked for a pair
HELD_SECONDS = 600.0  # a pair handed to one page is not given to another for so long
PATIENCE_SECONDS = 20.0
NAP_SECONDS = 1.0


class PairSupply:
    """Hands out pairs; several pages may ask at once."""

    def __init__(
        self,
        source: PairSource,
        store: Callable[[], Store],
        rng: np.random.Generator | None = None,
        *,
        choose: Choose = lambda store, pairs: 0,  # the one that has waited longest
        learning_stock: int = LEARNING_STOCK,
    ) -> None:
        """`store` opens the votes' database or raises StoreError; it may be called often."""
        self.source = source
        self.store = store
        self.learning_stock = learning_stock
        self._choose = choose
        self._rng = rng or np.random.default_rng()
        self._handed = 0  # learning pairs, since the start
        self._found: int | None = None  # that waited then
        self._held: dict[str, tuple[str, float]] = {}  # pair -> rater, since when
        self._asked = -AWAKE_SECONDS
        self._trial = False
        self._fault: str | None = None
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="pairs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the pair in work and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def next(
        self,
        rater: str,
        *,
        holding: Collection[str] = (),
        trial: bool = False,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> Pair:
        """The next pair for a rater whose page is `holding` others. Raises SourceError, StoreError.

        `trial`: evaluation pairs only, if there are two models.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            self._trial = trial
            self._asked = time.monotonic()
            self._fault = None
            self._changed.notify_all()
            while True:
                pair = self._take(rater, holding, trial)
                if pair is not None:
                    self._changed.notify_all()
                    return pair
                left = deadline - time.monotonic()
                if self._fault or left <= 0 or self._stopping:
                    raise SourceError(self._fault or "The next pair is still being written.")
                self._changed.wait(left)

    def _take(self, rater: str, holding: Collection[str], trial: bool) -> Pair | None:
        now = time.monotonic()
        self._held = {
            id: (who, since)
            for id, (who, since) in self._held.items()
            if now - since < HELD_SECONDS
        }
        others = {id for id, (who, _) in self._held.items() if who != rater}
        store = self.store()
        rivals = self.source.rivals
        stock = Stock.of(store, rater, holding=holding, taken=others)
        stock = _comparable(store, stock, rivals)
        wanted = next_kind(stock, self._rng, rivals=rivals is not None, trial=trial)
        choose = functools.partial(self._choose, store)
        pair = next_pair(stock, wanted, self._rng, choose)
        if pair is None and not trial:
            other: Wanted = "evaluation" if wanted == "learning" and rivals else "learning"
            pair = next_pair(stock, other, self._rng, choose)
        if pair is None:
            return None
        if pair.repeat_of is not None:
            store.add_pairs([pair])
        self._handed += pair.kind == "learning" and pair.id not in self._held
        self._held[pair.id] = (rater, now)
        return pair

    # The thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._awake())
                if self._stopping:
                    return
            draw = self._job()
            fault = None if draw is None else self._stored(draw)
            if draw is None or fault is not None:
                with self._changed:
                    self._changed.wait(NAP_SECONDS)

    def _stored(self, draw: Callable[[], NewPair]) -> str | None:
        """Draw a pair and store it; returns what went wrong, in words."""
        fault = None
        try:
            new = draw()
            store = self.store()
            store.add_tunes([new.first, new.second])
            store.add_pairs([new.pair])
        except (SourceError, StoreError) as error:
            fault = str(error)
            log.warning("no pair: %s", error)
        except Exception:  # a fault in one pair must not end the rating for everybody
            log.exception("a pair could not be drawn")
            fault = "The model stumbled over a pair; it will try another."
        self._tell(fault)
        return fault

    def _awake(self) -> bool:
        return time.monotonic() - self._asked < AWAKE_SECONDS

    def _job(self) -> Callable[[], NewPair] | None:
        try:
            rivals = self.source.rivals
            store = self.store()
            with self._changed:
                held = {*self._held}
            stock = _comparable(store, Stock.of(store, "", taken=held), rivals)
        except StoreError as error:
            self._tell(str(error))
            return None
        learning, evaluation = len(stock.learning), len(stock.evaluation)
        trial = self._trial and rivals is not None
        if rivals is not None and evaluation < EVALUATION_STOCK and (trial or learning >= 2):
            return self.source.evaluation_pair
        if self._found is None:
            self._found = learning
        goal = max(self.learning_stock, self._found) + (FRESH - 1) * self._handed
        wanted = learning < min(goal, MOST_WAITING) and not trial
        return self.source.learning_pair if wanted else None

    def _tell(self, fault: str | None) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()


def _comparable(store: Store, stock: Stock, rivals: tuple[str, str] | None) -> Stock:
    """The stock with evaluation pairs of the two rivals only, or none."""
    if rivals is None or not stock.evaluation:
        return replace(stock, evaluation=())
    ids = [id for pair in stock.evaluation for id in (pair.first, pair.second)]
    model_of = {tune.id: tune.model for tune in store.tunes(ids)}
    return stock.between(rivals, model_of.__getitem__)
