"""What the Retrain page shows: the votes at hand, the run, the models, the blind trial.

Votes are counted anew only when there is a new one: the page asks every two seconds, and counting
thousands takes longer than an answer may.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen.promoted import model_before, promoted_model, rival_of, tuned_models
from prefs.compare import ModelComparison, compare
from prefs.history import ModelHistory, history
from prefs.jobs import Job
from prefs.learning_curve import learning_curve
from prefs.store import Store
from prefs.training_votes import TrainingVotes, training_votes

if TYPE_CHECKING:
    from ui.retrain import Workshop

FEWEST_VOTES = 20  # as prefs.probe has it
# Where the guards stop a run, as prefs.guards.Limits has it, which would bring transformers.
GUARDS: dict[str, dict[str, float]] = {
    "kl": {"most": 20.0},
    "entropy": {"least_share": 0.6},
    "variety": {"least_share": 0.85},
    "validity": {"least_share": 0.95},
}
POOLS = {"best-of-n": 2, "expert": 3}  # tunes are drawn before the first round and after each


class Counted:
    """Figures that follow from the votes alone, counted when a vote was added since."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._known: dict[Any, tuple[int, Any]] = {}
        self._lock = threading.Lock()

    def votes(self) -> TrainingVotes:
        return self._once("votes", training_votes)

    def total(self) -> int:
        """Votes of every kind, skips left out."""
        return self._once("total", lambda store: sum(v.choice != "skip" for v in store.votes()))

    def comparison(self, one: str, other: str) -> ModelComparison:
        return self._once((one, other), lambda store: compare(store, one, other))

    def teaching(self) -> dict[str, Any]:
        """What the votes at hand teach: the learning curve, and its sentence."""

        def look(_store: Store) -> dict[str, Any]:
            votes = self.votes()
            curve = learning_curve(votes.tunes, votes.comparisons)
            return {**asdict(curve), "line": curve.line()}

        return self._once("teaching", look)

    def _once(self, key: Any, count: Callable[[Store], Any]) -> Any:
        store = self._store()
        row = store.last_row()
        with self._lock:
            known = self._known.get(key)
        if known is None or known[0] != row:
            known = (row, count(store))
            with self._lock:
                self._known[key] = known
        return known[1]


def page_state(shop: Workshop, counted: Counted) -> dict[str, Any]:
    """All that the page shows."""
    job = shop.jobs.current()
    models = history(shop.home)
    playing = shop.fixed or promoted_model(shop.home)
    return {
        "votes": votes_at_hand(counted, models),
        "job": None if job is None else job_state(job),
        "playing": playing,
        "before": model_before(shop.home),
        "fixed": shop.fixed is not None,
        "guards": GUARDS,
        "trial": trial_state(shop.home, playing, models, counted),
        "models": [model_row(model, playing, counted) for model in models],
    }


def votes_at_hand(counted: Counted, models: list[ModelHistory]) -> dict[str, Any]:
    """How many votes teach, how many are new, and how well raters agree with themselves."""
    found = counted.votes()
    last = next((model for model in models if model.votes is not None), None)
    return {
        "learning": len(found),
        "total": counted.total(),
        "needed": FEWEST_VOTES,
        "last_model": last.name if last else None,
        "since": max(0, len(found) - (last.votes or 0)) if last else len(found),
        "agreement": found.agreement,
        "repeats": found.repeats,
    }


def job_state(job: Job) -> dict[str, Any]:
    """A run as the page shows it: what it does, how far it is, and its figures so far."""
    pools: dict[int, dict[str, Any]] = {}
    for record in job.records:
        if record["kind"] == "drawing":
            pools[record["seed"]] = record
    rounds = [record for record in job.records if record["kind"] == "round"]
    share = _share(job, pools, rounds)
    reward = next((record for record in job.records if record["kind"] == "reward"), None)
    return {
        "name": job.name,
        "state": job.state,
        "fault": job.fault,
        "stage": _stage(job, pools),
        "share": 1.0 if job.state == "done" else round(min(share, 0.99), 3),
        "minutes_left": _minutes_left(job, share),
        "reward": reward,
        "rounds": rounds,
        "moments": [
            {"step": record["step"], "tuned": record["tuned"] is not None}
            for record in job.records
            if record["kind"] == "moment"
        ],
    }


def trial_state(
    home: Path, playing: str, models: list[ModelHistory], counted: Counted
) -> dict[str, Any] | None:
    """The blind trial of the newest model against the one that plays, as the Rate page sets it."""
    newest = next(iter(tuned_models(home)), None)
    own = Path(playing).name
    if newest is None:
        return None
    rival = rival_of(home, own)
    if rival is None:
        return None
    other = rival if newest == own else own
    found = counted.comparison(newest, other)
    fate = next((model.fate for model in models if model.name == newest), "new")
    return {
        "name": newest,
        "against": other,
        "decided": fate if fate != "new" else None,
        "votes": found.votes,
        "wins": found.wins,
        "losses": found.losses,
        "ties": found.ties,
        "verdict": found.trial.verdict,
        "votes_to_go": found.trial.votes_to_go,
        "line": found.trial.line(),
    }


def model_row(model: ModelHistory, playing: str, counted: Counted) -> dict[str, Any]:
    """A model with its lineage and what blind votes say of it against the one it came from."""
    found = counted.comparison(model.name, model.parent)
    return {
        **asdict(model),
        "playing": model.name == playing,
        "verdict": found.trial.line(),
        "blind_votes": found.votes,
    }


def _share(job: Job, pools: dict[int, dict[str, Any]], rounds: list[dict[str, Any]]) -> float:
    """How much of a run is done: by its steps where it says of how many, else by what it drew."""
    of = next((record["of"] for record in reversed(rounds) if "of" in record), None)
    if of:
        return float(rounds[-1]["round"]) / of
    if not pools:
        return 0.0
    last = list(pools.values())[-1]
    method = next((str(record["method"]) for record in job.records if "method" in record), "expert")
    # a round that is tried once more draws a pool more
    expected = max(POOLS.get(method, POOLS["expert"]), len(pools))
    return float((len(pools) - 1 + last["done"] / last["of"]) / expected)


def _stage(job: Job, pools: dict[int, dict[str, Any]]) -> str:
    if not job.records:
        return "getting ready"
    last = [record for record in job.records if record["kind"] != "moment"][-1]
    if last["kind"] == "drawing":
        whose = "the model" if len(pools) == 1 else f"round {len(pools) - 1}"
        if last["done"] < last["of"]:
            return f"hearing what {whose} writes: {last['done']} of {last['of']} tunes"
        return "learning your taste" if len(pools) == 1 else "measuring the new model"
    return "learning from the tunes you would like best"


def _minutes_left(job: Job, share: float) -> float | None:
    """By the pace so far; None while there is none."""
    times = [record["at"] for record in job.records if "at" in record]
    if job.state != "running" or share < 0.03 or len(times) < 2 or times[-1] - times[0] < 5:
        return None
    return round((times[-1] - times[0]) / share * (1 - share) / 60, 1)
