"""What a caller may ask of the audio renderer, and the error it gets when that cannot be had."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# General MIDI programs, counted from 0 as in the MIDI message. The whistle is the recorder: General
# MIDI's own whistle (78) is a person whistling, slow and out of tune.
INSTRUMENTS = {
    "fiddle": 110,
    "flute": 73,
    "accordion": 21,
    "harp": 46,
    "banjo": 105,
    "guitar": 25,
    "pipes": 109,
    "whistle": 74,
}
FORMATS = ("mp3", "ogg", "flac", "wav")
TEMPO_FACTORS = (0.25, 4.0)


class AudioError(Exception):
    """No audio could be made. The message is one line and says what to do."""


@dataclass(frozen=True)
class AudioOptions:
    """How a tune is to sound. Raises AudioError for a name or a number that does not exist.

    instrument     plays the melody; an accompaniment keeps the programs of its MIDI tracks
    format         mp3 is the smallest; flac is ready in a fifth of the time, the best for a page
    soundfont      a General MIDI .sf2 or .sf3 file; None: the first that soundfonts.find() finds
    tempo_factor   2.0 plays twice as fast, 0.5 at half speed
    start_seconds  play from here, counted at tempo factor 1 (as `onsets_ms` counts); notes that
                   began earlier are left out
    """

    instrument: str = "fiddle"
    format: str = "mp3"
    soundfont: str | Path | None = None
    tempo_factor: float = 1.0
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.instrument not in INSTRUMENTS:
            raise AudioError(f"no instrument {self.instrument!r}; choose {', '.join(INSTRUMENTS)}")
        if self.format not in FORMATS:
            raise AudioError(f"no audio format {self.format!r}; choose {', '.join(FORMATS)}")
        slowest, fastest = TEMPO_FACTORS
        if not slowest <= self.tempo_factor <= fastest:
            raise AudioError(
                f"tempo factor {self.tempo_factor}; choose one from {slowest} to {fastest}"
            )
        if not 0 <= self.start_seconds < float("inf"):
            raise AudioError(f"start at {self.start_seconds} s; choose 0 or more")
