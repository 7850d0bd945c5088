"""Which granularity should the tokenizer have? Tokens, bits a character, gate rate and speed.

    python -m benchmarks.experiments.tokenizer [--passes 6] [--samples 200] [--out FOLDER]

The same tiny model is trained on the same tunes for the same number of passes with each
granularity; bits a character are those of the validation tunes, the gate rate that of unfiltered
samples at temperature 1. A run that is there already is read, so the table can be resumed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from musicgen.checkpoint import load_checkpoint
from musicgen.corpus import CorpusConfig, build_corpus, read_corpus
from musicgen.evaluate import tune_statistics
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import Granularity, build_tokenizer, encode_tune
from musicgen.train import TrainConfig, bits_per_character, train


def measure(
    granularity: Granularity, corpus: Path, out: Path, passes: int, samples: int
) -> dict[str, Any]:
    """One row of the table."""
    tunes = [tune.abc for tune in read_corpus(corpus).tunes("train") if tune.gate]
    tokenizer, _ = build_tokenizer(tunes, granularity=granularity)
    tokens = sum(len(encode_tune(tokenizer, abc)) for abc in tunes)
    config = TrainConfig(
        corpus=corpus,
        out=out / granularity,
        preset="tiny",
        steps=round(passes * tokens / TrainConfig.batch_tokens),
        granularity=granularity,
        validate_every=10_000,
        sample_every=10_000,
        resume=True,
    )
    log = config.out / "log.jsonl"
    if not log.exists() or json.loads(log.read_text().splitlines()[-1])["progress"] < 1:
        for step in train(config):
            if step.step % 50 == 0:
                print(f"{granularity:14} {step.line()}", flush=True)
    last = json.loads(log.read_text().splitlines()[-1])
    checkpoint = load_checkpoint(config.out / "model")
    sampler = TuneSampler(checkpoint.model, checkpoint.tokenizer)
    options = SampleOptions.own(seed=0)
    drawn = list(sampler.samples(TuneRequest(), options, samples))
    validation = [tune.abc for tune in read_corpus(corpus).tunes("validation") if tune.gate]
    statistics = tune_statistics([(sample.abc, sample.finished) for sample in drawn])
    return {
        "granularity": granularity,
        "vocabulary": len(checkpoint.tokenizer),
        "tokens_a_tune": tokens / len(tunes),
        "bits_a_character": bits_per_character(checkpoint.model, checkpoint.tokenizer, validation),
        "gate": statistics.gate,
        "gate_interval": statistics.gate_interval,
        "training_seconds": last["seconds"],
    }


def main() -> None:
    """Train, measure and print; the rows are kept in OUT/table.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--passes", type=int, default=6)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/tokenizer"))
    options = parser.parse_args()
    corpus = options.out / "corpus"
    if not (corpus / "manifest.json").exists():
        build_corpus(CorpusConfig(corpus))
    rows = [
        measure(granularity, corpus, options.out, options.passes, options.samples)
        for granularity in get_args(Granularity)
    ]
    (options.out / "table.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(f"{options.passes} passes of the tiny preset, {options.samples} samples at T 1")
    print(f"{'granularity':15}{'words':>6}{'tokens/tune':>13}{'bits/char':>11}{'gate':>15}{'s':>7}")
    for row in rows:
        low, high = row["gate_interval"]
        print(
            f"{row['granularity']:15}{row['vocabulary']:>6}{row['tokens_a_tune']:>13.1f}"
            f"{row['bits_a_character']:>11.4f}{row['gate']:>6.1%} {low:.0%}-{high:.0%}"
            f"{row['training_seconds']:>8.0f}"
        )


if __name__ == "__main__":
    main()
