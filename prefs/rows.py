"""Rows of the store's tables as records, and the questions asked about them; no writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa

from prefs.records import Pair, TuneRecord, Vote
from prefs.schema import PAIRS, VOTES

Action: TypeAlias = Literal["vote", "undo", "broken"]

PIECE = 500  # ids asked for in one statement; databases have a limit


@dataclass(frozen=True)
class VoteRow:
    """A row of the history: a vote, the undo of one, or a verdict on a broken tune."""

    number: int  # grows with time
    action: Action
    vote: Vote  # of an undo: the choice that it took back
    token: str | None = None
    undoes: int | None = None  # of an undo: the number of the vote that it took back


def columns(record: TuneRecord | Pair) -> dict[str, Any]:
    """The record's fields by name; its options as a dict of their own."""
    return {**asdict(record), "options": dict(record.options)}


def tune_of(row: sa.Row[Any]) -> TuneRecord:
    return TuneRecord(**row._mapping)


def pair_of(row: sa.Row[Any]) -> Pair:
    return Pair(**row._mapping)


def vote_row_of(row: sa.Row[Any]) -> VoteRow:
    listened_ms = (row.listened_first_ms, row.listened_second_ms)
    vote = Vote(row.pair_id, row.choice, row.rater, listened_ms, row.at)
    return VoteRow(row.number, row.action, vote, row.token, row.undoes)


def by_id(connection: sa.Connection, table: sa.Table, ids: Sequence[str]) -> dict[str, sa.Row[Any]]:
    """The rows of those ids that are there."""
    found: dict[str, sa.Row[Any]] = {}
    for start in range(0, len(ids), PIECE):
        query = sa.select(table).where(table.c.id.in_(ids[start : start + PIECE]))
        found.update((row.id, row) for row in connection.execute(query))
    return found


def standing() -> sa.Select[tuple[int]]:
    """Numbers of the votes that count: of each pair and rater the latest that was not undone."""
    undone = sa.select(VOTES.c.undoes).where(VOTES.c.undoes.is_not(None))
    return (
        sa.select(sa.func.max(VOTES.c.number))
        .where(VOTES.c.action == "vote", VOTES.c.number.not_in(undone))
        .group_by(VOTES.c.pair_id, VOTES.c.rater)
    )


def rows_of(connection: sa.Connection, pair_id: str, rater: str) -> list[VoteRow]:
    """All that a rater ever said on a pair, in order."""
    query = sa.select(VOTES).where(VOTES.c.pair_id == pair_id, VOTES.c.rater == rater)
    return [vote_row_of(row) for row in connection.execute(query.order_by(VOTES.c.number))]


def counting(rows: Sequence[VoteRow]) -> VoteRow | None:
    """The vote that counts among one rater's rows on one pair, as `standing` has it."""
    undone = {row.undoes for row in rows}
    votes = [row for row in rows if row.action == "vote" and row.number not in undone]
    return votes[-1] if votes else None


def row_of_token(connection: sa.Connection, token: str) -> VoteRow | None:
    row = connection.execute(sa.select(VOTES).where(VOTES.c.token == token)).one_or_none()
    return None if row is None else vote_row_of(row)


def lock_pair(connection: sa.Connection, pair_id: str) -> bool:
    """Keeps others from voting on the pair until this transaction ends; False: no such pair.

    SQLite has one writer at a time anyway and ignores FOR UPDATE.
    """
    query = sa.select(PAIRS.c.id).where(PAIRS.c.id == pair_id).with_for_update()
    return connection.execute(query).one_or_none() is not None
