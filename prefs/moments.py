"""Something to listen to during a run: what a model makes of an opening, and what its base did.

Both are drawn as the app serves tunes, from the same opening with the same seed, so whatever
differs is what the tuning changed.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from transformers import GPT2LMHeadModel

from musicgen.checkpoint import Checkpoint
from musicgen.header import TuneRequest
from musicgen.opening import request_from_abc
from musicgen.sample import SampleError, SampleOptions, TuneSampler
from prefs.pair_maker import opening_of
from prefs.rollout import Rollouts

REST_SECONDS = 20.0  # between two moments, so that many short steps are not slowed down


@dataclass(frozen=True)
class Moment:
    """Two tunes with the same beginning, ABC text; None where a model wrote no sound one."""

    opening: str
    base: str | None
    tuned: str | None


class Moments:
    """The moments of one run; the opening comes from the pool that the base model wrote."""

    def __init__(
        self, base: Checkpoint, pool: Rollouts, seed: int, *, rest_seconds: float = REST_SECONDS
    ) -> None:
        self.base, self.pool, self.seed = base, pool, seed
        self.rest_seconds = rest_seconds
        self._last = float("-inf")
        self._by_base: dict[str, str | None] = {}

    def record(self, model: GPT2LMHeadModel, step: int) -> dict[str, Any] | None:
        """The log record of what `model` writes at `step`; None shortly after another one."""
        openings = self._openings(1)
        if not openings or time.monotonic() - self._last < self.rest_seconds:
            return None
        moment = self._moment(model, openings[0])
        self._last = time.monotonic()
        return {"kind": "moment", "step": step, **asdict(moment)}

    def samples(self, model: GPT2LMHeadModel, count: int = 3) -> list[dict[str, Any]]:
        """`count` moments with different openings, for the report of the run."""
        return [asdict(self._moment(model, opening)) for opening in self._openings(count)]

    def _moment(self, model: GPT2LMHeadModel, opening: str) -> Moment:
        if opening not in self._by_base:
            self._by_base[opening] = self._write(self.base.model, opening)
        return Moment(opening, self._by_base[opening], self._write(model, opening))

    def _openings(self, count: int) -> list[str]:
        found: list[str] = []
        for abc in self.pool.sound_tunes:
            if len(found) == count:
                break
            try:
                opening = opening_of(abc)
            except SampleError:
                continue
            if opening not in found:
                found.append(opening)
        return found

    def _write(self, model: GPT2LMHeadModel, opening: str) -> str | None:
        request: TuneRequest = request_from_abc(opening)
        sampler = TuneSampler(model, self.base.tokenizer)
        options = SampleOptions(seed=self.seed)
        try:
            return next(iter(sampler.served(request, options))).abc
        except SampleError:
            return None
