"""What the bundled model writes, alone and as served: soundness, choices obeyed, copies, titles.

    python -m benchmarks.experiments.served_tunes [--corpus data/corpus] [--count 2000]

Free tunes are drawn without mask or filter, at temperature 1 and at the serving defaults, beside as
many held-out printed tunes as there are. Masked ones are drawn as they are for serving, before the
gate and the copy filter, with random choices of rhythm, meter, key, plan and range, each left open
half the time; of those that pass, it is counted how many obey. Served ones went through all of it.
Two figures, given of printed tunes too, say whether a tune sounds in the key that its header names:
it ends on the tonic or its fifth, and nine tenths of its notes are of the scale.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from abc_tools import Tune, parse_tune, passes_gate, unfold
from musicgen.checkpoint import BUNDLED
from musicgen.closure import comes_home
from musicgen.corpus import read_corpus
from musicgen.evaluate import tune_statistics
from musicgen.name_tune import TuneNamer
from musicgen.novelty import NoveltyError, NoveltyIndex, is_copy
from musicgen.part_plan import part_plan
from musicgen.pitch_range import instrument_range
from musicgen.sample import Sample, SampleOptions, TuneRequest, TuneSampler

RESULTS = Path(__file__).parent / "results" / "served_tunes.json"
SEED = 20_000
OF_A_KIND = 20  # tunes drawn with the same choices
PLANS = ((8, 8), (8, 8, 8), (8, 8, 8, 8), (4, 4), (16, 16), (8, 16))
INSTRUMENTS = ("fiddle", "flute", "whistle")
TITLES = 500


def free_tunes(sampler: TuneSampler, count: int, options: SampleOptions) -> list[tuple[str, bool]]:
    """(text, finished) of tunes without mask or filter."""
    drawn = sampler.samples(TuneRequest(), options, count, batch=64)
    return [(sample.abc, sample.finished) for sample in drawn]


def statistics(tunes: Sequence[tuple[str, bool]], equal: int) -> dict[str, Any]:
    """Of all tunes; 4-grams of the first `equal`, as their share depends on the count."""
    found = asdict(tune_statistics(tunes))
    found["distinct_4grams"] = tune_statistics(tunes[:equal]).distinct_4grams
    found["counted_for_4grams"] = min(equal, len(tunes))
    return found


def random_request(sampler: TuneSampler, rng: np.random.Generator) -> TuneRequest:
    """Choices, each left open half the time; meters only such as the rhythm is played in."""
    headers = sampler.headers
    meters = {"reel": "4/4", "jig": "6/8", "hornpipe": "4/4", "slip jig": "9/8", "march": "4/4"}
    meters = {r: m for r, m in meters.items() if r in headers.rhythms and m in headers.meters}

    def maybe(choices: Sequence[Any]) -> Any:
        return choices[int(rng.integers(len(choices)))] if rng.random() < 0.5 else None

    rhythm = maybe(list(meters))
    low, high = instrument_range(maybe(INSTRUMENTS))
    return TuneRequest(
        rhythm=rhythm,
        meter=maybe([meters[rhythm]] if rhythm else headers.meters),
        key=maybe(headers.keys),
        plan=maybe(PLANS),
        low=low,
        high=high,
    )


def masked_tunes(sampler: TuneSampler, count: int) -> Iterator[Sample]:
    """Under the mask, before gate and copy filter."""
    rng = np.random.default_rng(SEED)
    for number in range(-(-count // OF_A_KIND)):
        request = random_request(sampler, rng)
        options = SampleOptions(seed=SEED + number, constrained=True)
        yield from sampler.samples(request, options, OF_A_KIND, batch=OF_A_KIND)


def obeyed(sample: Sample, tune: Tune) -> dict[str, bool]:
    """For each choice that was made, whether the tune has it."""
    asked = sample.request
    pitches = [note.pitch for note in unfold(tune).notes]
    found: dict[str, bool] = {}
    if asked.rhythm is not None:
        found["rhythm"] = tune.rhythm == asked.rhythm
    if asked.meter is not None:
        found["meter"] = tune.meter.text == asked.meter
    if asked.key is not None:
        found["key"] = tune.key.text == asked.key
        found |= in_key(tune)
    if asked.plan is not None:
        found["plan"] = part_plan(tune) == asked.plan
    if asked.low is not None or asked.high is not None:
        found["range"] = (asked.low or 0) <= min(pitches) and max(pitches) <= (asked.high or 127)
    return found


def in_key(tune: Tune) -> dict[str, bool]:
    """Whether the tune sounds in the key that its header names; it must have a tonic."""
    pitches = [note.pitch for note in unfold(tune).notes]
    natural = (0, 2, 4, 5, 7, 9, 11)
    scale = {(p + move) % 12 for p, move in zip(natural, tune.key.alterations, strict=True)}
    inside = sum(pitch % 12 in scale for pitch in pitches)
    return {
        "key: notes of the scale": inside >= 0.9 * len(pitches),
        "key: end on tonic or fifth": comes_home(tune),
    }


def printed_keys(tunes: Sequence[str]) -> dict[str, float]:
    """The same of printed tunes, as shares."""
    parsed = (parse_tune(abc) for abc in tunes if passes_gate(abc))
    found = [in_key(tune) for tune in parsed if tune.key.tonic]
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def served_figures(sampler: TuneSampler, index: NoveltyIndex, count: int) -> dict[str, Any]:
    """What the mask, the gate and the copy filter leave, and how the choices were kept."""
    sound = half_copied = copies = degenerate = kept = 0
    by_choice: dict[str, list[bool]] = {}
    for sample in islice(masked_tunes(sampler, count), count):
        gate = passes_gate(sample.abc, sample.finished)
        sound += bool(gate)
        degenerate += "degenerate" in gate.reasons
        if not gate:
            continue
        tune = parse_tune(sample.abc)
        try:
            nearest = index.nearest(sample.abc)
        except NoveltyError:  # too few notes to compare
            nearest = None
        half_copied += nearest is not None and nearest.shared_bars > 0.5
        if nearest is not None and is_copy(nearest):
            copies += 1
            continue
        kept += 1
        for name, kept_to in obeyed(sample, tune).items():
            by_choice.setdefault(name, []).append(kept_to)
    return {
        "drawn": count,
        "pass_the_gate": sound / count,
        "degenerate": degenerate / count,
        "more_than_half_of_the_bars_of_one_printed_tune": half_copied / max(1, sound),
        "refused_as_copies": copies / max(1, sound),
        "served": kept,
        "obeyed": {
            name: {"asked": len(found), "share": sum(found) / len(found)}
            for name, found in sorted(by_choice.items())
        },
    }


def heard_figures(sampler: TuneSampler, index: NoveltyIndex, count: int) -> dict[str, Any]:
    """Of served tunes, with choices as above: how they end, and how many were drawn for each."""

    def copied(abc: str) -> bool:
        try:
            return is_copy(index.nearest(abc))
        except NoveltyError:  # too few notes to compare
            return False

    sampler.is_copy = copied
    rng = np.random.default_rng(SEED + 1)
    gates, keys, drawn = [], [], 0
    for number in range(-(-count // OF_A_KIND)):
        request = random_request(sampler, rng)
        last = 0
        for sample in sampler.served(request, SampleOptions(seed=SEED - number), OF_A_KIND):
            tune = parse_tune(sample.abc)
            gates.append(bool(passes_gate(tune, sample.finished)))
            keys.append(in_key(tune))
            last = max(last, sample.row)
        drawn += last + 1
    return {
        "served": len(gates),
        "pass_the_gate": float(np.mean(gates)),
        "drawn_for_each": drawn / len(gates),
        **{name: float(np.mean([one[name] for one in keys])) for name in keys[0]},
    }


def title_figures(sampler: TuneSampler, printed: set[str], count: int) -> dict[str, Any]:
    """How many of `count` tunes get a title, and how many of a printed one."""
    namer = TuneNamer(sampler)
    options = SampleOptions(seed=SEED - 1)
    drawn = sampler.samples(TuneRequest(), options, count, batch=64)
    titles = [title for sample in drawn if (title := namer.title(sample.abc)) is not None]
    return {
        "tunes": count,
        "titled": len(titles),
        "different": len(set(titles)),
        "equal_to_a_printed_title": sum(title.casefold() in printed for title in titles),
        "some": titles[:12],
    }


def main() -> None:
    """Prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--model", type=Path, default=BUNDLED / "base")
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    corpus = read_corpus(arguments.corpus)
    sampler = TuneSampler.load(arguments.model)
    held_out = [(tune.abc, True) for tune in corpus.tunes("test")]
    count, equal = arguments.count, min(len(held_out), arguments.count)
    printed = {title.casefold() for title in corpus.titles()}
    index = NoveltyIndex.build(corpus.tunes("train"))

    def told(name: str, figures: dict[str, Any]) -> None:
        results[name] = figures
        print(name, json.dumps(figures, indent=2), flush=True)

    results: dict[str, Any] = {"model": arguments.model.name}
    printed_figures = statistics(held_out, equal) | printed_keys([abc for abc, _ in held_out])
    told("held-out printed tunes", printed_figures)
    plain = SampleOptions.own(seed=SEED, draw_plan=False)
    told("free, temperature 1", statistics(free_tunes(sampler, count, plain), equal))
    serving = replace(SampleOptions(), seed=SEED)
    told("free, serving defaults", statistics(free_tunes(sampler, count, serving), equal))
    told("masked", served_figures(sampler, index, count))
    told("served", heard_figures(sampler, index, count // 4))
    told("titles", title_figures(sampler, printed, min(TITLES, count)))
    arguments.results.parent.mkdir(exist_ok=True)
    arguments.results.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
