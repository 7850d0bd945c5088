"""Is a tune new? The nearest tune of a corpus, in any key, and what the two have in common.

    index = corpus_index(home)          or  NoveltyIndex.build(tunes), NoveltyIndex.load(path)
    nearest = index.nearest(abc)        similarity, shared bars, longest passage
    is_copy(nearest)                    whether it may not be called new

Tunes are compared as `musicgen.melody` reads them. What `python -m benchmarks.novelty` measured
with the default corpus, each set beside its 3,595 training tunes (5%, 50%, 95% of the tunes):

                                     tunes  similarity      shared bars     notes in a row  copies
    held-out tunes                     640  0.12 0.31 0.64  0.00 0.08 0.39    6   8  19       5.2%
    held-out tunes read backwards      640  0.07 0.21 0.40  0.00 0.00 0.13    6   7  10       0.2%
    training tunes, 10% notes moved    200  0.63 0.80 0.93  0.31 0.53 0.78   14  25  40      93.5%
    pairs of the same title            313  0.00 0.29 1.00  0.00 0.18 0.96    0  11 109      39.3%
      of similarity 0.3 and more       154  0.39 0.94 1.00  0.20 0.81 1.00   12  42 131      79.9%

Backwards is what chance brings. The splits keep tunes of one title apart, so the copies among the
held-out tunes are mostly kin under other titles and in other keys: the College Hornpipe is Jack's
the Lad, Terry Heigh Ho the Grinder is Terry Heigh. Half of the pairs of one title share it only.
Alone, the bars flag 1.7% of the held-out tunes, the passage 0.8%, the similarity 4.4%.

The index of all 4,377 printed tunes takes 4 s of processor time to make, 0.2 s to open, 0.4 MB on
disk; a query 2.6 ms, the reading of the text included.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abc_tools import AbcError, Tune, decode_bytes, parse_tune, split_tunes
from abc_tools.errors import locate
from abc_tools.tune import Span
from musicgen.corpus import CorpusConfig, CorpusTune, source_files
from musicgen.melody import BAR, Melody, bar_hashes, run_hashes, step_codes

log = logging.getLogger("musicgen")

RUN = 6  # notes in a row that two tunes must share before any of them count
BAR_NOTES = 2  # bars with fewer notes say nothing
COPY_BARS = 0.5  # more than this share of the bars
COPY_NOTES = 32  # or so many notes in a row: four bars of a reel
COPY_SIMILARITY = 0.65  # or so similar: a copy with every tenth note changed

FILE_NAME = "novelty.npz"
_FORMAT = 1  # raise it when the file or what Melody reads changes


class NoveltyError(ValueError):
    """A tune that cannot be compared, or an index that cannot be read; the message is one line."""


@dataclass(frozen=True)
class Passage:
    """Consecutive notes that two tunes share: the same intervals and rhythm, each note in turn."""

    notes: int
    bars: float  # from the first note's beginning to the last one's, in bars
    line: int  # where it begins in the tune that was asked about
    column: int
    bar: int  # written bar of that tune, from 1, a pick-up bar counted
    corpus_bar: int  # written bar of the corpus tune


@dataclass(frozen=True)
class Nearest:
    """The corpus tune that is nearest to a query, and what the query has in common with it.

    similarity       share of the query's notes that lie in runs of six or more notes which the
                     corpus tune has too, with the same intervals and the same time between them.
                     All runs counted must be moved by the same interval, octaves aside.
    shared_bars      share of the query's written bars, those of fewer than two notes left out, that
                     the corpus tune has too, at any place in it: the same notes beginning at the
                     same places in the bar. All bars counted must be moved by the same interval,
                     octaves aside.
    longest_passage  the longest run of six or more notes in both; None if there is none.

    Example: CEDF AGFE|g2b2 Bc'Bc|] has its first bar in a corpus tune, a fourth lower, and its
    second nowhere. 8 of 14 notes lie in shared runs: similarity 0.57; 1 of 2 bars is shared: 0.5;
    the longest passage is 8 notes, 0.88 bars. With AGFE changed to BGFE no six notes in a row are
    shared, and the bar is another one: 0, 0, None.

    Nothing in common at all: tune_id and title are empty.
    """

    tune_id: str
    title: str
    similarity: float
    shared_bars: float
    longest_passage: Passage | None


def is_copy(nearest: Nearest) -> bool:
    """Whether so much is shared with one corpus tune that a tune may not be called new.

    More than half of the bars, or a passage of 32 notes, or a similarity of 0.65. Rates: see above.
    """
    passage = nearest.longest_passage
    return bool(_copied(nearest.similarity, nearest.shared_bars, passage.notes if passage else 0))


def _copied(similarity: Any, shared_bars: Any, notes: Any) -> Any:
    """The same of numbers or of arrays of them."""
    return (shared_bars > COPY_BARS) | (notes >= COPY_NOTES) | (similarity >= COPY_SIMILARITY)


@dataclass(frozen=True)
class _Notes:
    """What the file holds: the notes of all tunes one after another, and how many each has."""

    names: tuple[tuple[str, str], ...]  # (id, title)
    lengths: NDArray[np.int32]
    pitches: NDArray[np.int16]
    waits: NDArray[np.uint16]
    bars: NDArray[np.int16]
    places: NDArray[np.uint16]


class NoveltyIndex:
    """Where each run of six notes and each bar occurs in a corpus. Safe for several threads."""

    def __init__(self, notes: _Notes, source: str = "") -> None:
        self.source = source  # what it was made of, "" if nobody said
        self._notes = notes
        ends = np.cumsum(notes.lengths)
        tune_of = np.repeat(np.arange(len(notes.lengths), dtype=np.int32), notes.lengths)
        steps = step_codes(notes.pitches, notes.waits)

        hashes = run_hashes(steps, RUN)
        begins = np.arange(len(hashes), dtype=np.int32)
        whole = begins + RUN <= ends[tune_of[begins]]  # the run does not reach into the next tune
        order = np.argsort(hashes[whole], kind="stable")
        self._run_hashes = hashes[whole][order]
        self._run_begins = begins[whole][order]
        self._tune_of = tune_of

        firsts, lasts = _bar_ends(notes.bars, ends)
        hashes = bar_hashes(steps, notes.places, firsts, lasts)
        order = np.argsort(hashes, kind="stable")
        self._bar_hashes = hashes[order]
        self._bar_pitches = notes.pitches[firsts[order]].astype(np.int64)
        self._bar_tunes = tune_of[firsts[order]].astype(np.int64)

    def __len__(self) -> int:
        """How many tunes it knows."""
        return len(self._notes.names)

    @classmethod
    def build(cls, tunes: Iterable[CorpusTune]) -> NoveltyIndex:
        """An index of corpus tunes, such as `read_corpus(folder).tunes("train")`."""
        return cls.of((tune.id, tune.title, parse_tune(tune.abc)) for tune in tunes)

    @classmethod
    def of(cls, tunes: Iterable[tuple[str, str, Tune]], source: str = "") -> NoveltyIndex:
        """An index of (id, title, tune). Raises NoveltyError if no tune has six notes."""
        names: list[tuple[str, str]] = []
        melodies: list[Melody] = []
        for tune_id, title, tune in tunes:
            melody = Melody.of(tune)
            if len(melody.pitches) >= RUN:
                names.append((tune_id, title))
                melodies.append(melody)
        if not melodies:
            raise NoveltyError("there is no tune to compare with: the corpus is empty")
        notes = _Notes(
            names=tuple(names),
            lengths=np.array([len(melody.pitches) for melody in melodies], dtype=np.int32),
            pitches=np.concatenate([melody.pitches for melody in melodies]),
            waits=np.concatenate([melody.waits for melody in melodies]),
            bars=np.concatenate([melody.bars for melody in melodies]),
            places=np.concatenate([melody.places for melody in melodies]),
        )
        return cls(notes, source)

    def save(self, path: Path) -> None:
        """Write the index to a NumPy .npz file, whole or not at all."""
        notes = self._notes
        about = {"format": _FORMAT, "source": self.source, "names": notes.names}
        first_of_bar = _bar_begins(notes.bars, np.cumsum(notes.lengths))
        data = io.BytesIO()
        np.savez_compressed(
            data,
            about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
            lengths=notes.lengths,
            pitches=notes.pitches,
            waits=notes.waits,
            bars=notes.bars,
            places=np.where(first_of_bar, notes.places, 0),  # the others are not looked at
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(data.getbuffer())
            os.replace(partial, path)
        except BaseException:
            os.unlink(partial)
            raise

    @classmethod
    def load(cls, path: Path) -> NoveltyIndex:
        """Read a file that `save` wrote. Raises NoveltyError if it is damaged or of another format,
        OSError if it cannot be opened."""
        repair = "delete it, it will be built again"
        data = path.read_bytes()
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                if about["format"] != _FORMAT:
                    raise NoveltyError(f"{path} was written by another version: {repair}")
                notes = _Notes(
                    names=tuple((str(tune_id), str(title)) for tune_id, title in about["names"]),
                    lengths=file["lengths"].astype(np.int32),
                    pitches=file["pitches"].astype(np.int16),
                    waits=file["waits"].astype(np.uint16),
                    bars=file["bars"].astype(np.int16),
                    places=file["places"].astype(np.uint16),
                )
                source = str(about["source"])
        except NoveltyError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, TypeError):
            raise NoveltyError(f"{path} is damaged or no index of tunes: {repair}") from None
        count = int(notes.lengths.sum())
        arrays = (notes.pitches, notes.waits, notes.bars, notes.places)
        if any(array.shape != (count,) for array in arrays) or len(notes.names) != len(
            notes.lengths
        ):
            raise NoveltyError(f"{path} is damaged, its parts do not fit together: {repair}")
        return cls(notes, source)

    def nearest(self, tune: Tune | str) -> Nearest:
        """The most similar tune; one that the query is a copy of comes before all others.

        Raises AbcError for text that is no tune, NoveltyError for a tune of fewer than six notes.
        """
        if isinstance(tune, str):
            tune = parse_tune(tune)
        melody = Melody.of(tune)
        if len(melody.pitches) < RUN:
            raise NoveltyError(
                f"the tune has {len(melody.pitches)} notes: "
                f"at least {RUN} are needed to compare it with others"
            )
        tunes, begins, theirs = self._shared_runs(melody)
        similarity = self._similarity(melody, tunes, begins, theirs)
        shared_bars = self._shared_bars(melody)
        passages = _Passages.of(tunes, begins, theirs)
        longest = passages.longest(len(self))
        copied = _copied(similarity, shared_bars, longest)
        order = np.lexsort((-longest, -shared_bars, -similarity, ~copied))
        best = int(order[0])  # the sort is stable: of equals the first
        known = similarity[best] > 0 or shared_bars[best] > 0
        tune_id, title = self._notes.names[best] if known else ("", "")
        return Nearest(
            tune_id=tune_id,
            title=title,
            similarity=float(similarity[best]),
            shared_bars=float(shared_bars[best]),
            longest_passage=self._passage(tune, melody, *passages.first_longest(best))
            if longest[best]
            else None,
        )

    def _shared_runs(self, melody: Melody) -> tuple[NDArray[np.int64], ...]:
        """Runs of the query found in the corpus, (H,) each: tune, first note there, first note
        among all notes of the corpus."""
        hashes = run_hashes(step_codes(melody.pitches, melody.waits), RUN)
        begins, found = _matches(self._run_hashes, hashes)
        theirs = self._run_begins[found].astype(np.int64)
        return self._tune_of[theirs].astype(np.int64), begins, theirs

    def _similarity(
        self,
        melody: Melody,
        tunes: NDArray[np.int64],
        begins: NDArray[np.int64],
        theirs: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """(tunes,) as `Nearest.similarity` says."""
        count = len(melody.pitches)
        moved = (self._notes.pitches[theirs].astype(np.int64) - melody.pitches[begins]) % 12
        found = np.unique((tunes * 12 + moved) * count + begins)
        pairs, begins = found // count, found % count
        added = np.full(len(found), RUN)  # notes that a run adds to those before it
        again = pairs[1:] == pairs[:-1]
        added[1:][again] = np.minimum(RUN, np.diff(begins)[again])
        covered = np.bincount(pairs, weights=added, minlength=12 * len(self))
        return covered.reshape(-1, 12).max(axis=1) / count

    def _shared_bars(self, melody: Melody) -> NDArray[np.float64]:
        """(tunes,) as `Nearest.shared_bars` says."""
        firsts, lasts = _bar_ends(melody.bars, np.array([len(melody.bars)]))
        if not len(firsts):
            return np.zeros(len(self))
        steps = step_codes(melody.pitches, melody.waits)
        bars, found = _matches(self._bar_hashes, bar_hashes(steps, melody.places, firsts, lasts))
        moved = (self._bar_pitches[found] - melody.pitches[firsts[bars]]) % 12
        pairs = np.unique((self._bar_tunes[found] * 12 + moved) * len(firsts) + bars) // len(firsts)
        shared = np.bincount(pairs, minlength=12 * len(self))
        return shared.reshape(-1, 12).max(axis=1) / len(firsts)

    def _passage(
        self, tune: Tune, melody: Melody, begin: int, their_begin: int, notes: int
    ) -> Passage:
        offset = int(melody.offsets[begin])
        line, column, _ = locate(tune.source, Span(offset, offset + 1), tune.first_line)
        return Passage(
            notes=notes,
            bars=round(int(melody.waits[begin : begin + notes - 1].sum(dtype=int)) / BAR, 2),
            line=line,
            column=column,
            bar=int(melody.bars[begin]),
            corpus_bar=int(self._notes.bars[their_begin]),
        )


@dataclass(frozen=True)
class _Passages:
    """Shared runs that follow each other in both tunes, joined; (P,) each."""

    tunes: NDArray[np.int64]
    begins: NDArray[np.int64]  # first note in the query
    theirs: NDArray[np.int64]  # first note among all notes of the corpus
    notes: NDArray[np.int64]

    @classmethod
    def of(
        cls, tunes: NDArray[np.int64], begins: NDArray[np.int64], theirs: NDArray[np.int64]
    ) -> _Passages:
        # theirs - begins stays the same along a passage; no run reaches from one tune into the next
        apart = theirs - begins
        order = np.lexsort((begins, apart))
        tunes, begins, theirs, apart = (x[order] for x in (tunes, begins, theirs, apart))
        new = np.ones(len(order), dtype=bool)
        new[1:] = (np.diff(begins) != 1) | (np.diff(apart) != 0)
        first = np.flatnonzero(new)
        runs = np.diff(np.append(first, len(order)))
        return cls(tunes[first], begins[first], theirs[first], runs + RUN - 1)

    def longest(self, count: int) -> NDArray[np.int64]:
        """(count,) notes of the longest passage of each tune, 0 where there is none."""
        longest = np.zeros(count, dtype=np.int64)
        np.maximum.at(longest, self.tunes, self.notes)
        return longest

    def first_longest(self, tune: int) -> tuple[int, int, int]:
        """(first note in the query, first note in the corpus, notes) of a tune's longest passage;
        of several as long the first in the query."""
        own = np.flatnonzero(self.tunes == tune)
        best = own[np.lexsort((self.theirs[own], self.begins[own], -self.notes[own]))[0]]
        return int(self.begins[best]), int(self.theirs[best]), int(self.notes[best])


def _bar_begins(bars: NDArray[np.int16], tune_ends: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a note is the first of its bar."""
    begins = np.diff(bars, prepend=0) != 0
    begins[tune_ends[:-1]] = True
    return begins


def _bar_ends(
    bars: NDArray[np.int16], tune_ends: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First note of each bar that counts, and the note after its last."""
    firsts = np.flatnonzero(_bar_begins(bars, tune_ends)).astype(np.int32)
    lasts = np.append(firsts[1:], len(bars)).astype(np.int32)
    counts = lasts - firsts >= BAR_NOTES
    return firsts[counts], lasts[counts]


def _matches(
    known: NDArray[np.uint64], wanted: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All (place in wanted, place in known) of equal hashes; `known` is sorted."""
    left = np.searchsorted(known, wanted, "left")
    counts = np.searchsorted(known, wanted, "right") - left
    places = np.repeat(np.arange(len(wanted)), counts)
    within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places, left[places] + within


DEFAULT_BOOKS = CorpusConfig(Path()).books


def corpus_index(home: Path, books: tuple[str, ...] = DEFAULT_BOOKS) -> NoveltyIndex:
    """The index of music21's default books, kept in HOME/novelty.npz; built on first use.

    It is built again when a book's file has changed or the file is damaged. Ids are
    "book/file:line", where the tune begins. Raises CorpusError if the books are not installed.
    """
    path, source = home / FILE_NAME, _books_hash(books)
    try:
        index = NoveltyIndex.load(path)
        if index.source == source:
            return index
    except FileNotFoundError:
        pass
    except (NoveltyError, OSError) as error:
        log.warning("%s", error)
    index = NoveltyIndex.of(_printed_tunes(books), source)
    try:
        index.save(path)
    except OSError as error:
        log.warning("%s cannot be written (%s): the books are read at each start", path, error)
    return index


def _books_hash(books: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for book, path in source_files(CorpusConfig(Path(), books=books)):
        data = path.read_bytes()
        digest.update(f"{book.name}/{path.name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _printed_tunes(books: tuple[str, ...]) -> Iterator[tuple[str, str, Tune]]:
    for book, path in source_files(CorpusConfig(Path(), books=books)):
        for part in split_tunes(decode_bytes(path.read_bytes())):
            try:
                tune = parse_tune(part)
            except AbcError:
                continue
            yield f"{book.name}/{path.name}:{part.line}", tune.title, tune


def compare_file(index: NoveltyIndex, path: Path) -> list[dict[str, Any]]:
    """Each tune of an ABC file beside its nearest corpus tune, as JSON objects.

    {"line", "title", "copy", "nearest": {the fields of Nearest}}, or {"line", "title", "error"} for
    a tune that cannot be compared. Raises NoveltyError if the file holds no tune.
    """
    records: list[dict[str, Any]] = []
    unreadable: list[AbcError] = []
    for part in split_tunes(decode_bytes(path.read_bytes())):
        record: dict[str, Any] = {"line": part.line, "title": ""}
        records.append(record)
        try:
            tune = parse_tune(part)
            record["title"] = tune.title
            nearest = index.nearest(tune)
        except AbcError as error:
            unreadable.append(error)
            record["error"] = error.message
        except NoveltyError as error:
            record["error"] = str(error)
        else:
            record |= {"copy": is_copy(nearest), "nearest": asdict(nearest)}
    if len(unreadable) == len(records):
        raise NoveltyError(f"{path}:{unreadable[0]}" if records else f"{path} holds no tune")
    return records


def describe(record: dict[str, Any]) -> str:
    """One of `compare_file`'s objects as a line or two for people."""
    name = f"{record['title'] or 'untitled tune'} (line {record['line']})"
    if "error" in record:
        return f"{name}: {record['error']}"
    nearest = record["nearest"]
    if not nearest["tune_id"]:
        return f"{name}: new; nothing in common with any tune of the corpus"
    text = (
        f"{name}: {'a copy of' if record['copy'] else 'new; nearest is'} "
        f"{nearest['title'] or 'an untitled tune'} ({nearest['tune_id']}): "
        f"similarity {nearest['similarity']:.2f}, {nearest['shared_bars']:.0%} of the bars"
    )
    if (passage := nearest["longest_passage"]) is not None:
        text += (
            f"\n    longest shared passage: {passage['notes']} notes from bar {passage['bar']} "
            f"({passage['line']}:{passage['column']}), there from bar {passage['corpus_bar']}"
        )
    return text
