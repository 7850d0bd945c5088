"""Files of tunes, pairs and votes: JSON Lines, and the label files of lm-human-preferences.

A file of votes is taken in within one transaction. A line that cannot be used is refused with its
reason and the others are kept. What a line is: prefs/json_records.py and prefs/lm_preferences.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from prefs.json_files import entries, readable, write_json_lines, write_whole
from prefs.json_records import (
    FormatError,
    Json,
    is_broken,
    pair_from_json,
    pair_json,
    tune_from_json,
    tune_json,
    vote_from_json,
    vote_json,
)
from prefs.lm_preferences import IMPORTED, Ballot, Codec, Row, ballots, read_row, rows_of
from prefs.records import Pair, TuneRecord
from prefs.store import ACCEPTED, DUPLICATE, Fate, NewVote, Store

VoteFormat: TypeAlias = Literal["jsonl", "lm-human-preferences"]
FORMATS: tuple[VoteFormat, ...] = ("jsonl", "lm-human-preferences")


@dataclass(frozen=True)
class Refusal:
    """A line that was not taken in, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What became of a file: votes that were added, votes that were there, lines left out."""

    accepted: int
    duplicates: int
    refused: tuple[Refusal, ...]

    def json(self) -> Json:
        return {**asdict(self), "refused": [asdict(refusal) for refusal in self.refused]}


# Votes


def export_votes(
    store: Store,
    path: Path,
    *,
    format: VoteFormat = "jsonl",
    codec: Codec | None = None,
) -> int:
    """Writes the votes that count, and those on broken tunes marked as such; returns how many.

    With a codec lm-human-preferences gets token ids instead of texts. A file of that name is
    replaced once the new one is whole.
    """
    broken = [row.vote for row in store.history() if row.action == "broken"]
    votes = [(vote, False) for vote in store.votes()] + [(vote, True) for vote in broken]
    if format == "jsonl":
        write_json_lines(path, (vote_json(vote, broken=mark) for vote, mark in votes))
        return len(votes)
    pairs = {pair.id: pair for pair in store.pairs()}
    tunes = {tune.id: tune for tune in store.tunes()}
    rows = []
    for vote, mark in votes:
        pair = pairs[vote.pair_id]
        both = (tunes[pair.first], tunes[pair.second])
        rows += rows_of(vote, pair, both, broken=mark, codec=codec)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    write_whole(path, f"[\n{lines}\n]\n" if rows else "[]\n")
    return len(votes)


def import_votes(
    store: Store, path: Path, *, rater: str = IMPORTED, codec: Codec | None = None
) -> ImportReport:
    """Takes in a file of votes of either format; what it is shows in the file itself.

    A row of lm-human-preferences that names no rater is `rater`'s, and one that holds token ids
    needs a codec. Raises FormatError for a file that holds neither format, StoreError if the
    database cannot be written; then nothing was taken in.
    """
    found = list(entries(path))
    first = next((data for _, data in found if isinstance(data, dict)), {})
    if "sample0" in first or "query" in first:
        return _import_rows(store, found, rater, codec)
    return _import_lines(store, found)


def _import_lines(store: Store, found: list[tuple[int, object]]) -> ImportReport:
    refused = []
    votes = []
    for line, data in found:
        try:
            vote = vote_from_json(readable(data))
            votes.append((line, NewVote(vote, broken=is_broken(readable(data)))))
        except FormatError as error:
            refused.append(Refusal(line, str(error)))
    fates = store.take_in([vote for _, vote in votes])
    lines = [(line,) for line, _ in votes]
    return _report(zip(lines, fates, strict=True), refused)


def _import_rows(
    store: Store, found: list[tuple[int, object]], rater: str, codec: Codec | None
) -> ImportReport:
    refused = []
    rows = []
    material = _Material(store)
    for line, data in found:
        try:
            row = read_row(readable(data), line, rater, codec)
            material.add(row)
            rows.append(row)
        except FormatError as error:
            refused.append(Refusal(line, str(error)))
    made: list[Ballot] = []
    again = 0
    for ballot in ballots(rows):
        reason = ballot.reason or material.lacks(ballot.rows[0].pair)
        if reason is None:
            made.append(ballot)
            again += ballot.repeated
        else:
            refused += [Refusal(row.line, reason) for row in ballot.rows]
    votes = [NewVote(ballot.vote, broken=ballot.rows[0].broken) for ballot in made]
    pairs, tunes = material.of(ballot.rows[0].pair for ballot in made)
    fates = store.take_in(votes, tunes=tunes, pairs=pairs)
    lines = [tuple(row.line for row in ballot.rows) for ballot in made]
    return _report(zip(lines, fates, strict=True), refused, duplicates=again)


class _Material:
    """The tunes and pairs of a file's rows beside those of the store, all in agreement."""

    def __init__(self, store: Store) -> None:
        self._tunes = {tune.id: tune for tune in store.tunes()}
        self._pairs = {pair.id: pair for pair in store.pairs()}

    def add(self, row: Row) -> None:
        """Raises FormatError for a row that speaks of a known tune or pair in another way."""
        if (known := self._pairs.get(row.pair.id)) is not None:
            texts = [self._tunes[id].abc for id in (known.first, known.second)]
            if texts != [tune.abc for tune in row.tunes]:
                raise FormatError(f"its tunes are not those of pair {known.id!r}")
            return
        for tune in row.tunes:
            there = self._tunes.get(tune.id, tune)
            if (there.abc, there.model) != (tune.abc, tune.model):
                raise FormatError(f"tune {tune.id!r} is there with another text or model")
        self._tunes.update((tune.id, self._tunes.get(tune.id, tune)) for tune in row.tunes)
        self._pairs[row.pair.id] = row.pair

    def lacks(self, pair: Pair) -> str | None:
        """What keeps the pair out of the store, if anything does."""
        known = self._pairs[pair.id].repeat_of
        if known is None or known in self._pairs:
            return None
        return f"it repeats pair {known!r}, which is neither in the file nor in the store"

    def of(self, pairs: Iterable[Pair]) -> tuple[list[Pair], list[TuneRecord]]:
        """The pairs, what they repeat before them, and their tunes, each once."""
        wanted: dict[str, Pair] = {}
        for pair in pairs:
            chain = [self._pairs[pair.id]]
            while (before := chain[-1].repeat_of) is not None and before not in wanted:
                if before not in self._pairs or any(before == known.id for known in chain):
                    break
                chain.append(self._pairs[before])
            wanted.update((known.id, known) for known in reversed(chain))
        names = {id: None for pair in wanted.values() for id in (pair.first, pair.second)}
        return list(wanted.values()), [self._tunes[id] for id in names]


def _report(
    fates: Iterable[tuple[tuple[int, ...], Fate]], refused: list[Refusal], duplicates: int = 0
) -> ImportReport:
    accepted = 0
    for lines, fate in fates:
        if fate == ACCEPTED:
            accepted += 1
        elif fate == DUPLICATE:
            duplicates += 1
        else:
            refused = refused + [Refusal(line, fate) for line in lines]
    return ImportReport(accepted, duplicates, tuple(sorted(refused, key=lambda one: one.line)))


# Tunes and pairs


def write_tunes(path: Path, tunes: Iterable[TuneRecord]) -> None:
    write_json_lines(path, map(tune_json, tunes))


def write_pairs(path: Path, pairs: Iterable[Pair], store: Store, *, blind: bool = True) -> None:
    """Blind: what a rater may see, to be rated elsewhere. Otherwise all that read_pairs needs."""
    chosen = list(pairs)
    names = list(dict.fromkeys(id for pair in chosen for id in (pair.first, pair.second)))
    tunes = {tune.id: tune for tune in store.tunes(names)}
    objects = (pair_json(p, tunes[p.first], tunes[p.second], blind=blind) for p in chosen)
    write_json_lines(path, objects)


def read_tunes(path: Path) -> list[TuneRecord]:
    """Raises FormatError at the first line that is no tune."""
    return [_placed(tune_from_json, data, path, line) for line, data in entries(path)]


def read_pairs(path: Path) -> list[Pair]:
    """Raises FormatError at the first line that is no pair with all its details."""
    return [_placed(pair_from_json, data, path, line) for line, data in entries(path)]


def _placed(read: Any, data: object, path: Path, line: int) -> Any:
    try:
        return read(readable(data))
    except FormatError as error:
        raise FormatError(f"{path}:{line}: {error}") from None
