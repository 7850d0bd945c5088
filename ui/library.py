"""The tunes that were played and those that were kept, as JSON Lines in the home folder.

    HOME/library/tunes.jsonl   one tune a line: id, abc, model, seed, options, created
    HOME/library/kept.jsonl    one press of the heart a line: id, kept, at

Both are only ever appended to; the latest line about an id counts. A line that cannot be read is
left out and logged, never a reason not to start.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

log = logging.getLogger("musicgen")


class LibraryError(Exception):
    """The home folder cannot be read or written. The message is one line and says what to do."""


@dataclass(frozen=True)
class StoredTune:
    """One tune as the library keeps it. `created` is UTC in ISO 8601."""

    id: str
    abc: str
    model: str
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    created: str = ""


def tune_id(abc: str) -> str:
    """The tune's address, as `musicgen generate` writes it too: the same text, the same id.

    >>> tune_id("X:1\\nK:D\\nABc|")
    'a44db4998b03'
    """
    return hashlib.sha256(abc.encode()).hexdigest()[:12]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Library:
    """Every tune that was shown, found by its id, after a restart too. Safe for several threads."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LibraryError(
                f"{self.folder}: cannot be made ({error.strerror}); choose another with --home"
            ) from None
        self._tunes = self.folder / "tunes.jsonl"
        self._kept_file = self.folder / "kept.jsonl"
        self._lock = threading.Lock()
        self._places = {row["id"]: place for place, row in _rows(self._tunes, _is_tune)}
        self._kept: dict[str, None] = {}  # a dict for its order: the latest last
        for _, row in _rows(self._kept_file, _is_press):
            self._mark(row["id"], row["kept"])

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, id: str) -> bool:
        return id in self._places

    def add(self, tune: StoredTune) -> None:
        """Store a tune; one that is there already stays as it is."""
        with self._lock:
            if tune.id not in self._places:
                self._places[tune.id] = self._append(self._tunes, asdict(tune))

    def get(self, id: str) -> StoredTune | None:
        with self._lock:
            place = self._places.get(id)
        if place is None:
            return None
        with self._tunes.open("rb") as file:
            file.seek(place)
            return StoredTune(**json.loads(file.readline()))

    def keep(self, id: str, kept: bool = True) -> None:
        """Keep a tune, or let it go again. Raises KeyError for a tune that is not here."""
        with self._lock:
            if id not in self._places:
                raise KeyError(id)
            if (id in self._kept) != kept:
                self._append(self._kept_file, {"id": id, "kept": kept, "at": now()})
                self._mark(id, kept)

    def is_kept(self, id: str) -> bool:
        return id in self._kept

    def kept(self) -> list[StoredTune]:
        """Kept tunes, the latest first."""
        with self._lock:
            ids = list(self._kept)
        return [tune for id in reversed(ids) if (tune := self.get(id)) is not None]

    def _mark(self, id: str, kept: bool) -> None:
        self._kept.pop(id, None)
        if kept:
            self._kept[id] = None

    def _append(self, path: Path, row: dict[str, Any]) -> int:
        """Add a line and return where it begins. A line that a crash cut short is closed first."""
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        try:
            with path.open("a+b") as file:
                end = file.seek(0, os.SEEK_END)
                if end:
                    file.seek(end - 1)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
                file.write(line)
                file.flush()
                return file.tell() - len(line)
        except OSError as error:
            raise LibraryError(
                f"{path}: cannot be written ({error.strerror}); free some space or choose --home"
            ) from None


def _rows(path: Path, is_sound: Callable[[Any], bool]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(offset, row) of each sound line; an unreadable one is logged with its number."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise LibraryError(
            f"{path}: cannot be read ({error.strerror}); repair it or choose another --home"
        ) from None
    with file:
        place = 0
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if is_sound(row):
                yield place, row
            elif line.strip():
                log.warning("%s:%d: not a line of the library, left out", path, number)
            place += len(line)


def _is_tune(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and set(row) == set(StoredTune.__dataclass_fields__)
        and all(isinstance(row[name], str) for name in ("id", "abc", "model", "created"))
        and isinstance(row["seed"], int)
    )


def _is_press(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), str)
        and isinstance(row.get("kept"), bool)
    )
