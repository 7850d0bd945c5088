"""The score of a tune as music21 holds it: parts, measures, key, meter, repeats, chord symbols."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from music21 import (
    bar,
    clef,
    duration,
    expressions,
    harmony,
    instrument,
    key,
    metadata,
    meter,
    spanner,
    stream,
    tempo,
)
from music21.musicxml.m21ToXml import GeneralObjectExporter

from abc_tools.canonical import beat_group
from abc_tools.measures import Measure, Placed, layers, resolved_ties, written_measures
from abc_tools.musicxml_notes import NoteWriter, beam_together
from abc_tools.tempo import default_tempo
from abc_tools.tune import LETTERS, WHOLE, Change, Key, Mark, Meter, Tempo, Tune, Voice

MODES = {
    "": "major",
    "min": "minor",
    "dor": "dorian",
    "phr": "phrygian",
    "lyd": "lydian",
    "mix": "mixolydian",
    "loc": "locrian",
}
CHORD_SYMBOL = re.compile(r"([A-G])([#b♯♭]?)([^/]*)(?:/([A-G])([#b♯♭]?))?$")
FLAT = str.maketrans("b♭♯", "--#")
CHORD_KINDS = {
    "": "major",
    "maj": "major",
    "m": "minor",
    "min": "minor",
    "7": "dominant-seventh",
    "maj7": "major-seventh",
    "m7": "minor-seventh",
    "mM7": "minor-major-seventh",
    "dim": "diminished",
    "aug": "augmented",
    "+": "augmented",
    "sus": "suspended-fourth",
    "sus4": "suspended-fourth",
    "sus2": "suspended-second",
    "6": "major-sixth",
    "m6": "minor-sixth",
    "9": "dominant-ninth",
    "m7b5": "half-diminished-seventh",
}


def document(tune: Tune) -> str:
    """The MusicXML document; see abc_tools.musicxml."""
    score = stream.Score()
    score.metadata = metadata.Metadata(title=tune.title or "Untitled")
    composer = next((text for letter, text in tune.fields if letter == "C"), "")
    if composer:
        score.metadata.composer = composer
    for number, voice in enumerate(tune.voices, start=1):
        score.insert(0, _PartWriter(tune, voice, number).part())
    if not tune.voices:
        score.insert(0, stream.Part([stream.Measure(number=1)]))
    exporter = GeneralObjectExporter(score)
    exporter.makeNotation = False
    # The date of today is all that would make two exports of one tune differ.
    text = exporter.parse().decode("utf-8")
    return re.sub(r"\s*<encoding-date>.*?</encoding-date>", "", text)


class _PartWriter:
    """Writes the measures of one voice, and knows which key and meter are on the page."""

    def __init__(self, tune: Tune, voice: Voice, number: int) -> None:
        self.tune = tune
        self.number = number
        self.name = voice.name if len(tune.voices) > 1 else "Melody"
        self.sources = written_measures(tune, voice)
        self.notes = NoteWriter(resolved_ties(tune, voice))
        self.key: Key | None = None
        self.meter: Meter | None = None

    def part(self) -> Any:
        """A music21 Part with its measures."""
        part = stream.Part(id=f"P{self.number}")
        player = instrument.Instrument(self.name)
        player.partId = f"P{self.number}"
        player.instrumentId = f"P{self.number}-I1"
        player.partName = self.name
        part.insert(0, player)
        first_number = 0 if self.sources and _is_short(self.sources[0]) else 1
        written = [
            self.measure(source, first_number + place, first=not place)
            for place, source in enumerate(self.sources)
        ] or [stream.Measure(number=1)]
        written[0].insert(0, clef.TrebleClef())
        if self.number == 1:
            start = self.tune.tempo
            if start is None or not start.beats_per_minute:
                start = default_tempo(self.tune.rhythm, self.tune.meter)
            written[0].insert(0, _metronome(start))
        part.append(written)
        for line in [*self.brackets(written), *self.notes.slurs]:
            part.insert(0, line)
        return part

    def measure(self, source: Measure, number: int, first: bool) -> Any:
        """One bar, with key and meter only where they change."""
        out = stream.Measure(number=number)
        begin = 0  # where in a whole bar its first note stands
        if first and _is_short(source):
            begin = source.bar.meter.ticks - source.bar.ticks
            out.paddingLeft = _quarters(begin)
            out.showNumber = stream.enums.ShowNumber.NEVER
        if source.opens:
            out.leftBarline = bar.Repeat(direction="start")
        if source.closes:
            out.rightBarline = bar.Repeat(direction="end", times=source.closes)
        elif source.line:
            out.rightBarline = bar.Barline(source.line)
        self.change_meter(out, source.bar.meter)
        self.change_key(out, 0, source.bar.key)
        found = layers(source.bar)
        for layer in found:
            self.notes.begin_layer(source.bar.key)
            target = stream.Voice() if len(found) > 1 else out
            self.layer(layer, target, out, begin)
            if target is not out:
                out.insert(0, target)
        return out

    def layer(self, layer: list[Placed], target: Any, measure: Any, begin: int) -> None:
        """Put notes into `target`; what belongs to all layers into `measure`."""
        beamed: list[tuple[int, Any]] = []
        for tick, element in layer:
            offset = _quarters(tick)
            if isinstance(element, Change):
                self.change(measure, offset, element.value)
                continue
            for mark in element.marks:
                for above in _above(mark):
                    measure.insert(offset, above)
            now = tick
            for written in self.notes.element(element):
                target.insert(_quarters(now), written)
                if not written.isRest and not written.duration.isGrace:
                    beamed.append((begin + now, written))
                now += round(Fraction(written.quarterLength) * WHOLE / 4)
        if self.meter:
            beam_together(beamed, beat_group(self.meter))

    def change(self, measure: Any, offset: Fraction, value: Key | Meter | Tempo) -> None:
        """A field inside the bar. A meter holds from the next bar, but for one at the start."""
        if isinstance(value, Key):
            self.change_key(measure, offset, value)
            self.notes.begin_layer(value)
        elif isinstance(value, Tempo):
            if value.beats_per_minute:
                measure.insert(offset, _metronome(value))
        elif not offset:
            self.change_meter(measure, value)

    def change_key(self, measure: Any, offset: Fraction | int, value: Key) -> None:
        if value == self.key:
            return
        if self.key is None or value.alterations != self.key.alterations:
            measure.insert(offset, _key_signature(value))
        self.key = value

    def change_meter(self, measure: Any, value: Meter) -> None:
        if value == self.meter:
            return
        self.meter = value
        if value.ticks:
            for old in measure.getElementsByClass(meter.TimeSignature):
                measure.remove(old)
            signature = meter.TimeSignature(f"{value.numerator}/{value.denominator}")
            if value.text == "C|":
                signature.symbol = "cut"
            measure.insert(0, signature)

    def brackets(self, written: list[Any]) -> Iterator[Any]:
        """A bracket over each ending."""
        endings = [source.ending for source in self.sources]
        for place, ending in enumerate(endings):
            if ending and (not place or endings[place - 1] is not ending):
                last = place
                while last + 1 < len(endings) and endings[last + 1] is ending:
                    last += 1
                numbers = ", ".join(map(str, ending.numbers))
                yield spanner.RepeatBracket(written[place : last + 1], number=numbers)


def _is_short(measure: Measure) -> bool:
    return 0 < measure.bar.ticks < measure.bar.meter.ticks


def _quarters(ticks: int) -> Fraction:
    return Fraction(4 * ticks, WHOLE)


def _metronome(value: Tempo) -> Any:
    beat = duration.Duration(quarterLength=_quarters(value.beat))
    return tempo.MetronomeMark(number=value.beats_per_minute, referent=beat)


def _key_signature(value: Key) -> Any:
    """With its mode where it is a usual one; a list of altered notes where it has its own."""
    sharps = sum(value.alterations)
    usual = key.KeySignature(sharps) if abs(sharps) <= 7 else None
    altered = [
        letter + {-2: "--", -1: "-", 1: "#", 2: "##"}[move]
        for letter, move in zip(LETTERS, value.alterations, strict=True)
        if move
    ]
    if usual is None or {pitch.name for pitch in usual.alteredPitches} != set(altered):
        own = key.KeySignature(None)
        own.alteredPitches = altered
        return own
    if value.mode in MODES and value.tonic not in ("", "HP"):
        named = key.Key(value.tonic.replace("b", "-"), MODES[value.mode])
        if named.sharps == sharps:
            return named
    return usual


def _above(mark: Mark) -> Iterator[Any]:
    """A chord symbol, or a text above the staff."""
    if mark.kind not in ("chord symbol", "annotation"):
        return
    text = mark.text.strip('"')
    match = CHORD_SYMBOL.match(text)
    if mark.kind == "chord symbol" and match and match[3] in CHORD_KINDS:
        root, bass = (
            letter and letter + (sign or "").translate(FLAT)
            for letter, sign in (match.group(1, 2), match.group(4, 5))
        )
        yield harmony.ChordSymbol(root=root, bass=bass, kind=CHORD_KINDS[match[3]])
    elif text.lstrip("^_<>@"):
        yield expressions.TextExpression(text.lstrip("^_<>@"))
