"""The final figures: the default arm from simulated votes of tastes that nothing was chosen on.

    python -m benchmarks.preference.final

For each held-out taste: learning pairs of the base model, simulated votes on them in a file, a
retraining exactly as `musicgen retrain` does it, and the gold win rate on fresh pairs of both
models. What a killed run has drawn is kept in --work, and a taste that is done is not done again;
the results are written after each taste.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.preference.drawing import Drawn
from benchmarks.preference.protocol import (
    cast_votes,
    evaluation_tunes,
    gold,
    learning_pairs,
    votes_from_files,
)
from benchmarks.preference.reward_accuracy import agreement_with
from musicgen.checkpoint import Checkpoint, find_model, load_checkpoint
from musicgen.evaluate import read_tunes
from musicgen.sample import TuneSampler
from prefs.json_files import write_whole
from prefs.raters import HELD_OUT, SELF_AGREEMENT, Rater, simulated_raters
from prefs.retrain import RetrainOptions, retrain
from prefs.reward_model import RewardModel
from prefs.run_folder import RunFolder

PAIRS_SEED, EVALUATION_SEED = 11, 21  # of tunes that are not those of a retraining


@dataclass(frozen=True)
class FinalOptions:
    """Measure the default arm on held-out tastes."""

    model: str = "base"  # the base model: a name or a folder
    tastes: tuple[str, ...] = HELD_OUT
    votes: int = 600
    pairs: int = 2_000  # evaluation pairs a taste
    pool: int = 640  # tunes a round; `musicgen retrain` draws 1,024, which takes longer
    corpus: Path = Path("data/corpus/train.jsonl")  # real tunes, for tastes that are learned
    work: Path = Path("runs/preference-final")  # what is drawn; a killed run goes on from here
    results: Path = Path("benchmarks/preference/results/final.json")
    seed: int = 0


@dataclass(frozen=True)
class Material:
    """What all tastes share: the base model's tunes and pairs, and the raters."""

    base: Checkpoint
    sampler: TuneSampler
    templates: tuple[str, ...]  # sound tunes of the base model's pool
    raters: dict[str, Rater]
    pairs: Path
    evaluation: Drawn


def prepare(options: FinalOptions) -> Material:
    """Draws what is not there yet, and says so."""
    base = load_checkpoint(find_model(options.model))
    sampler = TuneSampler(base.model, base.tokenizer)
    run = RunFolder(options.work / "base", {"model": options.model, "seed": options.seed})
    pool = run.roll_out(base.model, base.tokenizer, options.pool, options.seed)
    templates = tuple(pool.sound_tunes)
    print(f"pool: {len(templates)} of {len(pool)} tunes are sound", flush=True)
    real = read_tunes(options.corpus)
    raters = dict(simulated_raters(templates, real, options.tastes))
    pairs = learning_pairs(sampler, templates, options.votes, PAIRS_SEED, options.work / "pairs")
    print(f"learning pairs: {pairs}", flush=True)
    evaluation = evaluation_tunes(
        sampler,
        templates,
        options.pairs,
        EVALUATION_SEED,
        options.work / "evaluation" / "base.jsonl",
    )
    print(f"evaluation tunes of the base model: {len(evaluation.tunes)}", flush=True)
    return Material(base, sampler, templates, raters, pairs, evaluation)


def measure_taste(options: FinalOptions, material: Material, taste: str) -> dict[str, Any]:
    """One row: retrain on the votes of a taste, then the gold win rate."""
    rater = material.raters[taste]
    votes_file = cast_votes(rater, material.pairs, options.work / "votes" / f"{taste}.jsonl")
    votes = votes_from_files(material.pairs, votes_file, options.votes)
    folder = options.work / "models" / taste
    wanted = RetrainOptions(taste, options.work, pool=options.pool, seed=options.seed)
    if not folder.is_dir():
        _share_rollouts(options.work / "base", options.work / "runs" / taste)
        for event in retrain(material.base, votes, wanted):
            print(f"{taste}: {event.line()}", flush=True)
    report = json.loads((options.work / "runs" / taste / "report.json").read_text())
    reward = RewardModel.load(options.work / "runs" / taste)
    tuned = load_checkpoint(folder)
    drawn = evaluation_tunes(
        TuneSampler(tuned.model, tuned.tokenizer),
        material.templates,
        options.pairs,
        EVALUATION_SEED + 1,
        options.work / "evaluation" / f"{taste}.jsonl",
    )
    result = gold(rater, drawn, material.evaluation)
    last = [step for step in report["rounds"] if not step["taken_back"]][-1]
    base_health = last["base_health"]
    return {
        "taste": taste,
        "votes": len(votes),
        **result.json(),
        "reward_accuracy": agreement_with(
            rater, reward, material.base, [abc for abc in material.evaluation.tunes if abc]
        ),
        "reward_accuracy_on_votes": report["reward_accuracy"],
        "kl": last["health"]["kl"],
        "variety_of_base": last["health"]["variety"] / base_health["variety"],
        "gate_at_1": [last["health"]["validity"], base_health["validity"]],
        "rounds": len(report["rounds"]),
    }


def line(row: dict[str, Any]) -> str:
    """A row as people read it."""
    noiseless, noisy = row["noiseless"], row["noisy"]
    low, high = noiseless["interval"]
    accuracy = row["reward_accuracy"]
    return (
        f"{row['taste']:12} wins {noiseless['win_rate']:.1%} [{low:.1%}, {high:.1%}] of "
        f"{row['pairs']:,} pairs noiseless, {noisy['win_rate']:.1%} noisy; reward accuracy "
        f"{accuracy['noiseless']:.1%} noiseless, {accuracy['noisy']:.1%} noisy; "
        f"KL {row['kl']:.1f}; variety {row['variety_of_base']:.0%} of the base; "
        f"gate {row['gate_at_1'][0]:.0%} (base {row['gate_at_1'][1]:.0%})"
    )


def _share_rollouts(source: Path, run: Path) -> None:
    """The retraining's first pool is the base's, which lies there already."""
    run.mkdir(parents=True, exist_ok=True)
    link = run / "rollouts"
    if not link.exists():
        link.symlink_to((source / "rollouts").resolve())


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(
        FinalOptions, prog="python -m benchmarks.preference.final", args=args, description=__doc__
    )
    begun = time.monotonic()
    material = prepare(options)
    rows = []
    for taste in options.tastes:
        row = measure_taste(options, material, taste)
        rows.append(row)
        print(line(row), flush=True)
        found = {
            "base": options.model,
            "self_agreement": SELF_AGREEMENT,
            "seed": options.seed,
            "cpu_seconds": round(resource.getrusage(resource.RUSAGE_SELF).ru_utime),
            "seconds": round(time.monotonic() - begun),
            "rows": rows,
        }
        write_whole(options.results, json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
