"""A file of tunes: bytes -> text, text -> one `TuneText` for each X: block."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TuneText:
    """The text of one tune, where it starts in its file (line from 1, offset), and the fields that
    it inherits from the head of the file, as lines of text."""

    text: str
    line: int = 1
    inherited: str = ""
    offset: int = 0


def decode_bytes(data: bytes) -> str:
    """Text of a file: a byte order mark, UTF-8 or (old files) cp1252; line ends become newlines."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            # cp1252 leaves five bytes undefined; latin-1 reads them as control characters.
            text = "".join(_CP1252[byte] for byte in data)
    return unify_line_ends(text)


def unify_line_ends(text: str) -> str:
    """CRLF and CR become LF; a byte order mark that was not decoded away goes."""
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


_CP1252 = [bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(256)]

_TUNE_START = re.compile(r"^[ \t]*X:", re.MULTILINE)
_INHERITED = re.compile(r"^([LMRUIm]:.*|%%.*)$", re.MULTILINE)


def split_tunes(text: str) -> list[TuneText]:
    """One `TuneText` for each X: field, or one for the whole text if there is none."""
    text = unify_line_ends(text)
    starts = [match.start() for match in _TUNE_START.finditer(text)]
    if not starts:
        return [TuneText(text)] if text.strip() else []
    # The head of the file ends at the first empty line; text after it is free.
    head = text[: starts[0]].strip("\n").split("\n\n")[0]
    inherited = "\n".join(_INHERITED.findall(head))
    line = 1
    place = 0
    tunes = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        line += text.count("\n", place, start)
        place = start
        tunes.append(TuneText(text[start:end], line, inherited, start))
    return tunes
