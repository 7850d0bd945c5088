"""Which kind of model at one budget: 5-gram, folk-rnn-shaped LSTM, GPT-2. One command, one table.

    python -m benchmarks.experiments.base_models --corpus data/corpus [--minutes 20]

All see the same tunes in the same keys as the same tokens, without plan lines and titles, and get
the same minutes of processor time on one thread. Bits are those of the test tunes that pass the
gate, a note being a written note, the end mark counted; samples are drawn at temperature 1 without
mask or filter and compared with the test tunes. What is finished is read from OUT, so the command
can be cut off and started again.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from abc_tools import parse_tune
from benchmarks.experiments.lstm import LSTMOptions, row_nats, sample_rows, train_lstm
from benchmarks.experiments.ngram import KneserNey
from benchmarks.experiments.tune_shapes import shape_figures, written_notes
from musicgen.augment import in_folk_keys
from musicgen.checkpoint import load_checkpoint
from musicgen.corpus import read_corpus
from musicgen.evaluate import tune_statistics
from musicgen.model import PRESETS, count_parameters
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import build_tokenizer, decode_tune, encode_tune
from musicgen.train import TrainConfig, bits_per_character, train, vocabulary_texts
from musicgen.training_rows import RowOptions, TrainingRows, TrainingTune

Tunes = list[tuple[str, bool]]  # text, finished
RESULTS = Path(__file__).parent / "results" / "base_models.json"
CONTEXT = PRESETS["small"].context
ROWS = RowOptions(header_dropout=0.1, plan=0.0, titles=0.0)
SAMPLES_SEED = 11


@dataclass
class Material:
    """What all models share; made when it is first asked for."""

    corpus: Path
    samples: int

    @cached_property
    def tunes(self) -> list[TrainingTune]:
        sound = [tune for tune in read_corpus(self.corpus).tunes("train") if tune.gate]
        return [TrainingTune(in_folk_keys(tune.abc), tune.title, tune.rhythm) for tune in sound]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return build_tokenizer(vocabulary_texts(self.tunes))[0]

    @cached_property
    def rows(self) -> TrainingRows:
        return TrainingRows(self.tunes, self.tokenizer, ROWS, CONTEXT)

    @cached_property
    def test(self) -> list[str]:
        return [tune.abc for tune in read_corpus(self.corpus).tunes("test") if tune.gate]

    @cached_property
    def test_rows(self) -> list[list[int]]:
        return [encode_tune(self.tokenizer, abc)[: CONTEXT + 1] for abc in self.test]

    @cached_property
    def notes(self) -> int:
        return sum(len(written_notes(parse_tune(abc))) for abc in self.test)

    @cached_property
    def characters(self) -> int:
        return sum(len(decode_tune(self.tokenizer, row)) for row in self.test_rows)

    def texts(self, rows: Sequence[Sequence[int]]) -> Tunes:
        end = self.tokenizer.eos_token_id
        return [(decode_tune(self.tokenizer, row), row[-1] == end) for row in rows]


def figures(material: Material, bits: float, drawn: Tunes) -> dict[str, Any]:
    """What is measured of every model; `bits` of all test tunes together."""
    return {
        "bits_per_character": bits / material.characters,
        "bits_per_note": bits / material.notes,
        "samples": asdict(tune_statistics(drawn)),
        **shape_figures([abc for abc, _ in drawn], material.test),
    }


def measure_ngram(material: Material, _options: argparse.Namespace) -> dict[str, Any]:
    tokenizer = material.tokenizer
    # each tune once in each key: drawn twice, it would look as if nothing were rare
    rows = [encode_tune(tokenizer, abc) for tune in material.tunes for abc in tune.keys]
    model = KneserNey(rows, len(tokenizer), 5)
    nats = sum(map(model.row_nats, material.test_rows))
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    rng = np.random.default_rng(SAMPLES_SEED)
    drawn = [model.sample(begin, end, rng, CONTEXT) for _ in range(material.samples)]
    found = figures(material, nats / math.log(2), material.texts(drawn))
    return {**found, "tokens": sum(map(len, rows))}


def measure_lstm(material: Material, options: argparse.Namespace) -> dict[str, Any]:
    tokenizer = material.tokenizer
    chosen = LSTMOptions(options.minutes, options.lstm_dropout, options.lstm_lr)
    folder = options.out / "lstm"
    pad = tokenizer.pad_token_id
    model, took = train_lstm(material.rows, len(tokenizer), pad, chosen, folder)
    nats = row_nats(model, material.test_rows, pad)
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    drawn = sample_rows(model, begin, end, material.samples, SAMPLES_SEED, CONTEXT)
    found = figures(material, nats / math.log(2), material.texts(drawn))
    return {**found, **took, "parameters": count_parameters(model)}


def gpt2_with(**changes: Any) -> Callable[[Material, argparse.Namespace], dict[str, Any]]:
    """A GPT-2 by `musicgen train`, its options changed by `changes`."""

    def measure(material: Material, options: argparse.Namespace) -> dict[str, Any]:
        name = "-".join(["gpt2", *changes])
        settings: dict[str, Any] = {
            "corpus": options.corpus, "out": options.out / name, "preset": "small", "steps": 0,
            "minutes": options.minutes, "clock": "processor", "decay": 0.4, "plan": ROWS.plan,
            "titles": ROWS.titles, "validate_every": 50, "sample_every": 10**6, "resume": True,
            "position_loss": 1.0, "grammar_loss": 2.0, **changes,
        }  # fmt: skip
        config = TrainConfig(**settings)
        for step in train(config):
            if step.step % 20 == 0:
                print(f"{name} {step.line()}", flush=True)
        last = json.loads((config.out / "log.jsonl").read_text().splitlines()[-1])
        found = load_checkpoint(config.out / "model")
        bits = bits_per_character(found.model, found.tokenizer, material.test)
        characters = material.characters
        sampler = TuneSampler(found.model, found.tokenizer)
        free = SampleOptions.own(seed=SAMPLES_SEED)
        drawn = [
            (s.abc, s.finished) for s in sampler.samples(TuneRequest(), free, material.samples)
        ]
        return {
            **figures(material, bits * characters, drawn),
            "parameters": count_parameters(found.model),
            **{key: last[key] for key in ("seconds", "step", "tokens")},
            "options": {key: str(value) for key, value in changes.items()},
        }

    return measure


MODELS: dict[str, Callable[[Material, argparse.Namespace], dict[str, Any]]] = {
    "5-gram": measure_ngram,
    "LSTM 3x512": measure_lstm,
    "GPT-2 small": gpt2_with(),
    "GPT-2 small, dropout 0.1": gpt2_with(dropout=0.1),
    "GPT-2 small, printed keys only": gpt2_with(transpose=False),
    "GPT-2 small, no bar targets": gpt2_with(position_loss=0.0, grammar_loss=0.0),
    "GPT-2 tiny": gpt2_with(preset="tiny"),
    "GPT-2 small, headers always whole": gpt2_with(header_dropout=0.0),
}
DEFAULT = list(MODELS)[:3]


def real_figures(material: Material) -> dict[str, Any]:
    """One half of the test tunes against the other: what chance brings."""
    half = len(material.test) // 2
    return {
        "samples": asdict(
            tune_statistics([(abc, True) for abc in material.test[: material.samples]])
        ),
        **shape_figures(material.test[:half], material.test[half:]),
    }


def table(results: dict[str, Any]) -> str:
    """The results as text."""
    names = list(next(iter(results.values()))["distances"])
    lines = [
        f"{'':32}{'bits/char':>10}{'bits/note':>10}{'gate':>8}{'4-grams':>9}{'on tonic':>9}"
        f"{'echo':>7}" + "".join(f"{name:>14}" for name in names)
    ]
    for name, row in results.items():
        bits = "".join(
            f"{row[key]:>10.4f}" if key in row else f"{'':>10}"
            for key in ("bits_per_character", "bits_per_note")
        )
        lines.append(
            f"{name:32}{bits}{row['samples']['gate']:>8.1%}"
            f"{row['samples']['distinct_4grams']:>9.3f}{row['parts_end_on_tonic']:>9.1%}"
            f"{row['bars_heard_before']:>7.1%}"
            + "".join(f"{row['distances'][key]:>14.3f}" for key in names)
        )
    return "\n".join(lines)


def main() -> None:
    """Train and measure what is not in the results yet; print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/base_models"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--minutes", type=float, default=20.0, help="of processor time, each model")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--lstm-dropout", type=float, default=LSTMOptions.dropout)
    parser.add_argument("--lstm-lr", type=float, default=LSTMOptions.lr)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=DEFAULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    material = Material(options.corpus, options.samples)
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    measures = {
        "real tunes": lambda m, _: real_figures(m),
        **{n: MODELS[n] for n in options.models},
    }
    for name, measure in measures.items():
        if name not in results:
            results[name] = measure(material, options)
            options.results.parent.mkdir(parents=True, exist_ok=True)
            options.results.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
