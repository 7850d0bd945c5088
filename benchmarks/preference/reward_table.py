"""What a reward model of few votes gets right, by what it reads and by the number of votes.

    python -m benchmarks.preference.reward_table

Simulated raters of the development tastes vote on unrelated pairs; accuracy is against their
noiseless taste, on pairs of tunes that no vote was about. Printed tunes stand for a model's, so
that nothing need be drawn; the activations are those of the base model over them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from abc_tools import passes_gate
from benchmarks.preference.reward_accuracy import agreement
from musicgen.checkpoint import find_model, load_checkpoint
from musicgen.evaluate import read_tunes
from prefs.json_files import write_whole
from prefs.probe import Comparisons, Projection, fit_probe
from prefs.raters import DEVELOPMENT, Rater, simulated_raters
from prefs.reward_model import COMPONENTS, Features
from prefs.statistics import WIDTHS
from prefs.training_votes import OUTCOMES

Array = np.ndarray
TUNES, HELD_OUT_TUNES, CALIBRATION, LEARNED = 1_600, 400, 600, 1_000


@dataclass(frozen=True)
class TableOptions:
    """Print the table, and write it as JSON."""

    model: str = "base"
    corpus: Path = Path("data/corpus/train.jsonl")
    work: Path = Path("runs/reward-table")
    results: Path = Path("benchmarks/preference/results/reward_table.json")
    votes: tuple[int, ...] = (50, 100, 200, 400, 600)
    repeats: int = 2  # raters of each taste, with votes and pairs of their own


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(TableOptions, prog="python -m benchmarks.preference.reward_table", args=args)
    features, utilities, raters = _material(options)
    inputs = _inputs(features)
    rows = []
    print(f"{'':28}{'votes':>6} " + " ".join(f"{taste:>10}" for taste in DEVELOPMENT) + "   mean")
    for name, (table, sizes) in inputs.items():
        for votes in options.votes:
            found = {
                taste: _accuracy(
                    table, sizes, utilities[taste], raters[taste], votes, options.repeats
                )
                for taste in DEVELOPMENT
            }
            mean = float(np.mean([one["noiseless"] for one in found.values()]))
            rows.append({"reads": name, "votes": votes, "tastes": found, "mean": mean})
            cells = " ".join(f"{found[taste]['noiseless']:>10.3f}" for taste in DEVELOPMENT)
            print(f"{name:28}{votes:>6} {cells}  {mean:.3f}", flush=True)
    result = {"tunes": "printed", "model": options.model, "rows": rows}
    write_whole(options.results, json.dumps(result, indent=2) + "\n")
    return 0


def _inputs(features: Features) -> dict[str, tuple[Array, tuple[int, ...]]]:
    """Columns of the probe by what it reads, (TUNES, K), and the sizes of their families."""
    one = Projection.of(features.statistics, features.statistics.shape[1])
    families = Projection.of_families(features.statistics, WIDTHS)
    width = features.activations.shape[1]
    activations = Projection.of_families(features.activations, (width,), COMPONENTS)
    both = families(features.statistics), activations(features.activations)
    return {
        "statistics, one prior": (one(features.statistics), ()),
        "statistics": (both[0], families.sizes),
        "activations": (both[1], activations.sizes),
        "both": (np.hstack(both), families.sizes + activations.sizes),
    }


def _accuracy(
    table: Array, sizes: tuple[int, ...], utilities: Array, rater: Rater, votes: int, repeats: int
) -> dict[str, float]:
    """Mean over `repeats` of the accuracy against the taste and against its votes."""
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        order = rng.permutation(TUNES)
        voted, held = order[: TUNES - HELD_OUT_TUNES], order[TUNES - HELD_OUT_TUNES :]
        pairs = voted[: 2 * votes].reshape(-1, 2)
        leads = utilities[pairs[:, 0]] - utilities[pairs[:, 1]]
        outcome = np.array([OUTCOMES[rater.choice_at(float(lead), rng)] for lead in leads])
        probe = fit_probe(table, Comparisons(pairs[:, 0], pairs[:, 1], outcome), sizes=sizes)
        fresh = rng.choice(held, (4_000, 2))
        found.append(agreement(rater, utilities, probe.utility(table)[0], fresh, seed=repeat))
    return {name: float(np.mean([one[name] for one in found])) for name in ("noiseless", "noisy")}


def _material(options: TableOptions) -> tuple[Features, dict[str, Array], dict[str, Rater]]:
    """Features and utilities of printed tunes; features are kept in --work."""
    printed = [abc for abc in read_tunes(options.corpus) if passes_gate(abc)]
    order = np.random.default_rng(0).permutation(len(printed))
    chosen = [printed[index] for index in order[: TUNES + LEARNED]]
    tunes, learned = chosen[:TUNES], chosen[TUNES:]
    raters: dict[str, Any] = dict(simulated_raters(tunes[:CALIBRATION], learned, DEVELOPMENT))
    utilities = {taste: raters[taste].utilities(tunes) for taste in DEVELOPMENT}
    place = options.work / "features.npz"
    if place.is_file():
        with np.load(place) as kept:
            return Features(kept["statistics"], kept["activations"]), utilities, raters
    base = load_checkpoint(find_model(options.model))
    features = Features.of(base.model, base.tokenizer, tunes)
    options.work.mkdir(parents=True, exist_ok=True)
    np.savez(place, statistics=features.statistics, activations=features.activations)
    return features, utilities, raters


if __name__ == "__main__":
    raise SystemExit(main())
