"""What each bar of a tune adds to its reward, for display: what is lost if the bar is silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from abc_tools import Tune, parse_tune
from musicgen.checkpoint import Checkpoint
from prefs.reward_model import Features, RewardModel


@dataclass(frozen=True)
class BarContribution:
    """`start` and `end` are offsets into the tune's text; `share` in rewards' deviations."""

    bar: int  # written bar, from 0
    start: int
    end: int
    share: float  # positive: the bar makes the tune better liked


def bar_contributions(model: RewardModel, base: Checkpoint, abc: str) -> list[BarContribution]:
    """One for each bar with notes. `base` is the model whose activations `model` reads.

    The reward's mean is taken, not what is left of it after its uncertainty. Contributions need not
    add up: a bar can matter by its likeness to another one. Raises AbcError for no ABC.
    """
    tune = parse_tune(abc)
    places = [index for index, bar in enumerate(tune.bars) if bar.elements and bar.ticks]
    silent = [_without(tune, index) for index in places]
    means = _means(model, base, [abc, *silent])
    found = []
    for index, mean in zip(places, means[1:], strict=True):
        bar = tune.bars[index]
        start, end = bar.elements[0].start, bar.elements[-1].end
        found.append(BarContribution(index, start, end, means[0] - mean))
    return found


def _means(model: RewardModel, base: Checkpoint, tunes: Sequence[str]) -> list[float]:
    features = Features.of(base.model, base.tokenizer, tunes)
    mean, _ = model.probe.utility(model.project(features))
    return [float(value) for value in mean / model.std]


def _without(tune: Tune, index: int) -> str:
    """The tune's text with a rest in place of one bar's notes."""
    bar = tune.bars[index]
    length = Fraction(bar.ticks, tune.unit)
    rest = f"z{length}"  # a Fraction is written as ABC writes lengths: 6, 3/2
    return tune.source[: bar.elements[0].start] + rest + tune.source[bar.elements[-1].end :]
