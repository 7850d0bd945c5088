"""Is a tune new? How fast the nearest corpus tune is found, and how often it is near enough.

    python -m benchmarks.novelty [--model NAME|DIR] [--samples 200] [--corpus FOLDER]

The held-out tunes of the default corpus (or FOLDER) are looked up among its training tunes. They
have no title in common with those, so what is flagged there is kinship under other titles. The
same tunes read backwards show what chance brings. Training tunes with every tenth note moved must
be found again; of pairs of training tunes with the same title some are settings of one tune, others
share the title only. A model's samples are unfiltered but for the gate. The promises: at most
50 ms a query, 10 s of processor time to build, 3 MB on disk.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from abc_tools import Note, Tune, parse_tune, passes_gate
from musicgen.corpus import Corpus, CorpusConfig, CorpusTune, build_corpus, read_corpus
from musicgen.novelty import (
    COPY_BARS,
    COPY_NOTES,
    COPY_SIMILARITY,
    FILE_NAME,
    RUN,
    Nearest,
    NoveltyError,
    NoveltyIndex,
    corpus_index,
    is_copy,
)

PROMISED_MS, PROMISED_SECONDS, PROMISED_BYTES = 50, 10, 3 * 2**20
TIMED = 200  # queries


def with_pitches(tune: Tune, move: Callable[[int], int]) -> Tune:
    """The tune with each note moved by what `move` says of its pitch."""
    voices = tuple(
        voice._replace(
            bars=tuple(
                bar._replace(
                    elements=tuple(
                        element._replace(pitch=element.pitch + move(element.pitch))
                        if isinstance(element, Note)
                        else element
                        for element in bar.elements
                    )
                )
                for bar in voice.bars
            )
        )
        for voice in tune.voices
    )
    return replace(tune, voices=voices)


def with_wrong_notes(tune: Tune, rng: random.Random) -> Tune:
    """The tune with a tenth of its notes one to three semitones higher or lower."""
    return with_pitches(
        tune, lambda _: rng.choice((-3, -2, -1, 1, 2, 3)) if rng.random() < 0.1 else 0
    )


def backwards(tune: Tune) -> Tune:
    """The tune read from its end."""
    voices = tuple(
        voice._replace(
            bars=tuple(bar._replace(elements=bar.elements[::-1]) for bar in voice.bars[::-1])
        )
        for voice in tune.voices
    )
    return replace(tune, voices=voices)


def same_title(tunes: Sequence[CorpusTune]) -> Iterator[tuple[CorpusTune, CorpusTune]]:
    """Pairs of tunes that differ in no more than case, articles and what stands after a dash."""
    by_title: dict[str, list[CorpusTune]] = defaultdict(list)
    for tune in tunes:
        plain = re.sub(r"\(.*?\)|\s--\s.*$|\b(the|an?)\b|[^a-z0-9]", "", tune.title.lower())
        if plain:
            by_title[plain].append(tune)
    for settings in by_title.values():
        if len(settings) <= 3:  # "Untitled", "A jig"
            yield from combinations(settings, 2)


def timed(index: NoveltyIndex, tunes: Sequence[CorpusTune]) -> list[tuple[float, float]]:
    """(milliseconds on the clock, of the processor) of each query, reading the text included."""
    times = []
    for tune in tunes:
        clock, processor = time.perf_counter(), time.process_time()
        index.nearest(tune.abc)
        times.append((time.perf_counter() - clock, time.process_time() - processor))
    return [(clock * 1000, processor * 1000) for clock, processor in times]


def row(name: str, found: Sequence[Nearest]) -> str:
    """One line of the table: quantiles of the three measures, and who counts as a copy."""
    if not found:
        return f"{name:34}{0:>6}"
    notes = [one.longest_passage.notes if one.longest_passage else 0 for one in found]
    similarity = [one.similarity for one in found]
    bars = [one.shared_bars for one in found]

    def quantiles(values: Sequence[float], form: str) -> str:
        return " ".join(f"{value:{form}}" for value in np.percentile(values, (5, 50, 95)))

    def share(flags: Sequence[bool]) -> str:
        return f"{sum(flags) / len(flags):7.1%}"

    return (
        f"{name:34}{len(found):>6}  {quantiles(similarity, '4.2f')}  {quantiles(bars, '4.2f')}  "
        f"{quantiles(notes, '3.0f')}  {share([value > COPY_BARS for value in bars])} "
        f"{share([value >= COPY_NOTES for value in notes])} "
        f"{share([value >= COPY_SIMILARITY for value in similarity])} "
        f"{share([is_copy(one) for one in found])}"
    )


def head() -> str:
    """The heading of `row`."""
    return (
        f"{'':34}{'':6}  {'similarity':14}  {'shared bars':14}  {'notes in a row':11}"
        f"{'bars':>5} {'row':>7} {'simil.':>7} {'copy':>7}\n"
        f"{'5%, 50%, 95% of the tunes':34}{'tunes':>6}  {'':14}  {'':14}  {'':11}"
        f" {f'>{COPY_BARS}':>7} {f'>={COPY_NOTES}':>7} {f'>={COPY_SIMILARITY}':>7} {'any':>7}"
    )


def model_rows(index: NoveltyIndex, name: str, samples: int) -> Iterator[str]:
    """The copies among what a model writes at the serving defaults, if it passes the gate."""
    from musicgen.checkpoint import CheckpointError, find_model  # loads torch

    try:
        folder = find_model(name)
    except CheckpointError as error:
        yield f"no model measured: {error}"
        return
    from musicgen.sample import SampleOptions, TuneRequest, TuneSampler

    drawn = TuneSampler.load(folder).samples(TuneRequest(), SampleOptions(), samples)
    found = [index.nearest(one.abc) for one in drawn if passes_gate(one.abc, one.finished)]
    yield row(f"samples of {name}"[:33], found)


def comparisons(index: NoveltyIndex, corpus: Corpus) -> Iterator[str]:
    """The rows about real tunes."""
    train = corpus.tunes("train")
    held_out = [parse_tune(one.abc) for one in corpus.tunes("test") + corpus.tunes("validation")]
    yield row("held-out tunes", [index.nearest(tune) for tune in held_out])
    yield row("held-out tunes, backwards", [index.nearest(backwards(tune)) for tune in held_out])

    rng = random.Random(1)
    chosen = rng.sample(train, min(200, len(train)))
    found = [index.nearest(with_wrong_notes(parse_tune(one.abc), rng)) for one in chosen]
    yield row("training tunes, 10% of notes moved", found)
    right = sum(one.id == near.tune_id for one, near in zip(chosen, found, strict=True))
    yield f"    of which the nearest is the tune itself: {right} of {len(chosen)}"

    pairs = []
    for one, other in same_title(train):
        with contextlib.suppress(NoveltyError):  # a tune of fewer notes than a run
            pairs.append(NoveltyIndex.build([one]).nearest(other.abc))
    yield row("pairs with the same title", pairs)
    related = [pair for pair in pairs if pair.similarity >= 0.3]
    yield row("    of similarity 0.3 and more", related)


def measure(options: argparse.Namespace, home: Path) -> bool:
    """Prints the tables; returns whether the promises were kept."""
    clock, processor = time.perf_counter(), time.process_time()
    full = corpus_index(home)
    built = (time.perf_counter() - clock, time.process_time() - processor)
    size = (home / FILE_NAME).stat().st_size
    clock = time.perf_counter()
    corpus_index(home)
    loaded = time.perf_counter() - clock
    corpus = (
        read_corpus(options.corpus)
        if options.corpus
        else build_corpus(CorpusConfig(home / "corpus"))
    )
    held_out = corpus.tunes("test")[:TIMED]
    times = np.array(timed(full, held_out))
    medians, slow = np.percentile(times, 50, axis=0), np.percentile(times, 95, axis=0)

    print(f"index of {len(full)} printed tunes, runs of {RUN} notes (processor time in brackets)")
    print(f"  built in {built[0]:.1f} s ({built[1]:.1f}); opened in {loaded:.2f} s; {size:,} bytes")
    print(
        f"  {len(held_out)} queries: median {medians[0]:.1f} ms ({medians[1]:.1f}), "
        f"95% within {slow[0]:.1f} ms ({slow[1]:.1f})"
    )
    print(f"\nnearest of the {len(corpus.tunes('train'))} training tunes\n{head()}")
    index = NoveltyIndex.build(corpus.tunes("train"))
    for line in comparisons(index, corpus):
        print(line, flush=True)
    for line in model_rows(index, options.model, options.samples):
        print(line, flush=True)
    kept = medians[0] <= PROMISED_MS and built[1] <= PROMISED_SECONDS and size <= PROMISED_BYTES
    print(f"promise: 50 ms a query, 10 s to build, 3 MB - {'kept' if kept else 'BROKEN'}")
    return bool(kept)


def main() -> None:
    """Exits with 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="benchmarks.novelty", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="base", help="name or folder")
    parser.add_argument("--samples", type=int, default=200, help="tunes to draw from the model")
    parser.add_argument("--corpus", type=Path, help="a corpus folder, instead of the default one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        kept = measure(options, Path(name))
    if not kept:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
