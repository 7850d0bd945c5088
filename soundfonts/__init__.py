"""Where General MIDI soundfonts are looked for. No font lies in this repository.

find(given=None) -> Path    the font to play with; SoundfontError says what to do if there is none
check(path)                 is this file a soundfont, and whole?
identify(path)              its name, licence and source, if its sha256 is a known one
"""

from soundfonts.registry import (
    KNOWN_FONTS,
    KnownFont,
    SoundfontError,
    check,
    find,
    identify,
    is_compressed,
    pretty_midi_font,
    sha256,
)

__all__ = [
    "KNOWN_FONTS",
    "KnownFont",
    "SoundfontError",
    "check",
    "find",
    "identify",
    "is_compressed",
    "pretty_midi_font",
    "sha256",
]
