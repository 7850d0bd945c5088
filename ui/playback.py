"""From a stored tune to what a page plays: text to print, sound, and which note sounds when.

The page gets sound that was rendered at the chosen tempo rather than a recording that the browser
stretches: at the 60 to 85% that people practise at, stretching smears the attacks of plucked and
bowed notes, and a render takes a quarter of a second. FLAC, because it is encoded three times as
fast as MP3 and starts exactly at time 0; downloads are MP3.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from abc_tools import canonical_text, parse_tune
from abc_tools.audio import INSTRUMENTS, AudioCache, AudioError, AudioOptions
from abc_tools.midi import MidiOptions, to_midi
from ui.choices import describe, key_name
from ui.library import StoredTune, tune_id
from ui.names import title_for

PAGE_FORMAT = "flac"
FORMATS = ("flac", "mp3")
TEMPOS = (50, 60, 70, 80, 90, 100, 110, 120)  # percent
REMEMBERED = 256  # scores kept in memory


class PlaybackError(Exception):
    """A tune cannot be played as asked; the message is one sentence for the listener."""


@dataclass(frozen=True)
class Rendition:
    """Which instrument plays, and how fast, in percent of the tempo in the score."""

    instrument: str = "fiddle"
    tempo: int = 100

    def __post_init__(self) -> None:
        if self.instrument not in INSTRUMENTS:
            known = ", ".join(INSTRUMENTS)
            raise PlaybackError(f"There is no instrument {self.instrument!r}; choose {known}.")
        if not 25 <= self.tempo <= 400:
            raise PlaybackError(f"The tempo {self.tempo}% is out of range: 25 to 400.")

    @property
    def query(self) -> str:
        return urlencode({"instrument": self.instrument, "tempo": self.tempo})


@dataclass(frozen=True)
class Score:
    """A tune ready to print and to play at 100%.

    `onsets_ms` and `spans` have one entry a sounding note; spans are offsets into `abc`.
    """

    abc: str
    midi: bytes
    onsets_ms: tuple[float, ...]
    spans: tuple[tuple[int, int], ...]
    seconds: float
    title: str
    rhythm: str
    meter: str
    key: str


@functools.lru_cache(maxsize=REMEMBERED)
def score(abc: str) -> Score:
    """Canonical text with a tempo, its MIDI, and where each sounding note stands in the text."""
    text = canonical_text(parse_tune(abc), tempo=True)
    tune = parse_tune(text)
    midi = to_midi(tune)
    return Score(
        abc=text,
        midi=midi.data,
        onsets_ms=tuple(round(onset, 1) for onset in midi.onsets_ms),
        spans=tuple((start, end) for start, end in midi.spans),
        seconds=midi.seconds,
        title=tune.title,
        rhythm=tune.rhythm,
        meter=tune.meter.text,
        key=tune.key.text,
    )


@functools.lru_cache(maxsize=4 * REMEMBERED)
def headline(abc: str) -> dict[str, str]:
    """A tune's title, and under it its rhythm and key in words."""
    tune = parse_tune(abc)
    return {
        "title": tune.title,
        "subtitle": f"{tune.rhythm or 'tune'} · {key_name(tune.key.text)}",
    }


def with_title(abc: str) -> str:
    """The tune's text with a title, made up if it has none."""
    if any(line.startswith("T:") for line in abc.splitlines()):
        return abc
    first, _, rest = abc.partition("\n")
    return f"{first}\nT:{title_for(tune_id(abc))}\n{rest}"


def beginning(abc: str, bars: int = 2) -> str:
    """The first bars of a tune, its pick-up bar not counted: what another tune may begin with.

    >>> beginning("X:1\\nM:2/4\\nL:1/16\\nK:D\\n|:A2|d4 f4|a4 f4|e8|d8:|")
    '|:A2|d4 f4|a4 f4|'
    """
    tune = parse_tune(abc)
    full = [bar for bar in tune.bars if not tune.meter.ticks or bar.ticks >= tune.meter.ticks]
    if not full:
        return ""
    body = re.search(r"^K:.*\n", tune.source, re.MULTILINE)
    start = body.end() if body else full[0].start
    return tune.source[start : full[min(bars, len(full)) - 1].end] + "|"


class Playback:
    """Payloads and sound of stored tunes; sound is rendered once and kept in `cache`."""

    def __init__(self, cache: AudioCache, soundfont: str | Path | None = None) -> None:
        self.cache = cache
        self.soundfont = soundfont
        self.recent = Rendition()  # what a page asked for last; sound is rendered ahead for it

    def payload(self, tune: StoredTune, rendition: Rendition) -> dict[str, Any]:
        """What the player gets: id, abc, audio_url, onsets_ms, spans, and words about the tune."""
        printed = score(tune.abc)
        factor = 100 / rendition.tempo
        return {
            "id": tune.id,
            "abc": printed.abc,
            "audio_url": f"/api/tunes/{tune.id}/audio.{PAGE_FORMAT}?{rendition.query}",
            "onsets_ms": [round(onset * factor, 1) for onset in printed.onsets_ms],
            "spans": printed.spans,
            "seconds": round(printed.seconds * factor, 2),
            **headline(tune.abc),
            "words": describe(printed.rhythm or None, printed.key),
            "rhythm": printed.rhythm,
            "meter": printed.meter,
            "key": printed.key,
            "beginning": beginning(printed.abc),
            "seed": tune.seed,
            "model": tune.model,
            "options": tune.options,
        }

    def audio(self, tune: StoredTune, rendition: Rendition, format: str = PAGE_FORMAT) -> Path:
        """The tune's sound as a file. Raises AudioError, one line, without a sound library."""
        options = AudioOptions(
            instrument=rendition.instrument,
            format=format,
            soundfont=self.soundfont,
            tempo_factor=rendition.tempo / 100,
        )
        return self.cache.get(score(tune.abc).midi, options)


def midi_file(tune: StoredTune, rendition: Rendition) -> bytes:
    """The tune as a MIDI file, by the instrument and at the tempo of the rendition."""
    parsed = parse_tune(score(tune.abc).abc)
    tempo = parsed.tempo.quarters_per_minute * rendition.tempo / 100 if parsed.tempo else None
    options = MidiOptions(program=INSTRUMENTS[rendition.instrument], tempo=tempo)
    return to_midi(parsed, options).data


Writer = Callable[[StoredTune, Rendition], bytes]


def file_writers() -> dict[str, Writer]:
    """Formats that a tune can be downloaded in as text or notes; sound is `Playback.audio`."""
    writers: dict[str, Writer] = {
        "abc": lambda tune, rendition: score(tune.abc).abc.encode(),
        "mid": midi_file,
    }
    try:
        from abc_tools.musicxml import to_musicxml
    except ImportError:  # this part of abc_tools is younger than the page
        return writers

    def music_xml(tune: StoredTune, rendition: Rendition) -> bytes:
        written = to_musicxml(parse_tune(score(tune.abc).abc))
        return written.encode() if isinstance(written, str) else bytes(written)

    writers["musicxml"] = music_xml
    return writers


__all__ = ["AudioError", "Playback", "PlaybackError", "Rendition", "Score", "file_writers", "score"]
