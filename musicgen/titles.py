"""Titles: those of the corpus cleaned for training, and new ones drawn from the model."""

from __future__ import annotations

import re

_SMALL = {"a", "an", "and", "at", "by", "for", "from", "in", "o'", "of", "on", "or", "the", "to"}
_LONGEST = 40


def clean_title(title: str) -> str:
    """A printed title in one style; "" if it is no name (a number, "Untitled", a long sentence).

    >>> clean_title("MERRY LADS OF AYER -- REEL.")
    'Merry Lads of Ayer'
    >>> clean_title("Moonlight Ramble., The")
    'The Moonlight Ramble'
    >>> clean_title("Irish Air.")
    ''
    """
    title = re.sub(r"\(.*?\)|\s--\s.*$|\[.*?\]|,?\s*\d.*$|\bor\b.*$", "", title)
    title = re.sub(r"\s+Do\.?$", "", title).strip(" .,;:\"'-")
    if match := re.fullmatch(r"(.*?)[ .]*,\s*(The|An?)", title, re.IGNORECASE):
        title = f"{match[2]} {match[1]}"
    words = re.findall(r"[^\s]+", title)
    words = [_cased(word, not place, title.isupper()) for place, word in enumerate(words)]
    title = " ".join(words)
    plain = re.fullmatch(r"[A-Za-z][A-Za-z' .-]*", title)
    generic = re.fullmatch(
        r"(?:(?:Untitled|Unknown|An?|The|Irish|Scots?|German|French|Welch|Air|March|Reel|Jigg?|"
        r"Minuet|Hornpipe|Waltz|Quick|Step|Setting)\b\s*)*",
        title,
    )
    unfinished = bool(words) and words[-1].lower() in _SMALL
    named = plain and not generic and not unfinished
    return title if named and 3 < len(title) <= _LONGEST else ""


def _cased(word: str, first: bool, shouted: bool) -> str:
    lower = word.lower()
    if lower in _SMALL:
        return lower.capitalize() if first else lower
    if shouted or word.islower():
        return "-".join(part.capitalize() for part in lower.split("-"))
    return word


def title_prompt(rhythm: str | None) -> str:
    """What stands before a title for a model that names tunes."""
    return f"X:1\nR:{rhythm}\nT:" if rhythm else "X:1\nT:"
