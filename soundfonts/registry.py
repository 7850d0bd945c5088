"""Find a General MIDI soundfont on this machine, and say whose it is.

The order, first found wins:

1. the font given by the caller;
2. the file named by the environment variable MUSICGEN_SOUNDFONT;
3. the fonts that Debian, Fedora, Arch and Homebrew packages install;
4. the copy of TimGM6mb.sf2 inside the pretty_midi wheel, so that `pip install` alone gives sound.

TimGM6mb comes before `default-GM`, which may point at a larger font: its fiddle speaks after 36 ms,
that of FluidR3 and MuseScore General after 225 to 250 ms, longer than a reel's eighth note lasts.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_VARIABLE = "MUSICGEN_SOUNDFONT"


class SoundfontError(Exception):
    """No soundfont, or not a usable one. The message is one line and ends with what to do."""


@dataclass(frozen=True)
class KnownFont:
    """A published font: `source` is a Debian package or a Python wheel that carries it."""

    name: str
    licence: str
    source: str
    size_bytes: int
    sha256: str


KNOWN_FONTS = (
    KnownFont(
        "TimGM6mb",
        "GPL-2",
        "Debian timgm6mb-soundfont",
        5_969_788,
        "c5378b62028c920cb11e4803327983fee2f2cdff5dc89c708e39da417e51c854",
    ),
    KnownFont(
        "TimGM6mb",
        "GPL-2",
        "the pretty_midi wheel",
        5_994_284,
        "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1",
    ),
    KnownFont(
        "FluidR3 GM",
        "MIT",
        "Debian fluid-soundfont-gm",
        148_398_306,
        "74594e8f4250680adf590507a306655a299935343583256f3b722c48a1bc1cb0",
    ),
    KnownFont(
        "FluidR3 Mono GM",
        "MIT",
        "Debian fluidr3mono-gm-soundfont",
        23_614_353,
        "cda013d8c370a48ae8dad271e761078d2e77455488dabdedbfbe5fc76a38c682",
    ),
    KnownFont(
        "MuseScore General Lite",
        "MIT, parts public domain or CC0",
        "Debian musescore-general-soundfont-small",
        39_978_561,
        "916aaca6b0eb9f9083eb42399614acb2ff4ec72ce28dffff1814592a9696b479",
    ),
    KnownFont(
        "MuseScore General",
        "MIT, parts public domain or CC0",
        "Debian musescore-general-soundfont",
        85_967_114,
        "f9a37b36655f23e167c66ec91bef6097c8e99be29286219a54062919eb41aeae",
    ),
)

FILE_NAMES = (
    "TimGM6mb.sf2",
    "default-GM.sf2",
    "default.sf2",
    "FluidR3_GM.sf2",
    "FluidR3Mono_GM.sf3",
    "MuseScore_General_Lite.sf3",
    "MuseScore_General_Full.sf3",
    "MuseScore_General.sf3",
    "default-GM.sf3",
    "FluidR3_GM.sf3",
)


def system_folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders in which packages put soundfonts, whether or not they exist here."""
    home = Path(environ.get("HOME", "~")).expanduser()
    prefix = environ.get("HOMEBREW_PREFIX", "/opt/homebrew")
    return (
        home / ".local/share/soundfonts",
        Path("/usr/share/sounds/sf2"),  # Debian, Ubuntu
        Path("/usr/share/sounds/sf3"),
        Path("/usr/share/soundfonts"),  # Fedora, Arch, openSUSE
        Path("/usr/local/share/soundfonts"),
        Path(prefix) / "share/soundfonts",  # Homebrew
        Path(prefix) / "share/sounds/sf2",
        Path("/usr/local/share/sounds/sf2"),
    )


def find(
    given: str | Path | None = None,
    *,
    compressed: bool = True,
    environ: Mapping[str, str] = os.environ,
    folders: Sequence[Path] | None = None,
) -> Path:
    """The soundfont to play with: `given`, else the first of the order in the module's docstring.

    `compressed=False` leaves out fonts with Ogg samples (.sf3), which not every renderer reads.
    Raises SoundfontError if a font that was asked for by name is missing or damaged, or if there is
    none at all. A damaged font that nobody asked for is passed over.
    """
    if given is not None:
        return _asked_for(Path(given).expanduser(), "")
    named = environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return _asked_for(Path(named).expanduser(), f" (from {ENVIRONMENT_VARIABLE})")
    for path in candidates(environ, folders):
        try:
            check(path)
        except SoundfontError:
            continue
        if compressed or not is_compressed(path):
            return path
    raise SoundfontError(
        "no soundfont found. Install one: sudo apt-get install timgm6mb-soundfont"
        " | sudo dnf install fluid-soundfont-gm | pip install pretty_midi"
        f" (or set {ENVIRONMENT_VARIABLE} to a General MIDI .sf2 file)"
    )


def candidates(environ: Mapping[str, str], folders: Sequence[Path] | None = None) -> list[Path]:
    """Existing font files in the order of preference: by name first, then by folder."""
    places = system_folders(environ) if folders is None else folders
    paths = [folder / name for name in FILE_NAMES for folder in places]
    if folders is None:
        bundled = pretty_midi_font()
        paths += [bundled] if bundled else []
    return [path for path in paths if path.is_file()]


def check(path: Path) -> None:
    """Raise SoundfontError unless `path` is a readable, whole file of the form RIFF `sfbk`.

    Such a file is "RIFF", the length of the rest, "sfbk", then three lists, each "LIST", its length
    and its name: INFO, sdta (samples), pdta (presets); lengths are little-endian (SoundFont 2.04
    specification, section 4).
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            size = os.fstat(file.fileno()).st_size
            if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"sfbk":
                raise SoundfontError(f"{path}: not a soundfont (no RIFF sfbk header)")
            end = _length(head[4:8]) + 8
            if size < end:
                raise SoundfontError(f"{path}: damaged soundfont, {size} of {end} bytes")
            place = 12
            lists: list[bytes] = []
            while place < end and len(lists) < 3:
                file.seek(place)
                chunk = file.read(12)
                lists.append(chunk[:4] + chunk[8:])
                place += 8 + _length(chunk[4:8])
    except FileNotFoundError:
        raise SoundfontError(f"{path}: no such soundfont") from None
    except OSError as error:
        raise SoundfontError(f"{path}: cannot be read ({error.strerror})") from None
    if lists != [b"LISTINFO", b"LISTsdta", b"LISTpdta"] or place > end:
        raise SoundfontError(f"{path}: damaged soundfont, its lists are not in place")


def is_compressed(path: Path) -> bool:
    """Whether the samples are Ogg Vorbis (SoundFont 3), by the version in the `ifil` chunk.

    `ifil` opens the INFO list that opens the file: its name is at byte 24, the version at byte 32.
    """
    with path.open("rb") as file:
        head = file.read(34)
    return head[24:28] == b"ifil" and _length(head[32:34]) >= 3


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal. 4 ms for TimGM6mb, 0.24 s for FluidR3."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identify(path: Path) -> KnownFont | None:
    """The published font that this file is, byte for byte, or None."""
    if path.stat().st_size not in {font.size_bytes for font in KNOWN_FONTS}:
        return None
    digest = sha256(path)
    return next((font for font in KNOWN_FONTS if font.sha256 == digest), None)


def _length(four_bytes: bytes) -> int:
    return int.from_bytes(four_bytes, "little")


def _asked_for(path: Path, origin: str) -> Path:
    try:
        check(path)
    except SoundfontError as error:
        raise SoundfontError(
            f"{error}{origin}; install it again or name another .sf2 or .sf3"
        ) from None
    return path


def pretty_midi_font() -> Path | None:
    """TimGM6mb.sf2 of the pretty_midi wheel, located without importing it (0.3 s)."""
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("TimGM6mb.sf2")
