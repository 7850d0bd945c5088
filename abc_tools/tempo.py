"""How fast a tune is played that does not say so itself."""

from __future__ import annotations

from abc_tools.tune import WHOLE, Meter, Tempo

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


def default_tempo(rhythm: str, meter: Meter) -> Tempo:
    """By rhythm, if it fits the meter's beat; else by meter; else quarter = 120."""
    beat, beats = _BY_RHYTHM.get(rhythm) or _BY_METER.get(meter.text) or (_QUARTER, 120)
    threes = meter.numerator % 3 == 0 and meter.denominator >= 8
    if threes != (beat in (_DOTTED, _EIGHTH)):
        beat, beats = _BY_METER.get(meter.text) or (_QUARTER, 120)
    if rhythm in ("reel", "hornpipe") and meter.text == "2/4":
        beat //= 2  # sixteenths written for eighths
    return Tempo(beat, float(beats))
