"""How fast a tune is played, also where it does not say so itself; ticks -> milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from abc_tools.tune import WHOLE, Meter, Tempo, Tune
from abc_tools.unfold import Performance

# Beats a minute. Source of the second table: for each meter the median of the Q: fields in
# music21's copy of Aird's Airs (1,180 tunes that Jack Campin transcribed with tempi). The first is
# convention: the usual pace of a session, for dances that Aird does not name.
_EIGHTH, _QUARTER, _DOTTED, _HALF = WHOLE // 8, WHOLE // 4, WHOLE * 3 // 8, WHOLE // 2
_BY_RHYTHM = {
    "reel": (_HALF, 104), "hornpipe": (_HALF, 80), "strathspey": (_QUARTER, 132),
    "highland fling": (_QUARTER, 132), "jig": (_DOTTED, 116), "single jig": (_DOTTED, 120),
    "slide": (_DOTTED, 132), "slip jig": (_DOTTED, 116), "polka": (_QUARTER, 126),
    "waltz": (_QUARTER, 144), "mazurka": (_QUARTER, 144), "march": (_QUARTER, 108),
    "barndance": (_HALF, 84), "schottische": (_HALF, 76), "air": (_QUARTER, 76),
    "set dance": (_QUARTER, 132), "minuet": (_QUARTER, 120), "gavotte": (_QUARTER, 120),
    "three-two": (_HALF, 112), "planxty": (_QUARTER, 108),
}  # fmt: skip
_BY_METER = {
    "C|": (_HALF, 100), "4/4": (_QUARTER, 120), "2/4": (_QUARTER, 104), "3/4": (_QUARTER, 100),
    "6/8": (_DOTTED, 120), "9/8": (_DOTTED, 120), "12/8": (_DOTTED, 104), "3/8": (_EIGHTH, 180),
    "3/2": (_HALF, 72), "6/4": (_QUARTER * 3, 98),
}  # fmt: skip


@lru_cache(maxsize=256)
def default_tempo(rhythm: str, meter: Meter) -> Tempo:
    """By rhythm, if it fits the meter's beat; else by meter; else quarter = 120."""
    beat, beats = _BY_RHYTHM.get(rhythm) or _BY_METER.get(meter.text) or (_QUARTER, 120)
    threes = meter.numerator % 3 == 0 and meter.denominator >= 8
    if threes != (beat in (_DOTTED, _EIGHTH)):
        beat, beats = _BY_METER.get(meter.text) or (_QUARTER, 120)
    if rhythm in ("reel", "hornpipe") and meter.text == "2/4":
        beat //= 2  # sixteenths written for eighths
    return Tempo(beat, float(beats))


class Clock(NamedTuple):
    """The time of a MIDI file: `division` of its ticks in a quarter, and from each tick in `tempi`
    on so many microseconds a quarter; the first is tick 0."""

    division: int
    tempi: list[tuple[int, int]]

    @property
    def unit(self) -> int:
        """Ticks of a tune in one of the file."""
        return WHOLE // (4 * self.division)

    def milliseconds(self, ticks: Sequence[int]) -> list[float]:
        """When each tick of the file is reached; `ticks` need not be in order."""
        tempi = self.tempi
        if len(tempi) == 1:
            microseconds, parts = tempi[0][1], self.division * 1000
            return [tick * microseconds / parts for tick in ticks]
        times = []
        segment, base = 0, 0.0
        for tick in ticks:
            while segment and tempi[segment][0] > tick:
                segment -= 1
                base -= self._length(segment)
            while segment + 1 < len(tempi) and tempi[segment + 1][0] <= tick:
                base += self._length(segment)
                segment += 1
            start, microseconds = tempi[segment]
            times.append(base + (tick - start) * microseconds / (self.division * 1000))
        return times

    def _length(self, segment: int) -> float:
        """Milliseconds from one tempo to the next."""
        start, microseconds = self.tempi[segment]
        return (self.tempi[segment + 1][0] - start) * microseconds / (self.division * 1000)


def clock(
    tune: Tune, performance: Performance, division: int, quarters_per_minute: float | None = None
) -> Clock:
    """The tempo of a performance, or quarters a minute instead."""
    if quarters_per_minute:
        return Clock(division, [(0, _microseconds(quarters_per_minute))])
    start = tune.tempo
    if start is None or not start.beats_per_minute:
        start = default_tempo(tune.rhythm, tune.bars[0].meter if tune.bars else tune.meter)
    unit = WHOLE // (4 * division)
    tempi = {0: _microseconds(start.quarters_per_minute)}
    for tick, tempo in performance.tempi:
        if tempo.beats_per_minute:
            tempi[tick // unit] = _microseconds(tempo.quarters_per_minute)
    return Clock(division, sorted(tempi.items()))


def _microseconds(quarters_per_minute: float) -> int:
    """Microseconds a quarter, as many as the file has room for."""
    return max(1, min(0xFFFFFF, round(60_000_000 / quarters_per_minute)))
