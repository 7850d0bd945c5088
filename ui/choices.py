"""What a listener can choose: rhythm, meter, key, how wild, which seed, an opening of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from abc_tools.audio_options import INSTRUMENTS

# In the order of the menus; a source that knows fewer narrows them (`offered`).
RHYTHMS = (
    "reel", "jig", "slip jig", "hornpipe", "polka", "slide", "waltz", "strathspey", "fling",
    "quickstep", "march", "air", "minuet", "set dance",
)  # fmt: skip
METERS = ("4/4", "C|", "2/4", "6/8", "9/8", "12/8", "3/4", "3/2", "3/8")
KEYS = (
    "D", "G", "A", "C", "F", "Bb", "Emin", "Amin", "Bmin", "Dmin", "Gmin",
    "Ador", "Edor", "Ddor", "Gdor", "Dmix", "Amix", "Gmix",
)  # fmt: skip
# A rhythm's own meters, the usual one first; a rhythm that is not here goes with any.
METERS_OF = {
    "reel": ("4/4", "C|", "2/4"), "jig": ("6/8",), "slip jig": ("9/8",),
    "hornpipe": ("4/4", "C|", "2/4"), "polka": ("2/4",), "slide": ("12/8", "6/8"),
    "waltz": ("3/4",), "strathspey": ("4/4", "C|"), "fling": ("4/4", "C|", "2/4"),
    "quickstep": ("6/8", "2/4", "4/4", "C|"), "minuet": ("3/4", "3/8"),
}  # fmt: skip
MODES = {"": "major", "min": "minor", "dor": "dorian", "mix": "mixolydian", "phr": "phrygian",
         "lyd": "lydian", "loc": "locrian"}  # fmt: skip

CALMEST, WILDEST = 0.7, 1.5
PARTS, BARS = (1, 2, 3, 4), (4, 8, 16)  # how many parts a tune may have, and bars a part
HIGHEST_SEED = 10**6 - 1
LONGEST_OPENING = 400  # characters


class ChoiceError(ValueError):
    """Something chosen does not exist; the message is one sentence for the listener."""


@dataclass(frozen=True)
class Choices:
    """What the next tunes should be. None leaves it open; `temperature` None is the usual one."""

    rhythm: str | None = None
    meter: str | None = None
    key: str | None = None
    temperature: float | None = None
    seed: int | None = None
    opening: str = ""
    parts: int | None = None
    bars: int | None = None  # of each part
    fits: str | None = None  # an instrument: no note lies outside its range

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Choices:
        """From what a page sent. Raises ChoiceError for anything that cannot be meant."""
        temperature = _number(data.get("temperature"), "temperature", CALMEST, WILDEST)
        seed = _number(data.get("seed"), "seed", 0, HIGHEST_SEED)
        opening = _words(data.get("opening")) or ""
        if len(opening) > LONGEST_OPENING:
            raise ChoiceError(
                f"The opening is too long: give at most {LONGEST_OPENING} characters, a bar or two."
            )
        return cls(
            rhythm=_words(data.get("rhythm")),
            meter=_words(data.get("meter")),
            key=_words(data.get("key")),
            temperature=None if temperature is None else round(temperature, 2),
            seed=None if seed is None else int(seed),
            opening=opening,
            parts=_whole(data.get("parts"), "number of parts", 1, PARTS[-1]),
            bars=_whole(data.get("bars"), "number of bars", BARS[0], BARS[-1]),
            fits=_instrument(data.get("fits")),
        )

    def without_seed(self) -> Choices:
        return replace(self, seed=None)

    def as_options(self) -> dict[str, Any]:
        """What is stored beside a tune: only what was chosen."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


def key_name(key: str) -> str:
    """The key in a musician's words; a spelling that is not known stays as it is.

    >>> key_name("Edor"), key_name("Bb"), key_name("F#min")
    ('E dorian', 'B♭ major', 'F♯ minor')
    """
    tonic = key[:2] if key[1:2] in ("b", "#") else key[:1]
    mode = MODES.get(key[len(tonic) :])
    if mode is None or tonic[:1] not in "ABCDEFG":
        return key
    return f"{tonic.replace('b', '♭').replace('#', '♯')} {mode}"


def describe(rhythm: str | None, key: str) -> str:
    """A tune in a few words, for the line that says what comes next.

    >>> describe("hornpipe", "A"), describe("air", "Edor"), describe(None, "G")
    ('a hornpipe in A', 'an air in E dorian', 'a tune in G')
    """
    name = rhythm or "tune"
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name} in {key_name(key).removesuffix(' major')}"


def menu(
    rhythms: tuple[str, ...], meters: tuple[str, ...], keys: tuple[str, ...]
) -> dict[str, Any]:
    """The menus of the page, as JSON."""
    return {
        "rhythms": [
            {"value": name, "label": name, "meters": METERS_OF.get(name, meters)}
            for name in rhythms
        ],
        "meters": [{"value": name, "label": "2/2" if name == "C|" else name} for name in meters],
        "keys": [{"value": name, "label": key_name(name)} for name in keys],
        "parts": PARTS,
        "bars": BARS,
        "fits": [{"value": name, "label": f"fits the {name}"} for name in INSTRUMENTS],
    }


def offered(ours: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """What of `ours` the source knows; all of `ours` while it is not known what it knows."""
    return tuple(name for name in ours if name in known) if known else ours


def _words(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ChoiceError(f"{value!r} is not a choice; reload the page.")
    return value.strip() or None


def _instrument(value: Any) -> str | None:
    name = _words(value)
    if name is not None and name not in INSTRUMENTS:
        raise ChoiceError(f"There is no instrument {name!r}: choose {', '.join(INSTRUMENTS)}.")
    return name


def _whole(value: Any, name: str, least: int, most: int) -> int | None:
    number = _number(value, name, least, most)
    return None if number is None else int(number)


def _number(value: Any, name: str, least: float, most: float) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ChoiceError(f"The {name} {value!r} is not a number.") from None
    if not least <= number <= most:
        raise ChoiceError(f"The {name} {value} is out of range: {least:g} to {most:g}.")
    return number
