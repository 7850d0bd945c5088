"""The final figures: the default arm from simulated votes of tastes that nothing was chosen on.

    python -m benchmarks.preference.final             about 35 minutes of one core
    python -m benchmarks.preference.final --report    print what is there, run nothing

For each held-out taste: learning pairs of the base model, simulated votes on them in a file, a
retraining exactly as `musicgen retrain` does it, and the gold win rate on fresh pairs of both
models, decoded alike. What a killed run has drawn is kept in --work, and a taste that is done is
not done again; the results are written after each taste.
"""

from __future__ import annotations

import json
import resource
import sys
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
from benchmarks.preference.reward_accuracy import agreement_with, explained
from musicgen.checkpoint import Checkpoint, CheckpointError, find_model, load_checkpoint
from musicgen.corpus import CorpusError
from musicgen.evaluate import read_tunes
from musicgen.sample import SampleOptions, TuneSampler
from prefs.json_files import write_whole
from prefs.raters import HELD_OUT, SELF_AGREEMENT, Rater, RaterError, simulated_raters
from prefs.retrain import RetrainError, RetrainOptions, retrain
from prefs.reward_model import Features, RewardModel
from prefs.run_folder import RunFolder

SERVED = SampleOptions()  # how drawing.py draws the tunes that are judged, of either model
WANTED = 0.6  # of the noiseless pairs
PAIRS_SEED, EVALUATION_SEED = 11, 21  # of tunes that are not those of a retraining


@dataclass(frozen=True)
class FinalOptions:
    """Measure the default arm on held-out tastes."""

    model: str = "base"  # the base model: a name or a folder
    tastes: tuple[str, ...] = HELD_OUT
    votes: int = 600
    pairs: int = 2_000  # evaluation pairs a taste
    pool: int = RetrainOptions.pool  # tunes a round
    corpus: Path = Path("data/corpus/train.jsonl")  # real tunes, for tastes that are learned
    work: Path = Path("runs/preference-final")  # what is drawn; a killed run goes on from here
    results: Path = Path("benchmarks/preference/results/final.json")
    seed: int = 0
    report: bool = False  # print the results that are there


@dataclass(frozen=True)
class Material:
    """What all tastes share: the base model's tunes and pairs, and the raters."""

    base: Checkpoint
    sampler: TuneSampler
    templates: tuple[str, ...]  # sound tunes of the base model's pool
    raters: dict[str, Rater]
    pairs: Path
    evaluation: Drawn
    fresh: tuple[str, ...]  # the sound ones of its tunes ...
    features: Features  # ... and their features


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
    fresh = tuple(abc for abc in evaluation.tunes if abc)
    features = Features.of(base.model, base.tokenizer, fresh)
    return Material(base, sampler, templates, raters, pairs, evaluation, fresh, features)


def measure_taste(options: FinalOptions, material: Material, taste: str) -> dict[str, Any]:
    """One row: retrain on the votes of a taste, then the gold win rate.

    Raises RetrainError if every round was taken back.
    """
    rater = material.raters[taste]
    votes_file = cast_votes(rater, material.pairs, options.work / "votes" / f"{taste}.jsonl")
    votes = votes_from_files(material.pairs, votes_file, options.votes)
    folder = options.work / "models" / taste
    run = options.work / "runs" / taste
    wanted = RetrainOptions(taste, options.work, pool=options.pool, seed=options.seed)
    if not folder.is_dir():
        _share_rollouts(options.work / "base", run)
        for event in retrain(material.base, votes, wanted):
            print(f"{taste}: {event.line()}", flush=True)
    report = json.loads((run / "report.json").read_text())
    reward = RewardModel.load(run)
    tuned = load_checkpoint(folder)
    drawn = evaluation_tunes(
        TuneSampler(tuned.model, tuned.tokenizer),
        material.templates,
        options.pairs,
        EVALUATION_SEED + 1,
        options.work / "evaluation" / f"{taste}.jsonl",
    )
    last = [step for step in report["rounds"] if not step["taken_back"]][-1]
    base_health = last["base_health"]
    return {
        "taste": taste,
        "votes": len(votes),
        "known_by_statistics": explained(
            material.features.statistics, rater.utilities(material.fresh)
        ),
        **gold(rater, drawn, material.evaluation).json(),
        "reward_accuracy": agreement_with(rater, reward, material.features, material.fresh),
        "reward_accuracy_on_votes": report["reward_accuracy"],
        "members": list(reward.members),
        "kl": last["health"]["kl"],
        "variety_of_base": last["health"]["variety"] / base_health["variety"],
        "gate_at_1": [last["health"]["validity"], base_health["validity"]],
        "rounds": len(report["rounds"]),
        "curve": [[step["health"]["kl"], step["reward"]] for step in report["rounds"]],
    }


def line(row: dict[str, Any]) -> str:
    """A row as people read it."""
    if "failed" in row:
        return f"{row['taste']:10} no new model: {row['failed']}"
    noiseless, noisy = row["noiseless"], row["noisy"]
    low, high = noiseless["interval"]
    accuracy = row["reward_accuracy"]
    return (
        f"{row['taste']:10} wins {noiseless['win_rate']:.1%} [{low:.1%}, {high:.1%}] of "
        f"{row['pairs']:,} pairs noiseless, {noisy['win_rate']:.1%} noisy; reward accuracy "
        f"{accuracy['noiseless']:.1%} noiseless, {accuracy['noisy']:.1%} noisy; "
        f"KL {row['kl']:.1f}; variety {row['variety_of_base']:.0%} of the base; "
        f"gate {row['gate_at_1'][0]:.0%} (base {row['gate_at_1'][1]:.0%}); "
        f"{row['known_by_statistics']:.0%} of the taste lies in the reward's statistics"
    )


def summary(found: dict[str, Any]) -> str:
    """What was measured and how, then a line a taste."""
    decoding, done = found["decoding"], [row for row in found["rows"] if "failed" not in row]
    accuracy = sum(row["reward_accuracy"]["noiseless"] for row in done) / max(1, len(done))
    wins = sum(row["noiseless"]["win_rate"] >= WANTED for row in done)
    return "\n".join(
        [
            f"{found['votes']} votes of a simulated rater who agrees with itself on "
            f"{found['self_agreement']:.0%} of unrelated pairs (assumed); both models decoded at "
            f"temperature {decoding['temperature']}, top-p {decoding['top_p']}, without mask; "
            f"seed {found['seed']}; intervals 95%, Wilson; {found['cpu_seconds'] / 60:.0f} minutes",
            *map(line, found["rows"]),
            f"{wins} of {len(found['rows'])} tastes reach {WANTED:.0%}; mean reward accuracy "
            f"{accuracy:.1%} noiseless",
        ]
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
    if options.report:
        print(summary(json.loads(options.results.read_text(encoding="utf-8"))))
        return 0
    begun = time.monotonic()
    try:
        material = prepare(options)
    except (CheckpointError, CorpusError, RaterError) as error:
        print(f"final: {error}", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    for taste in options.tastes:
        try:
            rows.append(measure_taste(options, material, taste))
        except RetrainError as error:
            rows.append({"taste": taste, "failed": str(error)})
        print(line(rows[-1]), flush=True)
        found = {
            "base": options.model,
            "votes": options.votes,
            "pairs": options.pairs,
            "pool": options.pool,
            "self_agreement": SELF_AGREEMENT,
            "decoding": {
                "temperature": SERVED.temperature,
                "top_p": SERVED.top_p,
                "loop_cost": SERVED.loop_cost,
            },
            "seed": options.seed,
            "cpu_seconds": round(resource.getrusage(resource.RUSAGE_SELF).ru_utime),
            "seconds": round(time.monotonic() - begun),
            "rows": rows,
        }
        write_whole(options.results, json.dumps(found, indent=2) + "\n")
    print(summary(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
