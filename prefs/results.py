"""What all votes together say: of models, of tunes, and how much such a count can say at all."""

from __future__ import annotations

from dataclasses import dataclass

from prefs.compare import ModelComparison, compare
from prefs.ranking import Effect, Rating
from prefs.records import TuneRecord
from prefs.standings import ranking_of, standings
from prefs.store import Store

SHOWN_TUNES = 5


@dataclass(frozen=True)
class RankedTune:
    """A tune with its place among all that were voted on."""

    tune: TuneRecord
    rating: Rating


@dataclass(frozen=True)
class Results:
    """Models by strength, the trial that was voted on most, the best and the worst tunes."""

    models: tuple[Rating, ...]
    trial: ModelComparison | None
    best: tuple[RankedTune, ...]  # the best first
    worst: tuple[RankedTune, ...]  # the worst first
    side: Effect  # what being heard first is worth to a tune
    length: Effect  # what being twice as long is worth to a tune
    votes: int  # decided, tied or skipped

    @classmethod
    def of(cls, store: Store) -> Results:
        ranking = ranking_of(store, "tunes")
        ratings = ranking.ratings
        half = min(SHOWN_TUNES, len(ratings) // 2)
        best, worst = ratings[:half], ratings[::-1][:half]
        tunes = {t.id: t for t in store.tunes([str(r.item) for r in (*best, *worst)])}
        return cls(
            models=tuple(standings(store, "models")),
            trial=liveliest_trial(store),
            best=tuple(RankedTune(tunes[str(r.item)], r) for r in best),
            worst=tuple(RankedTune(tunes[str(r.item)], r) for r in worst),
            side=ranking.side,
            length=ranking.length,
            votes=len(store.votes()),
        )


def liveliest_trial(store: Store) -> ModelComparison | None:
    """The comparison of two models with the most blind votes, counted for the younger one."""
    model_of = {tune.id: tune.model for tune in store.tunes()}
    couples = {
        frozenset((model_of[pair.first], model_of[pair.second]))
        for pair in store.pairs("evaluation")
    }
    two = [couple for couple in couples if len(couple) == 2]
    found = [compare(store, *_younger_first(store, couple)) for couple in two]
    voted = [comparison for comparison in found if comparison.votes]
    return max(voted, key=lambda comparison: comparison.votes, default=None)


def _younger_first(store: Store, couple: frozenset[str]) -> list[str]:
    """By the first tune of each that is in the store; names decide where that is equal."""
    first: dict[str, str] = {}
    for tune in store.tunes():
        first[tune.model] = min(first.get(tune.model, tune.created), tune.created)
    return sorted(couple, key=lambda model: (first[model], model), reverse=True)
