"""Which of two models people prefer, from blind votes on evaluation pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from musicgen.evaluate import wilson_interval
from prefs.records import Pair, TuneRecord
from prefs.sequential import BlindTrial, blind_trial
from prefs.store import Store

_SCORE = {"first": 1.0, "tie": 0.5, "second": 0.0}


@dataclass(frozen=True)
class ModelComparison:
    """Votes between models A and B, counted for A."""

    a: str
    b: str
    wins: int
    losses: int
    ties: int
    win_rate: float  # a tie counts half; 1/2 without votes
    interval: tuple[float, float]  # Wilson's, 95%, if the number of votes was fixed beforehand
    detectable: float | None  # the win rate that so many votes find with 80% power
    trial: BlindTrial  # the verdict, valid however often one looks
    gate_a: float | None  # share of first draws that pass the gate
    gate_b: float | None
    win_rate_with_faults: float | None  # a first draw that fails loses, two of them are a tie
    left_out: tuple[str, ...] = ()  # why a pair does not count, one for each such pair

    @property
    def votes(self) -> int:
        return self.wins + self.losses + self.ties

    def json(self) -> dict[str, Any]:
        """The object that `musicgen compare --json` prints."""
        return {
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "win_rate": self.win_rate,
            "interval": list(self.interval),
            "votes": self.votes,
            "detectable": self.detectable,
            "verdict": self.trial.verdict,
            "verdict_interval": list(self.trial.interval),
            "votes_to_go": self.trial.votes_to_go,
            "gate": [self.gate_a, self.gate_b],
            "win_rate_with_faults": self.win_rate_with_faults,
            "pairs_left_out": len(self.left_out),
        }


def detectable_rate(votes: int) -> float | None:
    """The smallest win rate above 1/2 that `votes` find with 80% power at two-sided 5%.

    Normal approximation: (z_.975 / 2 + z_.8 sqrt(p (1 - p)))^2 = n (p - 1/2)^2. None if even always
    winning would not be found.
    """
    for thousandth in range(501, 1000):
        p = thousandth / 1000
        if (1.96 / 2 + 0.842 * math.sqrt(p * (1 - p))) ** 2 <= votes * (p - 0.5) ** 2:
            return p
    return None


def compare(store: Store, a: str, b: str) -> ModelComparison:
    """Counts the votes on evaluation pairs of models `a` and `b`, each pair and rater once.

    Pairs whose tunes were not decoded alike are left out: there a vote is on the decoding.
    """
    tunes = {tune.id: tune for tune in store.tunes()}
    model_of = {name: tune.model for name, tune in tunes.items()}
    found: dict[str, Pair] = {
        pair.id: pair
        for pair in store.pairs("evaluation")
        if {model_of[pair.first], model_of[pair.second]} == {a, b} and pair.repeat_of is None
    }
    unlike = {
        name: words
        for name, pair in found.items()
        if (words := decoded_unlike(tunes[pair.first], tunes[pair.second]))
    }
    pairs = {name: pair for name, pair in found.items() if name not in unlike}
    scores: list[float] = []
    for vote in store.votes():
        if vote.pair_id not in pairs or vote.choice not in _SCORE:
            continue
        pair = pairs[vote.pair_id]
        score = _SCORE[vote.choice]
        scores.append(score if model_of[pair.first] == a else 1 - score)
    gates: dict[str, list[bool]] = {a: [], b: []}
    for pair in pairs.values():
        draws = pair.options.get("first_draw_sound")
        if isinstance(draws, list) and len(draws) == 2:
            gates[model_of[pair.first]].append(bool(draws[0]))
            gates[model_of[pair.second]].append(bool(draws[1]))
    gate_a, gate_b = (_share(gates[name]) for name in (a, b))
    wins, losses = scores.count(1.0), scores.count(0.0)
    rate = sum(scores) / len(scores) if scores else 0.5
    with_faults = None
    if gate_a is not None and gate_b is not None and scores:
        neither = (1 - gate_a) * (1 - gate_b)
        with_faults = gate_a * gate_b * rate + gate_a * (1 - gate_b) + neither / 2
    return ModelComparison(
        a=a,
        b=b,
        wins=wins,
        losses=losses,
        ties=len(scores) - wins - losses,
        win_rate=rate,
        interval=wilson_interval(sum(scores), len(scores)) if scores else (0.0, 1.0),
        detectable=detectable_rate(len(scores)),
        trial=blind_trial(scores),
        gate_a=gate_a,
        gate_b=gate_b,
        win_rate_with_faults=with_faults,
        left_out=tuple(unlike.values()),
    )


def decoded_unlike(one: TuneRecord, other: TuneRecord) -> str:
    """In what the decoding of two tunes differs, in words; "" if it does not, as far as known."""
    for name in ("temperature", "top_p", "loop_cost", "constrained"):
        values = (one.options.get(name), other.options.get(name))
        if None not in values and values[0] != values[1]:
            return (
                f"{one.model!r} was drawn with {name} {values[0]} and {other.model!r} with "
                f"{values[1]}: a blind test needs the same decoding for both"
            )
    return ""


def _share(passed: list[bool]) -> float | None:
    return sum(passed) / len(passed) if passed else None
