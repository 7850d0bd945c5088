"""JSON files read line by line, so that one faulty line does not cost the others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefs.json_records import FormatError, Json


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")  # Python would read NaN and Infinity


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def write_json_lines(path: Path, objects: Iterable[Json]) -> None:
    write_whole(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects))


def write_whole(path: Path, text: str) -> None:
    """Replaces a file once the new one is whole and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@dataclass(frozen=True)
class Unreadable:
    """Stands for a line that is not JSON."""

    reason: str


def readable(data: object) -> Any:
    """What a line holds; FormatError if it holds no JSON."""
    if isinstance(data, Unreadable):
        raise FormatError(data.reason)
    return data


def entries(path: Path) -> Iterator[tuple[int, object]]:
    """(line, from 1; what it holds) of each line of JSON Lines or of each item of a JSON list."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if content.lstrip()[:1] == b"[":
        yield from _items(content, path)
        return
    for line, words in enumerate(content.split(b"\n"), start=1):
        if words.strip():
            yield line, _parsed(words)


def _parsed(words: bytes) -> object:
    try:
        return _DECODER.decode(words.decode("utf-8"))
    except UnicodeDecodeError:
        return Unreadable("not UTF-8")
    except json.JSONDecodeError as error:
        return Unreadable(f"not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError):
        return Unreadable("not JSON: NaN, too deep, or a number too long")


def _items(content: bytes, path: Path) -> Iterator[tuple[int, object]]:
    """Items of one JSON list; after a fault the rest of the list cannot be told apart."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{path}:{line}: not UTF-8") from None
    at = _past_blanks(text, text.index("[") + 1)
    line, counted = 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            item, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield line, Unreadable("not JSON: the list is cut off or faulty from here on")
            return
        yield line, item
        at = _past_blanks(text, at)
        if text[at : at + 1] == ",":
            at = _past_blanks(text, at + 1)
        elif text[at : at + 1] != "]":
            line += text.count("\n", counted, at)
            yield line, Unreadable("not JSON: the list is cut off or faulty from here on")
            return


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
