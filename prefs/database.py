"""Connections to the votes database, SQLite or PostgreSQL, and what its errors mean to a user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

CONNECT_SECONDS = 5

# (part of the driver's message, what it means and what to do); the first that fits is said.
MEANINGS = (
    ("locked", "is locked by another program, nothing was saved: close it there and try again"),
    ("lock timeout", "is locked by another program, nothing was saved: try again"),
    ("readonly", "is read-only, nothing was saved: allow writing to it or choose another --home"),
    ("read-only", "is read-only, nothing was saved: allow writing to it"),
    ("is full", "cannot grow, nothing was saved: the disk is full, make room and try again"),
    ("no space left", "cannot grow, nothing was saved: the disk is full, make room and try again"),
    ("disk i/o error", "cannot be read or written, nothing was saved: is its disk full or faulty?"),
    ("not a database", "is not an SQLite database: move that file away or choose another --home"),
    ("malformed", "is damaged: put a copy of it back in its place"),
    ("unable to open", "cannot be opened: does its folder exist and may you write there?"),
)


class StoreError(Exception):
    """The store could not do what was asked, and nothing of it was saved; one line for the user."""


def database_url(home: Path) -> str:
    """$MUSICGEN_DATABASE_URL, or the SQLite file votes.db in the home folder."""
    named = os.environ.get("MUSICGEN_DATABASE_URL")
    # an absolute path: a later change of folder must not begin another database
    return named or f"sqlite:///{(home / 'votes.db').absolute()}"


def connect(url: str, *, lock_seconds: float) -> sa.Engine:
    """An engine whose commits are on disk when they return; StoreError for a URL it cannot use."""
    try:
        address = sa.make_url(url)
    except ArgumentError:
        raise StoreError(
            f"{url!r} is no database URL; sqlite:///votes.db or postgresql://HOST/NAME is one"
        ) from None
    match address.get_backend_name():
        case "sqlite":
            return _sqlite(address, lock_seconds)
        case "postgresql" | "postgres":
            return _postgresql(address, lock_seconds)
        case other:
            raise StoreError(f"votes are kept in SQLite or PostgreSQL, not in {other}")


def _sqlite(address: sa.URL, lock_seconds: float) -> sa.Engine:
    if address.database in (None, "", ":memory:"):
        raise StoreError("votes in memory would be lost; name a file: sqlite:///votes.db")
    engine = sa.create_engine(address, connect_args={"timeout": lock_seconds})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is sent below, not guessed by the driver
        connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A transaction that reads before it writes must hold the write lock from its start, or
        # SQLite refuses the write as soon as somebody else wrote in between.
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(address: sa.URL, lock_seconds: float) -> sa.Engine:
    try:
        engine = sa.create_engine(
            address.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": CONNECT_SECONDS},
            pool_pre_ping=True,  # a server that was restarted is found again
        )
    except (ImportError, NoSuchModuleError):
        raise StoreError(
            'PostgreSQL needs one more package: pip install "psycopg[binary]"'
        ) from None

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")  # a commit survives a power cut
            cursor.execute(f"SET lock_timeout = {round(lock_seconds * 1000)}")
        connection.commit()

    return engine


def file_of(engine: sa.Engine) -> tuple[Path, int] | None:
    """The file of an SQLite database and its number on the disk; None for any other database."""
    path = Path(engine.url.database or "")
    if engine.dialect.name != "sqlite" or not path.is_file():  # file:... URLs are not looked into
        return None
    return path, path.stat().st_ino


def check_in_place(file: tuple[Path, int] | None) -> None:
    """Raises StoreError if the file was moved or deleted: SQLite writes on without a word."""
    if file is None:
        return
    path, number = file
    try:
        if path.stat().st_ino == number:
            return
    except OSError:
        pass
    raise StoreError(
        f"the votes database {path} was moved or deleted, nothing was saved: "
        "put it back, then start musicgen again"
    )


@contextmanager
def told_plainly(engine: sa.Engine) -> Iterator[None]:
    """Turns an error of the database into a StoreError of one line, without its password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"the votes database {_place(engine.url)} {_meaning(error)}") from error


def _place(address: sa.URL) -> str:
    if address.get_backend_name() == "sqlite":
        return str(address.database)
    return f"{address.host or 'localhost'}/{address.database}"


def _meaning(error: SQLAlchemyError) -> str:
    reason = str(getattr(error, "orig", None) or error)
    for part, meaning in MEANINGS:
        if part in reason.lower():
            return meaning
    first_line = next(iter(reason.splitlines()), type(error).__name__)
    return f"did not answer, nothing was saved: {first_line}"
