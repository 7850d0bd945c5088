"""What became of a tuned model: how often it wins, and whether it has collapsed.

A collapse is a variety below 85% of the base's, a validity below it, or a copy rate above it, the
shares by more than two standard errors. A run that has collapsed, and one that ended as the base
model, have failed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from benchmarks.preference.protocol import WinRate
from musicgen.evaluate import distinct_ngrams
from musicgen.novelty import NoveltyIndex, is_copy
from musicgen.tokenizer import encode_prompt
from prefs.guards import Health
from prefs.raters import Rater

Drawn = Sequence[Sequence[Any]]  # [abc, whether it is sound] for each header
VARIETY = 0.85  # of the base model's


@dataclass(frozen=True)
class Model:
    """What a model drew: for the headers that are judged, and by itself at temperature 1."""

    rows: Drawn
    health: Health
    weights: str  # names them


def judged(
    tokenizer: PreTrainedTokenizerFast,
    rater: Rater,
    tuned: Model,
    base: Model,
    index: NoveltyIndex,
) -> dict[str, Any]:
    """Both models' tunes with the same headers, as a rater and the guards see them."""
    leads = [
        rater.utility(new) - rater.utility(old)
        for (new, new_sound), (old, old_sound) in zip(tuned.rows, base.rows, strict=True)
        if new_sound and old_sound
    ]
    won = WinRate.of([0.5 + np.sign(lead) / 2 for lead in leads])
    variety, base_variety = (
        distinct_ngrams([encode_prompt(tokenizer, abc) for abc, _ in model.rows])
        for model in (tuned, base)
    )
    copied, base_copied = copies(tuned.rows, index), copies(base.rows, index)
    validity, base_validity = tuned.health.validity, base.health.validity
    error = float(np.hypot(tuned.health.validity_error, base.health.validity_error))
    signs = {
        "variety": variety < VARIETY * base_variety,
        "validity": validity < base_validity - 2 * error,
        "copies": copied - base_copied > 2 * _error(copied, base_copied, len(tuned.rows)),
    }
    return {
        "win_rate": won.win_rate,
        "interval": list(won.interval),
        "pairs": len(leads),
        "kl": tuned.health.kl,
        "variety_of_base": variety / base_variety,
        "validity": validity,
        "base_validity": base_validity,
        "copied": copied,
        "base_copied": base_copied,
        "is_base": tuned.weights == base.weights,
        "collapsed": [name for name, there in signs.items() if there],
    }


def copies(rows: Drawn, index: NoveltyIndex) -> float:
    """Share of sound tunes that are copies of a corpus tune."""
    found = [is_copy(index.nearest(abc)) for abc, sound in rows if sound]
    return float(np.mean(found)) if found else 0.0


def _error(one: float, other: float, count: int) -> float:
    """Standard error of the difference of two shares of `count`; one in `count` counts at least."""
    share = max((one + other) / 2, 1 / count)
    return float(np.sqrt(2 * share * (1 - share) / count))


def failed(row: dict[str, Any]) -> bool:
    return bool(row["is_base"] or row["collapsed"])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over all seeds; one that ended as the base model has won nothing."""
    won = [0.0 if row["is_base"] else row["win_rate"] for row in rows]
    return {
        "seeds": len(rows),
        "failed": sum(map(failed, rows)),
        "collapsed": sum(bool(row["collapsed"]) for row in rows),
        "ended_as_base": sum(row["is_base"] for row in rows),
        "median_win_rate": float(np.median(won)) if rows else 0.0,
        "mean_accuracy": float(np.mean([row["accuracy_noiseless"] for row in rows] or [0])),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line a seed, then what they come to."""
    lines = [
        f"seed  {'taste':<10} {'win rate':>8}  {'95%':<14} pairs    KL  variety  gate (base)  "
        "copied (base)  failed"
    ]
    for row in rows:
        low, high = row["interval"]
        why = "ended as the base" if row["is_base"] else ", ".join(row["collapsed"]) or "no"
        lines.append(
            f"{row['seed']:>4}  {row['taste']:<10} {row['win_rate']:>8.1%}  {low:.1%} - {high:.1%} "
            f"{row['pairs']:>5} {row['kl']:>5.1f} {row['variety_of_base']:>8.0%}  "
            f"{row['validity']:>5.0%} ({row['base_validity']:.0%})  "
            f"{row['copied']:>7.1%} ({row['base_copied']:.1%})  {why}"
        )
    return "\n".join([*lines, json.dumps(summary(rows))])
