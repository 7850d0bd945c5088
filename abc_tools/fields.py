"""Header fields: their text -> values. One function a field; each raises FieldError if it must.

A FieldError carries the code of its diagnostic and, where the text can be understood all the same,
the value to go on with.
"""

from __future__ import annotations

import re
from functools import lru_cache

from abc_tools.errors import Severity
from abc_tools.tune import LETTERS, MOVE_OF, WHOLE, Key, Meter, Tempo


class FieldError(ValueError):
    """A field that says nothing, or something doubtful; `value` is what it is taken for."""

    def __init__(
        self, code: str, message: str, value: object = None, severity: Severity = "warning"
    ):
        super().__init__(message)
        self.code = code
        self.message = message
        self.value = value
        self.severity = severity


# --- K: ---

_FIFTHS = {letter: place - 1 for place, letter in enumerate("FCGDAEB")}
_MODE_FIFTHS = {
    "": 0, "maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3,
    "mix": -1, "dor": -2, "phr": -4, "lyd": 1, "loc": -5,
}  # fmt: skip
_MODE_NAME = {"maj": "", "ion": "", "m": "min", "aeo": "min"}
_SHARP_ORDER = "FCGDAEB"
_NO_ALTERATIONS = (0, 0, 0, 0, 0, 0, 0)
C_MAJOR = Key("C", "", (), _NO_ALTERATIONS)
NO_KEY = Key("", "", (), _NO_ALTERATIONS)

_KEY = re.compile(
    r"(?P<tonic>[A-G])(?P<sign>[#b♯♭]?)\s*(?P<mode>[A-Za-z]*)|(?P<pipes>H[Pp])\b|(?P<none>none)\b",
)
_CLEF = re.compile(
    r"(?i)(?:clef\s*=\s*)?(?P<name>treble|bass|alto|tenor|soprano|mezzo|baritone|perc|none|[gfc](?=\d))"
    r"\d?(?P<octave>[+-]8|[+-]15)?(?![a-z])"
)
_KEY_ASSIGNMENT = re.compile(
    r"\b(clef|octave|transpose|t|middle|m|stafflines|staffscale|name|nm|snm|style|score|shift|sound)"
    r"\s*=\s*(\"[^\"]*\"|\S+)"
)
_EXPLICIT = re.compile(r"(\^\^|__|\^|_|=)\s*([A-Ga-g])")
_SIGNS = ("#", "b", "♯", "♭")
_OCTAVES = {"+8": 12, "-8": -12, "+15": 24, "-15": -24}


@lru_cache(maxsize=1024)
def parse_key(text: str) -> Key:
    """key = tonic mode accidentals clef | "HP" | "Hp" | "none" | nothing.

    Only the first three letters of a mode count, in either case. A key that is not understood
    raises FieldError with what could be read.
    """
    text = text.strip()
    match = _KEY.match(text)
    if not match:
        return _key_without_tonic(text)
    rest = text[match.end() :]
    if match["none"]:
        return _with_explicit("", "", _NO_ALTERATIONS, rest)
    if match["pipes"]:
        sharps = (1, 0, 0, 1, 0, 0, 0)  # highland pipes sound F# and C# whether printed (Hp) or not
        return _with_explicit("HP", "", sharps, rest)
    word = match["mode"].lower()
    tonic = match["tonic"] + match["sign"].replace("♯", "#").replace("♭", "b")
    if word == "exp":
        return _with_explicit(tonic, "", _NO_ALTERATIONS, rest, replace=True)
    if word in ("clef", "octave", "transpose", "middle", "bass", "treble", "alto", "tenor", "perc"):
        rest, word = match["mode"] + rest, ""
    mode = word if word in _MODE_FIFTHS else word[:3]
    unknown = mode not in _MODE_FIFTHS
    mode = "" if unknown else _MODE_NAME.get(mode, mode)
    key = _with_explicit(tonic, mode, _alterations(tonic, mode), rest)
    if rest[:1] in _SIGNS:
        raise FieldError("bad-key", f'the tonic "{tonic}{rest[0]}" has one sign too many', key)
    if unknown:
        raise FieldError(
            "bad-key",
            f'the mode "{match["mode"]}" is not known: expected major, minor, mix, dor, phr, lyd, '
            "loc or their full names",
            key,
        )
    return key


def _key_without_tonic(text: str) -> Key:
    """A K: field of which only the clef or accidentals, or nothing, are understood."""
    if not text:
        return NO_KEY
    if _EXPLICIT.match(text) or _CLEF.match(text) or _KEY_ASSIGNMENT.match(text):
        return _with_explicit("", "", _NO_ALTERATIONS, text)
    lower = re.match(r"([a-g][#b]?)\s*(m|min|maj|mix|dor|phr|lyd|loc|aeo|ion)?[a-z]*\s*$", text)
    if lower:
        key = parse_key(text[0].upper() + text[1:])
        raise FieldError("bad-key", f'the tonic "{text[0]}" should be a capital letter', key)
    raise FieldError(
        "bad-key",
        f'"{text[:20]}" is not a key: expected a tonic A to G and a mode, such as D, Em or Ador',
        NO_KEY,
        "error",
    )


def _alterations(tonic: str, mode: str) -> tuple[int, ...]:
    """Key signature by the circle of fifths, for C D E F G A B."""
    sharps = _FIFTHS[tonic[0]] + _MODE_FIFTHS[mode]
    sharps += 7 if tonic.endswith("#") else -7 if tonic.endswith("b") else 0
    moves = [0] * 7
    for place in range(abs(sharps)):
        letter = _SHARP_ORDER[place % 7] if sharps > 0 else _SHARP_ORDER[-1 - place % 7]
        moves[LETTERS.index(letter)] += 1 if sharps > 0 else -1
    return tuple(moves)


def _with_explicit(
    tonic: str, mode: str, alterations: tuple[int, ...], rest: str, replace: bool = False
) -> Key:
    """The key with the accidentals and the octave shift that follow its name."""
    rest, shift = _octave_shift(rest)
    if rest.lstrip().startswith("exp"):
        alterations, replace = _NO_ALTERATIONS, True
    moves = list(alterations)
    explicit = []
    for sign, letter in _EXPLICIT.findall(rest):
        move = MOVE_OF[sign]
        moves[LETTERS.index(letter.upper())] = move
        explicit.append((letter.lower(), move))
    if replace and tonic and not explicit:
        return Key("", "", (), _NO_ALTERATIONS, shift)
    if replace:
        return Key(tonic, " exp" if tonic else "", tuple(explicit), tuple(moves), shift)
    return Key(tonic, mode, tuple(explicit), tuple(moves), shift)


def voice_shift(text: str) -> int:
    """Semitones by which the clef, octave= and transpose= of a V: field move the sound."""
    return _octave_shift(text)[1]


def _octave_shift(rest: str) -> tuple[str, int]:
    """(rest without clef words and assignments, semitones by which they move the sound)."""
    shift = 0
    for match in _CLEF.finditer(rest):
        shift += _OCTAVES.get(match["octave"] or "", 0)
    rest = _CLEF.sub(" ", rest)
    for name, value in _KEY_ASSIGNMENT.findall(rest):
        if re.fullmatch(r"[+-]?\d{1,2}", value):
            if name == "octave":
                shift += 12 * int(value)
            elif name in ("transpose", "t"):
                shift += int(value)
    return _KEY_ASSIGNMENT.sub(" ", rest), max(-48, min(48, shift))


# --- M: ---

FREE_METER = Meter("none", 0, 1, 0)
_METER = re.compile(r"\(?\s*(\d{1,3}(?:\s*\+\s*\d{1,3})*)\s*\)?\s*/\s*(\d{1,3})")


@lru_cache(maxsize=256)
def parse_meter(text: str) -> Meter:
    """meter = numerator {"+" numerator} "/" denominator | "C" | "C|" | "none" | nothing."""
    text = text.strip()
    if text in ("", "none", "free"):
        return FREE_METER
    if text == "C":
        return Meter("4/4", 4, 4, WHOLE)
    if text == "C|":
        return Meter("C|", 2, 2, WHOLE)
    match = _METER.fullmatch(text)
    found = match or _METER.search(text)
    if found:
        numerator = sum(int(part) for part in found[1].split("+"))
        denominator = int(found[2])
        if 0 < numerator <= 128 and 0 < denominator <= 128 and WHOLE % denominator == 0:
            name = "C|" if (numerator, denominator) == (2, 2) else f"{numerator}/{denominator}"
            meter = Meter(name, numerator, denominator, WHOLE * numerator // denominator)
            if not match:
                message = f'"{text[:20]}" is not a meter: taken as {name}'
                raise FieldError("bad-meter", message, meter)
            if denominator & (denominator - 1):
                message = f"the meter {name} has beats that no note has: expected a power of 2"
                raise FieldError("bad-meter", message, meter)
            return meter
    raise FieldError(
        "bad-meter",
        f'"{text[:20]}" is not a meter: expected one such as 4/4, 6/8, C, C| or none',
        FREE_METER,
        "error",
    )


# --- L: ---

_LENGTH = re.compile(r"(\d{1,4})\s*/\s*(\d{1,4})|1")


def default_unit(meter: Meter) -> int:
    """Unit length in ticks where no L: is given: 1/16 for meters shorter than 3/4, else 1/8."""
    return WHOLE // 16 if 0 < meter.ticks < WHOLE * 3 // 4 else WHOLE // 8


@lru_cache(maxsize=256)
def parse_unit(text: str) -> int:
    """unit length = number "/" number, as ticks."""
    match = _LENGTH.fullmatch(text.strip())
    if match:
        numerator, denominator = (int(match[1]), int(match[2])) if match[1] else (1, 1)
        if numerator and denominator and numerator <= 16 * denominator:
            ticks, left = divmod(WHOLE * numerator, denominator)
            if not left and ticks >= WHOLE // 1024:
                return ticks
    raise FieldError(
        "bad-unit-length",
        f'"{text.strip()[:20]}" is not a unit length: expected a fraction such as 1/8',
        None,
        "error",
    )


# --- Q: ---

_BEATS = re.compile(r"((?:\d{1,3}\s*/\s*\d{1,3}\s*)+)=\s*(\d{1,4}(?:\.\d{1,4})?)")
_UNIT_BEATS = re.compile(r"[Cc](\d{0,2})(?:/(\d{1,2}))?\s*=\s*(\d{1,4}(?:\.\d{1,4})?)")
_BARE_BEATS = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)")
SLOWEST, FASTEST = 5.0, 1000.0  # quarters a minute


@lru_cache(maxsize=256)
def parse_tempo(text: str, unit: int) -> Tempo:
    """tempo = [words] [length {length} "=" number] [words]; outdated: number, "C" "=" number.

    Several lengths add up to one beat. A number alone counts unit lengths (section 10.1).
    """
    words = " ".join(re.findall(r'"([^"]*)"', text))
    rest = re.sub(r'"[^"]*"?', " ", text).strip()
    if not rest:
        return Tempo(WHOLE // 4, 0.0, words)
    beat = 0
    if match := _BEATS.match(rest):
        for numerator, denominator in re.findall(r"(\d+)\s*/\s*(\d+)", match[1]):
            beat += WHOLE * int(numerator) // int(denominator) if int(denominator) else 0
    elif match := _UNIT_BEATS.match(rest):
        beat = unit * int(match[1] or 1) // max(1, int(match[2] or 1))
    elif match := _BARE_BEATS.match(rest):
        beat = unit
    if match and beat:
        tempo = Tempo(beat, float(match[match.lastindex or 1]), words)
        if SLOWEST <= tempo.quarters_per_minute <= FASTEST:
            return tempo
    raise FieldError(
        "bad-tempo",
        f'"{text.strip()[:20]}" is not a tempo: expected one such as 1/4=120',
        Tempo(WHOLE // 4, 0.0, words) if words else None,
    )


# --- R: ---

# What transcribers write -> the one name used here.
_RHYTHMS = {
    "jig": "jig", "double jig": "jig", "dble jig": "jig", "irish jig": "jig", "jigs": "jig",
    "single jig": "single jig", "slip jig": "slip jig", "slipjig": "slip jig",
    "hop jig": "slip jig", "hop": "slip jig", "slide": "slide",
    "reel": "reel", "reels": "reel", "double reel": "reel", "single reel": "reel",
    "hornpipe": "hornpipe", "hornpipes": "hornpipe", "clog": "hornpipe", "clog dance": "hornpipe",
    "strathspey": "strathspey", "highland fling": "highland fling", "fling": "highland fling",
    "schottische": "schottische", "barndance": "barndance", "barn dance": "barndance",
    "polka": "polka", "waltz": "waltz", "mazurka": "mazurka", "march": "march",
    "quick step": "march", "quickstep": "march", "air": "air", "slow air": "air",
    "song": "air", "set dance": "set dance", "long dance": "set dance", "minuet": "minuet",
    "gavotte": "gavotte", "quadrille": "quadrille", "walkaround": "walkaround",
    "walk around": "walkaround", "three-two": "three-two", "planxty": "planxty",
}  # fmt: skip
RHYTHMS = tuple(sorted(set(_RHYTHMS.values())))


def parse_rhythm(text: str) -> str:
    """One of `RHYTHMS`, or "" for a rhythm that is not known."""
    return _RHYTHMS.get(" ".join(text.lower().replace("_", " ").split()).strip(' ."'), "")


# --- P: (order of parts) ---

MAX_PARTS_PLAYED = 512
_PART_TOKEN = re.compile(r"([A-Za-z])|(\()|(\))|(\d{1,4})|([\s.,]+)|(.)")


@lru_cache(maxsize=256)
def parse_part_order(text: str) -> tuple[str, ...]:
    """order = {(letter | "(" order ")") [count]}, written out: "A2(AB)2" -> A A A B A B."""
    stack: list[list[str]] = [[]]
    last: list[str] = []  # what a count would repeat
    for letter, opening, closing, count, _, junk in _PART_TOKEN.findall(text):
        if junk:
            raise FieldError(
                "bad-parts", f'"{text[:20]}" is not an order of parts, such as A2(AB)2'
            )
        if letter:
            last = [letter]
            stack[-1] += last
        elif opening:
            stack.append([])
            last = []
            if len(stack) > 64:
                raise FieldError("bad-parts", "brackets in P: are nested more than 64 deep")
        elif closing:
            if len(stack) == 1:
                raise FieldError("bad-parts", 'a ")" in P: has no "("')
            last = stack.pop()
            stack[-1] += last
        elif count and last:
            times = int(count)
            if times == 0:
                raise FieldError("bad-parts", "a part in P: is played 0 times")
            stack[-1] += last * (min(times, MAX_PARTS_PLAYED) - 1)
            last = []
        if len(stack[-1]) > MAX_PARTS_PLAYED:
            raise FieldError("bad-parts", f"P: asks for more than {MAX_PARTS_PLAYED} parts")
    if len(stack) > 1:
        raise FieldError("bad-parts", 'a "(" in P: is not closed')
    return tuple(stack[0])
