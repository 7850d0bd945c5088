"""Sound tunes that go on from given beginnings, many at once, kept on disk as they are drawn.

As `musicgen pairs` draws them one by one (prefs/pair_maker.py): serving temperature and top-p, no
grammar mask, a tune that fails the gate is drawn again. Beginnings are cut in their own tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from abc_tools import parse_tune, passes_gate
from musicgen.sample import SampleError, SampleOptions, TuneSampler
from prefs.prompted import Prompt, cut_prompt

CHUNK = 64  # tunes that a kill may cost
ATTEMPTS = 12
_ROUND = 1_000  # seeds of one call are seed * _ROUND + attempt


@dataclass(frozen=True)
class Drawn:
    """What came of each beginning: the first sound tune, and whether the first draw was sound."""

    tunes: tuple[str | None, ...]  # None where no draw was sound
    first_draws: tuple[bool, ...]

    @property
    def gate(self) -> float:
        """Share of first draws that passed the gate."""
        return float(np.mean(self.first_draws)) if self.first_draws else 0.0


def prompts_of(
    tokenizer: PreTrainedTokenizerFast, tunes: Sequence[str], count: int, bars: int
) -> list[Prompt]:
    """Header and first `bars` bars of tunes that name their rhythm, round and round.

    Raises SampleError if there is no such tune.
    """
    known = [cut_prompt(tokenizer, abc, bars) for abc in tunes if parse_tune(abc).rhythm]
    if not known:
        raise SampleError(
            f"none of {len(tunes)} tunes names a rhythm, so none gives an opening: draw more tunes"
        )
    return [known[number % len(known)] for number in range(count)]


def draw_sound(sampler: TuneSampler, prompts: Sequence[Prompt], seed: int, place: Path) -> Drawn:
    """One sound tune for each prompt, in order; what the file `place` holds is not drawn again."""
    rows = _rows(place)[: len(prompts)]
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        while len(rows) < len(prompts):
            chunk = list(prompts[len(rows) : len(rows) + CHUNK])
            fresh = _draw(sampler, chunk, seed, first_row=len(rows))
            file.writelines(json.dumps(row) + "\n" for row in fresh)
            file.flush()
            rows += fresh
    return Drawn(tuple(row[0] for row in rows), tuple(row[1] for row in rows))


def _rows(place: Path) -> list[tuple[str | None, bool]]:
    if not place.is_file():
        return []
    whole = place.read_text(encoding="utf-8").split("\n")[:-1]
    return [(row[0], bool(row[1])) for row in map(json.loads, whole)]


def _draw(
    sampler: TuneSampler, prompts: Sequence[Prompt], seed: int, first_row: int
) -> list[tuple[str | None, bool]]:
    tunes: list[str | None] = [None] * len(prompts)
    first = [False] * len(prompts)
    for attempt in range(ATTEMPTS):
        open_rows = [row for row, abc in enumerate(tunes) if abc is None]
        if not open_rows:
            break
        options = SampleOptions(seed=seed * _ROUND + attempt)
        samples = sampler.continuations(
            [prompts[row] for row in open_rows], options, first_row=first_row, batch=CHUNK
        )
        for row, sample in zip(open_rows, samples, strict=True):
            if passes_gate(sample.abc, sample.finished):
                tunes[row], first[row] = sample.abc, attempt == 0
    return list(zip(tunes, first, strict=True))
