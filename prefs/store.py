"""Tunes, pairs and votes in a database. Nothing is ever changed or deleted: an undo is a new row.

SQLite in WAL mode with full synchronisation by default, PostgreSQL by URL. What a method that
writes was given is on disk when it returns. Use one Store a process (after a fork, open another);
its methods may be called from several threads, and several processes may share one database.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from prefs import rows
from prefs.database import (
    StoreError,
    check_in_place,
    connect,
    database_url,
    file_of,
    told_plainly,
)
from prefs.records import CHOICES, Pair, PairKind, TuneRecord, Vote
from prefs.rows import Action, VoteRow
from prefs.schema import LONGEST_MS, MODELS, PAIRS, RATERS, TUNES, VOTES, is_storable, update_schema

__all__ = [
    "ACCEPTED", "DUPLICATE", "Fate", "NewVote", "Store", "StoreError", "UnknownPair", "VoteRow",
    "database_url", "open_store",
]  # fmt: skip

Fate: TypeAlias = str  # ACCEPTED, DUPLICATE, or in words why a vote was refused

ACCEPTED: Fate = "accepted"
DUPLICATE: Fate = "duplicate"
LOCK_SECONDS = 10.0


class UnknownPair(StoreError):
    """A pair that is not in the store."""


@dataclass(frozen=True)
class NewVote:
    """A vote from elsewhere; a broken one is stored and never counts."""

    vote: Vote
    broken: bool = False


def open_store(url: str, *, lock_seconds: float = LOCK_SECONDS) -> Store:
    """The store at a database URL, created or brought up to date.

    A call that finds the database locked waits up to `lock_seconds`. Raises StoreError for a
    database that cannot be opened, is another program's, or was written by a newer musicgen.
    """
    engine = connect(url, lock_seconds=lock_seconds)
    try:
        with told_plainly(engine):
            update_schema(engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


class Store:
    """Votes and what they are about; see open_store. Every method may raise StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        # Threads of one process queue up here: SQLite's own waiting is neither fair nor quick.
        self._one_writer = threading.Lock()
        self._file = file_of(engine)

    def close(self) -> None:
        self._engine.dispose()

    # Tunes and pairs

    def add_tunes(self, tunes: Iterable[TuneRecord]) -> None:
        """Adds all or none; a tune that is there with the same text and model stays as it is."""
        with self._writing() as connection:
            self._add_tunes(connection, tunes)

    def add_pairs(self, pairs: Iterable[Pair]) -> None:
        """Adds all or none; the tunes of each must be there, and the pair that it repeats."""
        with self._writing() as connection:
            self._add_pairs(connection, pairs)

    def tune(self, id: str) -> TuneRecord:
        return self.tunes([id])[0]

    def tunes(self, ids: Iterable[str] | None = None) -> list[TuneRecord]:
        """The named tunes, in the order given, or all; StoreError if one is not there."""
        with self._reading() as connection:
            if ids is None:
                query = sa.select(TUNES).order_by(TUNES.c.created, TUNES.c.id)
                return [rows.tune_of(row) for row in connection.execute(query)]
            wanted = list(ids)
            found = rows.by_id(connection, TUNES, wanted)
        for id in wanted:
            if id not in found:
                raise StoreError(f"there is no tune {id!r} in the store")
        return [rows.tune_of(found[id]) for id in wanted]

    def pair(self, id: str) -> Pair:
        with self._reading() as connection:
            found = rows.by_id(connection, PAIRS, [id])
        if id not in found:
            raise _unknown_pair(id)
        return rows.pair_of(found[id])

    def pairs(self, kind: PairKind | None = None) -> list[Pair]:
        query = sa.select(PAIRS).order_by(PAIRS.c.created, PAIRS.c.id)
        if kind is not None:
            query = query.where(PAIRS.c.kind == kind)
        with self._reading() as connection:
            return [rows.pair_of(row) for row in connection.execute(query)]

    def models(self) -> list[str]:
        """Names of the models that wrote the tunes."""
        with self._reading() as connection:
            return list(connection.scalars(sa.select(MODELS.c.name).order_by(MODELS.c.name)))

    # Votes

    def cast(self, vote: Vote, *, token: str | None = None) -> bool:
        """Saves a vote; False if this very vote was there already, so that a retry is harmless.

        The very same vote has the same token, or the same choice as the vote of this rater on
        this pair that counts now. Another choice is a new row, and the latest counts.
        """
        _check(vote)
        with self._writing() as connection:
            if not rows.lock_pair(connection, vote.pair_id):
                raise _unknown_pair(vote.pair_id)
            if token is not None and (known := rows.row_of_token(connection, token)) is not None:
                if not _say_the_same(known.vote, vote):
                    raise StoreError(f"the token {token!r} belongs to another vote: use a new one")
                return False
            counting = rows.counting(rows.rows_of(connection, vote.pair_id, vote.rater))
            if counting is not None and counting.vote.choice == vote.choice:
                return False
            self._add_row(connection, "vote", vote, token=token)
        return True

    def undo(self, pair_id: str, rater: str, at: str = "") -> bool:
        """Takes back the vote that counts, so that the one before it does; False if none does."""
        with self._writing() as connection:
            if not rows.lock_pair(connection, pair_id):
                raise _unknown_pair(pair_id)
            counting = rows.counting(rows.rows_of(connection, pair_id, rater))
            if counting is None:
                return False
            vote = Vote(pair_id, counting.vote.choice, rater, at=at)
            self._add_row(connection, "undo", vote, undoes=counting.number)
        return True

    def votes(self, rater: str | None = None) -> list[Vote]:
        """Those that count: of each pair and rater the latest that was not undone, skips too."""
        query = sa.select(VOTES).where(VOTES.c.number.in_(rows.standing()))
        if rater is not None:
            query = query.where(VOTES.c.rater == rater)
        with self._reading() as connection:
            found = connection.execute(query.order_by(VOTES.c.number))
            return [rows.vote_row_of(row).vote for row in found]

    def history(self) -> list[VoteRow]:
        """Every row ever added, in order: votes, undos and verdicts on broken tunes."""
        with self._reading() as connection:
            found = connection.execute(sa.select(VOTES).order_by(VOTES.c.number))
            return [rows.vote_row_of(row) for row in found]

    def last_row(self) -> int:
        """Number of the row of votes that was added last, 0 before the first."""
        with self._reading() as connection:
            return connection.scalar(sa.select(sa.func.max(VOTES.c.number))) or 0

    def raters(self) -> list[str]:
        """Everybody who ever voted."""
        with self._reading() as connection:
            return list(connection.scalars(sa.select(RATERS.c.id).order_by(RATERS.c.id)))

    def take_in(
        self,
        votes: Sequence[NewVote],
        *,
        tunes: Iterable[TuneRecord] = (),
        pairs: Iterable[Pair] = (),
    ) -> list[Fate]:
        """Adds votes from elsewhere, with what they are about, in one transaction.

        Returns what became of each vote. Unlike a vote cast here, one that contradicts the vote
        that counts is refused, and one that was undone here does not come back.
        """
        with self._writing() as connection:
            self._add_tunes(connection, tunes)
            self._add_pairs(connection, pairs)
            return [self._take_in_one(connection, new) for new in votes]

    # Inside a transaction

    def _take_in_one(self, connection: sa.Connection, new: NewVote) -> Fate:
        vote = new.vote
        try:
            _check(vote)
        except StoreError as error:
            return str(error)
        action: Action = "broken" if new.broken else "vote"
        if not rows.lock_pair(connection, vote.pair_id):
            return str(_unknown_pair(vote.pair_id))
        said = rows.rows_of(connection, vote.pair_id, vote.rater)
        if any(row.action == action and row.vote == vote for row in said):
            return DUPLICATE
        counting = rows.counting(said)
        if action == "vote" and counting is not None:
            if counting.vote.choice == vote.choice:
                return DUPLICATE
            return (
                f"contradicts the vote of {vote.rater!r} on pair {vote.pair_id!r} that is there: "
                f"{counting.vote.choice!r}, not {vote.choice!r}"
            )
        self._add_row(connection, action, vote)
        return ACCEPTED

    def _add_tunes(self, connection: sa.Connection, tunes: Iterable[TuneRecord]) -> None:
        for tune in tunes:
            self._add(connection, MODELS, name=tune.model)
            if self._add(connection, TUNES, **rows.columns(tune)):
                continue
            there = rows.tune_of(rows.by_id(connection, TUNES, [tune.id])[tune.id])
            if (there.abc, there.model) != (tune.abc, tune.model):
                raise StoreError(
                    f"tune {tune.id!r} is in the store with another text or model "
                    f"({there.model!r} there, {tune.model!r} here): give it another id"
                )

    def _add_pairs(self, connection: sa.Connection, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            known = rows.by_id(connection, TUNES, [pair.first, pair.second])
            for id in (pair.first, pair.second):
                if id not in known:
                    raise StoreError(f"pair {pair.id!r} names a tune that is not there: {id!r}")
            if pair.repeat_of is not None and not rows.lock_pair(connection, pair.repeat_of):
                raise _unknown_pair(pair.repeat_of)
            if self._add(connection, PAIRS, **rows.columns(pair)):
                continue
            there = rows.pair_of(rows.by_id(connection, PAIRS, [pair.id])[pair.id])
            if (there.first, there.second, there.kind) != (pair.first, pair.second, pair.kind):
                raise StoreError(f"pair {pair.id!r} is in the store with other tunes or kind")

    def _add_row(
        self,
        connection: sa.Connection,
        action: Action,
        vote: Vote,
        *,
        token: str | None = None,
        undoes: int | None = None,
    ) -> None:
        self._add(connection, RATERS, id=vote.rater)
        values = {
            "action": action,
            "pair_id": vote.pair_id,
            "rater": vote.rater,
            "choice": vote.choice,
            "listened_first_ms": vote.listened_ms[0],
            "listened_second_ms": vote.listened_ms[1],
            "at": vote.at,
            "token": token,
            "undoes": undoes,
        }
        connection.execute(VOTES.insert().values(values))

    def _add(self, connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
        """Adds a row unless one of its name is there; says whether it did."""
        statement = self._insert(table).values(values).on_conflict_do_nothing()
        return connection.execute(statement).rowcount == 1

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with told_plainly(self._engine), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        engine = self._engine.execution_options(writing=True)
        with self._one_writer, told_plainly(self._engine), engine.begin() as connection:
            yield connection
        check_in_place(self._file)


def _check(vote: Vote) -> None:
    if vote.choice not in CHOICES:
        raise StoreError(f"{vote.choice!r} is no choice; these are: {', '.join(CHOICES)}")
    if not vote.rater:
        raise StoreError("a vote needs the name of its rater")
    if not (is_storable(vote.rater) and is_storable(vote.at)):
        raise StoreError("a vote's rater or time holds a character that no text may hold")
    if not all(type(ms) is int and 0 <= ms <= LONGEST_MS for ms in vote.listened_ms):
        raise StoreError("how long a vote's tunes were heard is not in whole milliseconds")


def _say_the_same(one: Vote, other: Vote) -> bool:
    return (one.pair_id, one.rater, one.choice) == (other.pair_id, other.rater, other.choice)


def _unknown_pair(id: str) -> UnknownPair:
    return UnknownPair(f"there is no pair {id!r} in the store")
