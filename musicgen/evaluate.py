"""How good a model is: bits a character on held-out tunes, and how its samples compare with them.

musicgen evaluate --model base --tunes CORPUS/test.jsonl --samples 400
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from abc_tools import (
    AbcError,
    GateResult,
    decode_bytes,
    parse_tune,
    passes_gate,
    split_tunes,
    unfold,
)
from musicgen.checkpoint import Checkpoint
from musicgen.corpus import CorpusError, plain_text
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.train import bits_per_character


@dataclass(frozen=True)
class TuneStatistics:
    """What a set of tunes is like."""

    tunes: int
    gate: float  # part that passes the gate
    gate_interval: tuple[float, float]  # 95%, Wilson
    reasons: dict[str, int]  # why the others fail; a tune can fail for several reasons
    distinct_4grams: float  # different runs of 4 notes (pitch and length) over all such runs
    notes_a_tune: float  # written notes of readable tunes, repeats unfolded


def wilson_interval(successes: float, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927).

    >>> [round(x, 3) for x in wilson_interval(93, 210)]
    [0.377, 0.51]
    """
    if trials == 0:
        return 0.0, 1.0
    p = successes / trials
    centre = p + z * z / (2 * trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return (centre - half) / scale, (centre + half) / scale


def distinct_ngrams(tunes: Iterable[Sequence[Any]], n: int = 4) -> float:
    """Different n-grams over all n-grams of the sequences; 0 where there are none."""
    seen: set[tuple[Any, ...]] = set()
    total = 0
    for notes in tunes:
        grams = [tuple(notes[place : place + n]) for place in range(len(notes) - n + 1)]
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else 0.0


def tune_statistics(tunes: Sequence[tuple[str, bool]]) -> TuneStatistics:
    """Statistics of (text, finished) pairs. 4-grams depend on the count: compare equal counts."""
    gates: list[GateResult] = [passes_gate(abc, finished) for abc, finished in tunes]
    sequences = []
    for abc, _ in tunes:
        try:
            notes = unfold(parse_tune(abc)).notes
        except AbcError:
            continue
        sequences.append([(note.pitch, note.length) for note in notes])
    passed = sum(map(bool, gates))
    return TuneStatistics(
        tunes=len(tunes),
        gate=passed / len(tunes) if tunes else 0.0,
        gate_interval=wilson_interval(passed, len(tunes)),
        reasons=dict(Counter(reason for gate in gates for reason in gate.reasons).most_common()),
        distinct_4grams=distinct_ngrams(sequences),
        notes_a_tune=sum(map(len, sequences)) / max(1, len(sequences)),
    )


def read_tunes(path: Path) -> list[str]:
    """Plain canonical texts from an .abc tunebook or from a corpus split (.jsonl)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}") from None
    text = decode_bytes(data)
    if path.suffix == ".jsonl":
        return [json.loads(line)["abc"] for line in text.splitlines()]
    tunes = []
    for part in split_tunes(text):
        try:
            tune = parse_tune(part)
        except AbcError:
            continue
        tunes.append(plain_text(tune, tune.rhythm or None))
    if not tunes:
        raise CorpusError(f"{path} holds no tune that can be read")
    return tunes


def evaluate(
    checkpoint: Checkpoint, tunes: Sequence[str], *, samples: int = 0, seed: int = 0
) -> dict[str, Any]:
    """Bits a character over the tunes that pass the gate, statistics of tunes and of samples.

    Samples are unfiltered, drawn at temperature 1 / top-p 1 and at the serving defaults. Tunes and
    samples are compared in equal numbers.
    """
    sound = [abc for abc in tunes if passes_gate(abc)]
    count = min(samples, len(tunes)) if samples else len(tunes)
    result: dict[str, Any] = {
        "model": checkpoint.name,
        "bits_per_character": bits_per_character(checkpoint.model, checkpoint.tokenizer, sound),
        "characters": sum(map(len, sound)),
        "tunes": asdict(tune_statistics([(abc, True) for abc in tunes[:count]])),
    }
    if samples:
        sampler = TuneSampler(checkpoint.model, checkpoint.tokenizer)
        free = SampleOptions.own(seed=seed, draw_plan=False)
        serving = SampleOptions(seed=seed)
        for name, options in {"samples_at_1": free, "samples_as_served": serving}.items():
            drawn = tqdm(sampler.samples(TuneRequest(), options, samples), name, total=samples)
            pairs = [(sample.abc, sample.finished) for sample in drawn]
            result[name] = {
                "temperature": options.temperature,
                "top_p": options.top_p,
                "loop_cost": options.loop_cost,
                **asdict(tune_statistics(pairs)),
            }
    return result


def report(result: dict[str, Any]) -> str:
    """The same as a small table."""
    lines = [
        f"{result['model']}: {result['bits_per_character']:.4f} bits a character "
        f"over {result['characters']:,} characters",
        f"{'':24}{'tunes':>6} {'gate':>7} {'95% interval':>15} {'4-grams':>8} {'notes':>6}  faults",
    ]
    names = {
        "tunes": "real tunes",
        "samples_at_1": "samples, T 1, top-p 1",
        "samples_as_served": "samples, serving",
    }
    for key, name in names.items():
        if (row := result.get(key)) is None:
            continue
        low, high = row["gate_interval"]
        why = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
        lines.append(
            f"{name:24}{row['tunes']:>6} {row['gate']:>7.1%} {low:>7.1%}-{high:.1%} "
            f"{row['distinct_4grams']:>8.3f} {row['notes_a_tune']:>6.0f}  {why}"
        )
    return "\n".join(lines)
