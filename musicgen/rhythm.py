"""Which dance a tune is: from its R: field, its title, or the section of the book it stands in."""

from __future__ import annotations

import re

# Words of R: fields and titles -> the rhythm's one name here. The first that fits wins.
_WORDS: tuple[tuple[str, str], ...] = (
    (r"slip ?jig|hop jig", "slip jig"),
    (r"double jig|single jig|jig", "jig"),
    (r"reel", "reel"),
    (r"strathspey", "strathspey"),
    (r"highland fling|fling", "highland fling"),
    (r"hornpipe|clog", "hornpipe"),
    (r"march|quick ?step", "march"),
    (r"waltz|valse", "waltz"),
    (r"minuet", "minuet"),
    (r"polka", "polka"),
    (r"slide", "slide"),
    (r"set dance|long dance", "set dance"),
    (r"air|song|lament|planxty|carolan", "air"),
)

# Meters in which a rhythm is danced; a title's word counts only if the meter agrees.
_METERS: dict[str, frozenset[str]] = {
    "slip jig": frozenset({"9/8"}),
    "jig": frozenset({"6/8", "9/8", "12/8"}),
    "reel": frozenset({"4/4", "2/4", "C|", "C", "2/2"}),
    "strathspey": frozenset({"4/4", "C", "C|"}),
    "highland fling": frozenset({"4/4", "C", "C|", "2/4"}),
    "hornpipe": frozenset({"4/4", "2/4", "C|", "C", "2/2"}),
    "waltz": frozenset({"3/4", "3/8", "6/8"}),
    "minuet": frozenset({"3/4", "3/8"}),
    "polka": frozenset({"2/4"}),
    "slide": frozenset({"12/8", "6/8"}),
}

RHYTHMS: tuple[str, ...] = tuple(dict.fromkeys(name for _, name in _WORDS))

# O'Neill's 1850 prints no rhythm over most tunes: its sections say it (numbers of the book).
ONEILL_SECTIONS: tuple[tuple[range, str], ...] = (
    (range(1, 691), "air"),
    (range(701, 1116), "jig"),
    (range(1116, 1176), "slip jig"),
    (range(1176, 1556), "reel"),
    (range(1556, 1781), "hornpipe"),
    (range(1801, 1851), "march"),
)


def _named(words: str, meter: str) -> str | None:
    for pattern, name in _WORDS:
        if re.search(rf"\b(?:{pattern})s?\b", words.lower()):
            return name if meter in _METERS.get(name, {meter}) else None
    return None


def rhythm_of(field: str, title: str, meter: str, oneill_number: int | None = None) -> str | None:
    """The rhythm's name, or None where nothing tells.

    A jig in 9/8 is a slip jig whatever the source calls it.

    >>> rhythm_of("Double Jig", "The Kesh", "6/8"), rhythm_of("", "Acrobat's Hornpipe", "2/4")
    ('jig', 'hornpipe')
    """
    name = _named(field, meter)
    if name is None and oneill_number is not None:
        name = next((name for numbers, name in ONEILL_SECTIONS if oneill_number in numbers), None)
        if name is not None and meter not in _METERS.get(name, {meter}):
            name = None
    name = name or _named(title, meter)
    return "slip jig" if name == "jig" and meter == "9/8" else name
