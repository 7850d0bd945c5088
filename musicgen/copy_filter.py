"""Keeps copies of printed tunes from being served as new ones."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from musicgen.corpus import CorpusError
from musicgen.novelty import FILE_NAME, NoveltyError, NoveltyIndex, corpus_index, is_copy

log = logging.getLogger("musicgen")


class CopyFilter:
    """Says whether a tune is a copy of a printed one (novelty.py).

    The index of the books is read from HOME if it is there. If not, `build` has a thread make it,
    which takes about ten seconds once for a home; until then nothing counts as a copy.
    """

    def __init__(self, home: Path, *, build: bool = False) -> None:
        self._index: NoveltyIndex | None = None
        if (home / FILE_NAME).exists():
            self._load(home)
        elif build:
            threading.Thread(target=self._load, args=[home], name="novelty", daemon=True).start()

    def _load(self, home: Path) -> None:
        try:
            self._index = corpus_index(home)
        except (CorpusError, NoveltyError, OSError) as error:
            log.warning("copies of printed tunes are not found: %s", error)

    def __call__(self, abc: str) -> bool:
        if self._index is None:
            return False
        try:
            return is_copy(self._index.nearest(abc))
        except NoveltyError:  # too few notes to compare
            return False
