"""Music text -> tokens: one compiled expression, and the tables that read each token's own text.

    TOKEN.findall(line)    the texts of its tokens, each with the blanks after it
    token_kind(text)       which of them it is, and its text without the blanks

No part of `TOKEN` looks further than one character ahead of what it reads, so that hostile lines
cost no more than others. In notes and blanks, most of all text, what was read is not given back
(`*+`): faster.
"""

import re
from functools import lru_cache

from abc_tools.tune import LETTERS, MOVE_OF

_LENGTH = r"\d*+(?:/++\d*+)?"
_NOTE = rf"(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*+{_LENGTH}"
_NUMBERS = r"\d+(?:[-,]\d+)*"
_BLANKS = r"[\s`]*+"

# Each token's name is that of the method that reads it. The first expression that fits counts.
_TOKENS = {
    "note": rf"{_NOTE}[-)]*+(?:[ ]*+[<>]++)?",
    "bar": rf"(?:\.(?=\|))?(?:\[(?=\|)|[|:]|(?<=[|:])\])+(?:\[?{_NUMBERS})?",
    "ending": rf"\[{_NUMBERS}",
    "rest": rf"[zx]{_LENGTH}",
    "bars_rest": r"[ZX]\d*",
    "slur": r"\((?!\d)",
    "tuplet": r"\(\d+(?::\d*){0,2}",
    "closing": r"\)",
    "letter": r"[~.H-WYh-w]",
    "text": r'"[^"\n]*"',
    "grace": r"\{[^{}\n]*\}",
    "field": r"\[[A-Za-z]:[^\[\]\n]*\]",
    "chord": rf"\[[^\]\[|\n]*\]{_LENGTH}[-)]*",
    "named_ending": r'\["[^"\n]*"',
    "name": r"![\w.()<>+~^:/'-]{1,30}!|\+[\w.()<>]{1,30}\+",
    "broken": r"[<>]+",
    "tie": r"-",
    "overlay": r"&+",
    "spacer": rf"y{_LENGTH}",
    "line_sign": r"[\\$!*;]+|=(?:20)?$",
    "stray": r"\S",
}
BLANKS = re.compile(_BLANKS)
# Nearly all tokens are one of these, with something behind it that surely begins another: a note
# that may end a slur, a barline, a sign before a note. They are tried first, to save time.
_NEXT = r'A-Ga-gz(.~{^_="'
_MOST_TOKENS = rf"[A-Ga-g][0-9]*+\)? *+(?=[{_NEXT}|:])|\| *+(?=[{_NEXT}])|[(~.](?=[A-Ga-g])"
TOKEN = re.compile(f"{_MOST_TOKENS}|(?:{'|'.join(_TOKENS.values())}){_BLANKS}")
_KIND = re.compile("|".join(f"(?P<{name}>{token})" for name, token in _TOKENS.items()))
_ONLY_NOTE = re.compile(f"({_NOTE}){_BLANKS}")
_NOTE_TOKEN = re.compile(f"({_NOTE})([-)]*)([ ]*[<>]+)?")

# What may stand between the brackets of a chord, or the braces of grace notes.
INNER = re.compile(
    rf"""
    (?P<note> {_NOTE} ) (?P<tail>[-)]*)
  | (?P<mark> ![\w.()<>+~^:/'-]{{1,30}}! | "[^"\n]*" | [~.H-WYh-w] )
  | (?P<skip> [][\s(`<>zxy/] )
  | (?P<stray> . )
    """,
    re.VERBOSE,
)

# Letters that mean a decoration without being defined by U: (section 4.14).
PREDEFINED_SYMBOLS = "~.HLMOPSTuv"
# Names of section 4.14 that may stand between "!" and "!".
DECORATIONS = frozenset(
    re.findall(
        r"\w+",
        """
        accent arpeggio breath coda crescendo dacapo dacoda diminuendo downbow emphasis fermata
        ff fff fine invertedfermata invertedturn invertedturnx longphrase lowermordent
        mediumphrase mf mordent mp open plus pp ppp pralltriller roll segno sfz shortphrase
        slide snap staccato tenuto thumb trill turn turnx upbow uppermordent wedge
        """,
    )
)

# Names beyond section 4.14 that abcm2ps, abc2svg, abc2midi or abcjs know.
EXTENSIONS = frozenset(
    re.findall(
        r"\w+",
        """
        alcoda alfine arp beambr beamon cut d dacs dacoda decr decrescendo dim dot doublestroke
        fffff ffff fp gmark head invertedmordent ltr marcato mute opend pppp ppppp repeatbar
        rit rolls sf sforzando stemless tr trem tremolo triangle umarcato vibrato xstem
        """,
    )
)

_NOTE_PARTS = re.compile(rf"([_^=]*)([A-Ga-g])([,']*)({_LENGTH})")
_LENGTH_PARTS = re.compile(r"(\d*)(/*)(\d*)")
_SEMITONE = (0, 2, 4, 5, 7, 9, 11)
MIDDLE_C_STEP = 28


@lru_cache(maxsize=1024)
def token_kind(text: str) -> tuple[str, str]:
    """A token with the blanks after it -> (its name, its text without them).

    >>> token_kind("|: ")
    ('bar', '|:')
    """
    match = _KIND.match(text)
    assert match and match.lastgroup, text
    return match.lastgroup, match[0]


def only_a_note(text: str) -> str:
    """The note, of a token that is a note without tie, slur or broken rhythm; else ""."""
    match = _ONLY_NOTE.fullmatch(text)
    return match[1] if match else ""


@lru_cache(maxsize=4096)
def note_token(text: str) -> tuple[str, str, str]:
    """note token = note {"-" | ")"} [broken rhythm]; the last with the blanks before it.

    >>> note_token("c2) >")
    ('c2', ')', ' >')
    """
    match = _NOTE_TOKEN.fullmatch(text)
    assert match, text
    note, tail, broken = match.groups(default="")
    return note, tail, broken


@lru_cache(maxsize=4096)
def note_parts(text: str) -> tuple[str, int | None, int, int, int]:
    """note = accidental letter octave length -> (accidental, its move, step, length above, below).

    The move is None without an accidental.

    >>> note_parts("^c'3/2")
    ('^', 1, 42, 3, 2)
    """
    match = _NOTE_PARTS.fullmatch(text)
    assert match, text
    accidental, letter, octaves, length = match.groups()
    step = MIDDLE_C_STEP + LETTERS.index(letter.upper()) + (7 if letter.islower() else 0)
    step += 7 * (octaves.count("'") - octaves.count(","))
    numerator, denominator = length_parts(length)
    return accidental, MOVE_OF.get(accidental) if accidental else None, step, numerator, denominator


@lru_cache(maxsize=1024)
def length_parts(text: str) -> tuple[int, int]:
    """length = [number] {"/"} [number]; each "/" without a number halves.

    >>> [length_parts(text) for text in ("", "3", "/", "//", "/4", "3/2")]
    [(1, 1), (3, 1), (1, 2), (1, 4), (1, 4), (3, 2)]
    """
    match = _LENGTH_PARTS.fullmatch(text)
    assert match, text
    above, slashes, below = match.groups()
    numerator = int(above[:14]) if above else 1
    if not slashes:
        return numerator, 1
    denominator = int(below[:14]) if below else 2
    return numerator, denominator << min(len(slashes) - 1, 12)


@lru_cache(maxsize=256)
def natural_pitch(step: int) -> int:
    """MIDI number of a white key."""
    octave, letter = divmod(step, 7)
    return 12 * octave + 12 + _SEMITONE[letter]


@lru_cache(maxsize=1024)
def bar_parts(text: str) -> tuple[int, int, bool, tuple[int, ...] | None, bool]:
    """barline -> (repeats that end, repeats that start, double, ending's numbers, is a barline).

    The standard asks to be liberal: any run of | : [ ] is read as what it most resembles.

    >>> [bar_parts(text)[:3] for text in ("|", ":|", "|:", "::", ":|]", "|::")]
    [(0, 0, False), (1, 0, False), (0, 1, False), (1, 1, False), (1, 0, True), (0, 2, False)]
    """
    signs = re.match(r"[.|:\[\]]*", text)
    assert signs
    line = signs[0].lstrip(".")
    if line.endswith("[") and text != line:
        line = line[:-1]
    numbers = ending_numbers(text[signs.end() :]) if signs.end() < len(text) else None
    line = line.replace("[|]", "") or "|"  # an invisible barline, often beside a real one
    bare = line.strip("[]")
    if set(bare) == {":"}:  # "::" without a bar between
        half = (len(bare) + 1) // 2
        return half, len(bare) - half, False, numbers, len(bare) > 1
    closes = len(bare) - len(bare.lstrip(":"))
    opens = len(bare) - len(bare.rstrip(":"))
    double = bare.count("|") > 1 or "[" in line or "]" in line
    return closes, opens, double, numbers, True


def ending_numbers(text: str) -> tuple[int, ...]:
    """ending = number {("," | "-") number}: "1,3" -> (1, 3), "1-3" -> (1, 2, 3)."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            low = min(int(first[:4]), 99)
            high = min(int(last[:4]), 99) if last.isdecimal() else low
            numbers += range(low, high + 1) if low <= high else (low,)
    return tuple(dict.fromkeys(number for number in numbers if number))
