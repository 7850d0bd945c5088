"""The tables of the store, their version, and the steps that bring an older database up to it.

Votes are only ever added: nothing in this project updates or deletes a row of any table.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from prefs.database import StoreError

SCHEMA_LOCK = 7063112  # an arbitrary number; whoever creates the tables holds it (PostgreSQL)
WAL_SECONDS = 5.0
LONGEST_MS = 2**31 - 1  # what an integer column holds: 24 days

METADATA = sa.MetaData()

SCHEMA = sa.Table("musicgen_schema", METADATA, sa.Column("version", sa.Integer, primary_key=True))

MODELS = sa.Table("models", METADATA, sa.Column("name", sa.Text, primary_key=True))

TUNES = sa.Table(
    "tunes",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("abc", sa.Text, nullable=False),
    sa.Column("model", sa.ForeignKey("models.name"), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
)

PAIRS = sa.Table(
    "pairs",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("first", sa.ForeignKey("tunes.id"), nullable=False),
    sa.Column("second", sa.ForeignKey("tunes.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("opening", sa.Text, nullable=False),
    sa.Column("repeat_of", sa.ForeignKey("pairs.id")),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
)

RATERS = sa.Table("raters", METADATA, sa.Column("id", sa.Text, primary_key=True))

VOTES = sa.Table(
    "votes",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),  # in the order in which they came
    sa.Column("action", sa.Text, nullable=False),  # vote, undo or broken
    sa.Column("pair_id", sa.ForeignKey("pairs.id"), nullable=False),
    sa.Column("rater", sa.ForeignKey("raters.id"), nullable=False),
    sa.Column("choice", sa.Text, nullable=False),
    sa.Column("listened_first_ms", sa.Integer, nullable=False),
    sa.Column("listened_second_ms", sa.Integer, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("token", sa.Text, unique=True),  # the page's own name for a vote that it may retry
    sa.Column("undoes", sa.ForeignKey("votes.number"), unique=True),  # of an undo: which vote
    sa.Index("votes_of_a_pair", "pair_id", "rater"),
    sqlite_autoincrement=True,
)

# UPGRADES[n] brings a database of version n + 1 to version n + 2 with plain SQL of its day; a new
# database gets the tables above at once. Never change a step that was released.
UPGRADES: tuple[Callable[[sa.Connection], None], ...] = ()


def is_storable(text: str) -> bool:
    """Whether every database can hold the text: it has neither NUL nor half a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def newest_version() -> int:
    """The schema version that this program reads and writes."""
    return 1 + len(UPGRADES)


def update_schema(engine: sa.Engine) -> None:
    """Creates the tables or runs the missing steps, all in one transaction.

    A database that is up to date is only read. Raises StoreError for one that a newer program
    wrote, or whose tables are another program's.
    """
    with engine.begin() as connection:
        version = _found_version(connection)
    if version == newest_version():
        return
    if engine.dialect.name == "sqlite":
        _use_write_ahead_log(engine)
    with engine.execution_options(writing=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        _bring_up_to_date(connection, _found_version(connection))


def _found_version(connection: sa.Connection) -> int | None:
    """Schema version of a database; None where there is no store yet."""
    if not sa.inspect(connection).has_table(SCHEMA.name):
        return None
    version = connection.execute(sa.select(sa.func.max(SCHEMA.c.version))).scalar_one()
    if version > newest_version():
        raise StoreError(
            f"the votes were written by a newer musicgen (schema {version}, this one knows "
            f"{newest_version()}): update musicgen, or choose another --home"
        )
    return version


def _bring_up_to_date(connection: sa.Connection, version: int | None) -> None:
    if version == newest_version():  # another process was quicker
        return
    if version is None:
        taken = sorted(set(METADATA.tables) & set(sa.inspect(connection).get_table_names()))
        if taken:
            raise StoreError(
                f"the database holds a table {taken[0]!r} of another program: name another one"
            )
        METADATA.create_all(connection)
    else:
        for upgrade in UPGRADES[version - 1 :]:
            upgrade(connection)
    connection.execute(SCHEMA.insert().values(version=newest_version()))


def _use_write_ahead_log(engine: sa.Engine) -> None:
    """Readers and the one writer no longer wait for each other; the file remembers it.

    SQLite does not wait for the lock that this needs, so several first starts at once would fail.
    """
    raw = engine.raw_connection()
    try:
        give_up = time.monotonic() + WAL_SECONDS
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise OperationalError("PRAGMA journal_mode", {}, error) from error
                time.sleep(0.02)
    finally:
        raw.close()
