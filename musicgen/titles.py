"""Titles: those of the corpus cleaned for training, and which new ones are plausible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_SMALL = {"a", "an", "and", "at", "by", "for", "from", "in", "o'", "of", "on", "or", "the", "to"}
_LONGEST = 40
FEWEST_WORDS, MOST_WORDS = 2, 6
TITLES_FILE = "titles.txt"  # in a model folder, one a line


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


def plain_title(title: str) -> str:
    """A title in lower case without signs and articles: equal ones name the same.

    >>> plain_title("The Piper's Fancy"), plain_title("Pipers' fancy, The")
    ('pipers fancy', 'pipers fancy')
    """
    words = re.findall(r"[a-z0-9]+", title.lower().replace("'", ""))
    return " ".join(word for word in words if word not in ("the", "a", "an"))


def corpus_titles(titles: Iterable[str]) -> list[str]:
    """The clean ones among printed titles, each once, sorted: what a model folder keeps."""
    return sorted({clean for title in titles if (clean := clean_title(title))})


def read_titles(folder: Path) -> list[str]:
    """The titles that a model was trained on; [] for a model that knows no titles."""
    try:
        return (folder / TITLES_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def write_titles(folder: Path, titles: Sequence[str]) -> None:
    """The inverse of `read_titles`."""
    (folder / TITLES_FILE).write_text("".join(f"{t}\n" for t in titles), encoding="utf-8")


class TitleJudge:
    """Says which new titles are plausible: in clean style, of the corpus's words, not one of it."""

    def __init__(self, titles: Iterable[str]) -> None:
        titles = list(titles)
        self._known = {plain_title(title) for title in titles}
        self._words = {word.lower() for title in titles for word in title.split()}

    def accepts(self, title: str) -> bool:
        words = title.split()
        return (
            FEWEST_WORDS <= len(words) <= MOST_WORDS
            and clean_title(title) == title
            and len({word.lower() for word in words}) == len(words)
            and all(word.lower() in self._words for word in words)
            and plain_title(title) not in self._known
        )


def title_prompt(rhythm: str | None) -> str:
    """What stands before a title for a model that names tunes."""
    return f"X:1\nR:{rhythm}\nT:" if rhythm else "X:1\nT:"
