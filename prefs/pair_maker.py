"""Draws the pairs that people vote on; no tune that fails the gate is ever put before a rater.

A learning pair: a tune of the model gives the header and the first two bars, and two fresh
continuations are drawn from there. So whatever the rater prefers lies in what differs.
An evaluation pair: two models, the same header, one decoding, drawn uniformly, no other matching.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from abc_tools import canonical_text, parse_tune, passes_gate
from musicgen.header import TuneRequest
from musicgen.opening import request_from_abc
from musicgen.records import tune_record
from musicgen.sample import Sample, SampleError, SampleOptions, TuneSampler
from prefs.records import Pair, PairKind, TuneRecord

OPENING_BARS = 2
_ATTEMPTS = 48  # draws for one tune before giving up
_WIDTH = 4  # draws at a time


@dataclass(frozen=True)
class Drawn:
    """A tune that passes the gate, and whether the very first draw did."""

    sample: Sample
    first_draw: bool


@dataclass(frozen=True)
class NewPair:
    """A pair with its tunes, in the order in which they are shown."""

    pair: Pair
    first: TuneRecord
    second: TuneRecord


class PairMaker:
    """Pairs from one model; `rng` decides seeds and sides. Not safe for several threads."""

    def __init__(self, sampler: TuneSampler, model: str, rng: np.random.Generator) -> None:
        self.sampler, self.model, self.rng = sampler, model, rng

    def learning_pair(self, other: PairMaker | None = None) -> NewPair:
        """Two continuations of one opening, by this model, or by this one and `other`."""
        opening = opening_of(self._template())
        request = request_from_abc(opening)
        one = self._draw(request)
        two = (other or self)._draw(request)
        for _ in range(_ATTEMPTS):
            if two.sample.abc != one.sample.abc:
                break
            two = (other or self)._draw(request)
        else:
            raise SampleError("the model goes on from its opening in one way only: try again")
        return self._pair("learning", opening, one, two, other or self)

    def evaluation_pair(self, other: PairMaker) -> NewPair:
        """One tune of each model with the same header, which either may have written."""
        writer = other if self.rng.integers(2) else self
        tune = parse_tune(writer._template())
        header = TuneRequest(tune.rhythm, tune.meter.text, tune.key.text)
        return self._pair("evaluation", "", self._draw(header), other._draw(header), other)

    def _template(self) -> str:
        """A tune whose header leaves nothing open, or the two of a pair could differ in it."""
        for _ in range(_ATTEMPTS):
            abc = self._draw(TuneRequest()).sample.abc
            if parse_tune(abc).rhythm:
                return abc
        raise SampleError(f"{self.model!r} names no rhythm in its tunes: train it on tunes that do")

    def _draw(self, request: TuneRequest) -> Drawn:
        options = SampleOptions(seed=int(self.rng.integers(2**31)))
        first_draw = None
        for row in range(0, _ATTEMPTS, _WIDTH):
            for sample in self.sampler.samples(request, options, _WIDTH, first_row=row):
                sound = bool(passes_gate(sample.abc, sample.finished))
                first_draw = sound if first_draw is None else first_draw
                if sound:
                    text = canonical_text(parse_tune(sample.abc), title=False)
                    return Drawn(replace(sample, abc=text), first_draw)
        raise SampleError(
            f"of {_ATTEMPTS} tunes that {self.model!r} wrote for one header none was sound: "
            "train it longer, or choose another model"
        )

    def _pair(
        self, kind: PairKind, opening: str, one: Drawn, two: Drawn, other: PairMaker
    ) -> NewPair:
        mine, theirs = _record(one, self.model), _record(two, other.model)
        swapped = bool(self.rng.integers(2))
        shown = (theirs, mine) if swapped else (mine, theirs)
        draws = (two.first_draw, one.first_draw) if swapped else (one.first_draw, two.first_draw)
        options = one.sample.options
        pair = Pair(
            id=secrets.token_hex(8),
            first=shown[0].id,
            second=shown[1].id,
            kind=kind,
            opening=opening,
            options={
                "temperature": options.temperature,
                "top_p": options.top_p,
                "loop_cost": options.loop_cost,
                "first_draw_sound": list(draws),
            },
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        return NewPair(pair, *shown)


def opening_of(abc: str, bars: int = OPENING_BARS) -> str:
    """The header and the first whole bars of a tune, a pick-up bar not counted, as ABC text."""
    text = canonical_text(parse_tune(abc), plain=True, title=False)
    tune = parse_tune(text)
    whole = 0
    for bar in tune.bars:
        whole += bar.ticks >= tune.meter.ticks
        if whole == bars:
            end = text.index("|", bar.elements[-1].end) + 1
            return text[:end]
    raise SampleError(f"a tune of fewer than {bars} whole bars gives no opening")


def _record(drawn: Drawn, model: str) -> TuneRecord:
    found = tune_record(drawn.sample, model=model)
    # the same text by two models is two tunes, and an id says nothing of either
    return TuneRecord(**{**found, "id": secrets.token_hex(6)})


def new_pairs(
    one: PairMaker, other: PairMaker | None, count: int, *, learning: bool
) -> Iterator[NewPair]:
    """`count` pairs: of one model learning pairs; of two evaluation pairs unless `learning`."""
    for _ in range(count):
        if other is None or learning:
            yield one.learning_pair(other)
        else:
            yield one.evaluation_pair(other)
