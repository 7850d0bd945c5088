"""The store of votes, on a real SQLite file and, where one is named, on a PostgreSQL server.

MUSICGEN_TEST_POSTGRES is the URL of a database in which the tests may make schemas of their own.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from prefs import schema
from prefs.records import Pair, TuneRecord, Vote
from prefs.store import ACCEPTED, DUPLICATE, NewVote, StoreError, database_url, open_store

TUNES = [
    TuneRecord("t1", "X:1\nK:D\n|:dfa afd:|\n", "base", 2**40, {"temperature": 0.9, "row": 3}),
    TuneRecord("t2", "X:1\nK:D\n|:fed cde:|\n", "tuned ü", 0, {}, "2026-11-24T10:00:00+00:00"),
]
PAIRS = [
    Pair("p1", "t1", "t2", "evaluation", options={"top_p": 0.95}),
    Pair("p2", "t1", "t2", "learning", opening="X:1\nK:D\n|:", created="2026-11-24T10:01:00+00:00"),
]
FIRST = Vote("p1", "first", "ann", (4100, 5200), "2026-11-24T10:02:00+00:00")
SECOND = Vote("p1", "second", "ann", (100, 200), "2026-11-24T10:03:00+00:00")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'votes.db'}"
        return
    server = os.environ.get("MUSICGEN_TEST_POSTGRES")
    if not server:
        pytest.skip("MUSICGEN_TEST_POSTGRES names no server; CONTRIBUTING says how to start one")
    name = f"test_{uuid.uuid4().hex}"
    address = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    inside = address.update_query_dict({"options": f"-csearch_path={name}"})
    yield inside.render_as_string(hide_password=False).replace("+psycopg", "")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'votes.db'}"


@pytest.fixture
def opened():
    """Opens stores and closes them when the test ends."""
    stores = []

    def open_one(url, **options):
        stores.append(open_store(url, **options))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def filled(store, pairs=PAIRS):
    store.add_tunes(TUNES)
    store.add_pairs(pairs)
    return store


@pytest.fixture
def store(url, opened):
    """A store with two tunes and two pairs of them."""
    return filled(opened(url))


def alter(url, statement):
    """Runs one statement behind the store's back."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_tunes_and_pairs_come_back_as_they_were(store):
    assert store.tunes() == TUNES
    assert store.tunes(["t2", "t1"]) == [TUNES[1], TUNES[0]]
    assert store.tune("t2") == TUNES[1]
    assert store.pairs() == PAIRS
    assert store.pairs("learning") == [PAIRS[1]]
    assert store.pair("p1") == PAIRS[0]
    assert store.models() == ["base", "tuned ü"]


def test_tunes_and_pairs_may_be_added_again_but_not_changed(store):
    filled(store)
    with pytest.raises(StoreError, match="'t1' is in the store with another text or model"):
        store.add_tunes([TuneRecord("t1", "X:1\nK:G\n", "base", 1)])
    with pytest.raises(StoreError, match=r"\('base' there, 'tuned' here\)"):
        store.add_tunes([TuneRecord("t1", TUNES[0].abc, "tuned", 1)])
    with pytest.raises(StoreError, match="'p1' is in the store with other tunes or kind"):
        store.add_pairs([Pair("p1", "t2", "t1", "evaluation")])
    assert (store.tunes(), store.pairs()) == (TUNES, PAIRS)


def test_of_several_pairs_all_are_added_or_none(store):
    with pytest.raises(StoreError, match="pair 'bad' names a tune that is not there: 't9'"):
        store.add_pairs([Pair("good", "t2", "t1", "learning"), Pair("bad", "t1", "t9", "learning")])
    assert store.pairs() == PAIRS


def test_a_repeat_names_a_pair_that_is_there(store):
    repeat = Pair("p3", "t2", "t1", "learning", repeat_of="p2")
    store.add_pairs([repeat])
    assert store.pair("p3") == repeat
    with pytest.raises(StoreError, match="there is no pair 'p9'"):
        store.add_pairs([Pair("p4", "t2", "t1", "learning", repeat_of="p9")])


def test_the_vote_of_a_closed_store_is_there_when_it_is_opened_again(url, opened):
    filled(first := opened(url))
    assert first.cast(FIRST, token="a")
    first.close()
    again = opened(url)
    assert again.votes() == [FIRST]
    assert again.raters() == ["ann"]


def test_the_same_vote_twice_is_one_vote(store):
    assert store.cast(FIRST, token="a")
    assert not store.cast(FIRST, token="a")
    assert not store.cast(FIRST, token="b")
    assert not store.cast(Vote("p1", "first", "ann"))
    assert len(store.history()) == 1


def test_another_choice_is_a_new_row_and_the_latest_counts(store):
    for vote in (FIRST, SECOND, FIRST, SECOND):
        assert store.cast(vote)
    assert store.votes() == [SECOND]
    choices = [row.vote.choice for row in store.history()]
    assert choices == ["first", "second", "first", "second"]


def test_an_undo_is_a_new_row_and_brings_back_the_vote_before(store):
    store.cast(FIRST)
    store.cast(SECOND)
    assert store.undo("p1", "ann", at="later")
    assert store.votes() == [FIRST]
    assert store.undo("p1", "ann")
    assert store.votes() == []
    assert not store.undo("p1", "ann")
    rows = store.history()
    assert [row.action for row in rows] == ["vote", "vote", "undo", "undo"]
    assert [row.undoes for row in rows] == [None, None, rows[1].number, rows[0].number]
    assert (rows[2].vote.choice, rows[2].vote.at) == ("second", "later")


def test_after_an_undo_the_same_choice_may_be_cast_again(store):
    store.cast(FIRST, token="a")
    store.undo("p1", "ann")
    assert not store.cast(FIRST, token="a"), "a late retry must not undo the undo"
    assert store.votes() == []
    assert store.cast(FIRST, token="b")
    assert store.votes() == [FIRST]


def test_each_rater_has_a_vote_of_their_own_and_skips_are_kept(store):
    bob = Vote("p1", "skip", "bob")
    store.cast(FIRST)
    store.cast(bob)
    store.cast(Vote("p2", "tie", "ann"))
    assert store.votes() == [FIRST, bob, Vote("p2", "tie", "ann")]
    assert store.votes(rater="bob") == [bob]
    store.undo("p1", "bob")
    assert store.votes() == [FIRST, Vote("p2", "tie", "ann")]


@pytest.mark.parametrize(
    ("vote", "said"),
    [
        (Vote("p9", "first", "ann"), "there is no pair 'p9' in the store"),
        (Vote("p1", "both", "ann"), "'both' is no choice; these are: first, second, tie, skip"),
        (Vote("p1", "first", ""), "a vote needs the name of its rater"),
        (
            Vote("p1", "first", "\ud800"),
            "a vote's rater or time holds a character that no text may hold",
        ),
        (
            Vote("p1", "first", "ann", (4100.5, 1)),
            "how long a vote's tunes were heard is not in whole milliseconds",
        ),
    ],
)
def test_a_vote_that_cannot_be_is_refused_in_one_line(store, vote, said):
    with pytest.raises(StoreError) as error:
        store.cast(vote)
    assert str(error.value) == said
    assert store.history() == []


def test_a_token_belongs_to_one_vote(store):
    store.cast(FIRST, token="a")
    for other in (Vote("p2", "first", "ann"), Vote("p1", "first", "bob"), SECOND):
        with pytest.raises(StoreError, match="the token 'a' belongs to another vote"):
            store.cast(other, token="a")
    assert store.votes() == [FIRST]


def test_what_is_not_there_is_named(store):
    with pytest.raises(StoreError, match="there is no tune 't9'"):
        store.tunes(["t1", "t9"])
    with pytest.raises(StoreError, match="there is no pair 'p9'"):
        store.pair("p9")
    with pytest.raises(StoreError, match="there is no pair 'p9'"):
        store.undo("p9", "ann")


def test_votes_from_elsewhere_are_taken_in_one_by_one(store):
    store.cast(FIRST)
    store.cast(Vote("p2", "tie", "ann", at="1"))
    store.undo("p2", "ann")
    broken = NewVote(Vote("p1", "second", "bob"), broken=True)
    fates = store.take_in(
        [
            NewVote(FIRST),
            NewVote(SECOND),
            NewVote(Vote("p2", "tie", "ann", at="1")),
            NewVote(Vote("p9", "tie", "ann")),
            NewVote(Vote("p2", "second", "bob")),
            broken,
            broken,
        ]
    )
    assert fates == [
        DUPLICATE,
        "contradicts the vote of 'ann' on pair 'p1' that is there: 'first', not 'second'",
        DUPLICATE,  # undone here: it does not come back
        "there is no pair 'p9' in the store",
        ACCEPTED,
        ACCEPTED,
        DUPLICATE,
    ]
    assert store.votes() == [FIRST, Vote("p2", "second", "bob")]
    assert [row.vote for row in store.history() if row.action == "broken"] == [broken.vote]


def test_a_file_of_votes_is_taken_in_whole_or_not_at_all(store):
    wrong = Pair("p3", "t1", "t9", "learning")
    with pytest.raises(StoreError):
        store.take_in([NewVote(FIRST)], tunes=[TuneRecord("t3", "X:1\n", "m", 1)], pairs=[wrong])
    assert (store.tunes(), store.history()) == (TUNES, [])


def test_threads_that_send_the_same_votes_at_once_make_one_of_each(store):
    votes = [Vote(pair.id, "tie", f"rater {n}") for pair in PAIRS for n in range(10)]
    start = threading.Barrier(6)

    def send(seed):
        start.wait()
        mixed = random.Random(seed).sample(votes, len(votes))
        return sum(store.cast(vote, token=f"{vote.pair_id} {vote.rater}") for vote in mixed)

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(send, range(6))) == len(votes)
    assert Counter(store.votes()) == Counter(votes)
    assert len(store.history()) == len(votes)


def test_several_first_starts_at_once_make_one_store(url, opened):
    start = threading.Barrier(6)

    def open_at_once(_):
        start.wait()
        return open_store(url)

    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(open_at_once, range(6)))
    filled(stores[0])
    assert [store.cast(FIRST) for store in stores] == [True] + 5 * [False]
    for store in stores:
        store.close()


def test_sqlite_writes_ahead_and_waits_for_the_disk(sqlite_url, opened):
    filled(opened(sqlite_url)).cast(FIRST)
    file = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()
    found = []

    def note_synchronous(connection):
        found.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    sa.event.listen(sa.Engine, "begin", note_synchronous)
    try:
        opened(sqlite_url).cast(SECOND)
    finally:
        sa.event.remove(sa.Engine, "begin", note_synchronous)
    assert set(found) == {2}  # FULL: each commit waits until it is on disk


# Schema versions


def test_a_store_of_an_older_schema_is_brought_up_to_date(store, url, opened, monkeypatch):
    store.cast(FIRST)
    monkeypatch.setattr(schema, "UPGRADES", (add_note, add_weight))
    assert opened(url).votes() == [FIRST]
    alter(url, "UPDATE raters SET note = 'hears well', weight = 2")
    alter(url, "INSERT INTO musicgen_schema VALUES (4)")
    with pytest.raises(StoreError) as error:
        open_store(url)
    assert str(error.value) == (
        "the votes were written by a newer musicgen (schema 4, this one knows 3): "
        "update musicgen, or choose another --home"
    )


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(store, url, opened, monkeypatch):
    store.cast(FIRST)
    with monkeypatch.context() as newer:
        newer.setattr(schema, "UPGRADES", (add_note, lambda c: c.exec_driver_sql("NONSENSE")))
        with pytest.raises(StoreError, match="syntax error"):
            open_store(url)
    assert opened(url).votes() == [FIRST]
    alter(url, "ALTER TABLE raters ADD COLUMN note TEXT")  # the first step was taken back too


def add_note(connection):
    connection.exec_driver_sql("ALTER TABLE raters ADD COLUMN note TEXT")


def add_weight(connection):
    connection.exec_driver_sql("ALTER TABLE raters ADD COLUMN weight INTEGER")


def test_the_tables_of_another_program_are_left_alone(url):
    alter(url, "CREATE TABLE votes (candidate TEXT)")
    with pytest.raises(StoreError, match="holds a table 'votes' of another program"):
        open_store(url)


# Databases that cannot be used


def refused(call, *arguments):
    """The one line with which a call is refused."""
    with pytest.raises(StoreError) as error:
        call(*arguments)
    (line,) = str(error.value).splitlines()
    return line


def test_a_locked_store_says_so_and_the_vote_can_be_sent_again(url, opened):
    store = filled(opened(url, lock_seconds=0.1))
    other = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with other.connect() as connection:
        if url.startswith("sqlite"):
            connection.connection.execute("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("LOCK TABLE votes")
        assert "is locked by another program, nothing was saved" in refused(store.cast, FIRST)
    other.dispose()
    assert store.cast(FIRST)
    assert store.votes() == [FIRST]


def test_a_read_only_store_can_be_read_and_says_that_it_is_read_only(store, url, opened):
    store.cast(FIRST)
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        closed_to_writing = f"sqlite:///file:{path}?mode=ro&uri=true"
    else:
        closed_to_writing = f"{url}%20-cdefault_transaction_read_only=on"
    reader = opened(closed_to_writing)
    assert reader.votes() == [FIRST]
    assert "is read-only, nothing was saved" in refused(reader.cast, SECOND)
    assert store.votes() == [FIRST]


def test_a_full_disk_says_so_and_the_vote_can_be_sent_again(sqlite_url, opened):
    filled(opened(sqlite_url))
    long = Vote("p1", "first", "ann" * 5000)

    def no_room(connection, _record):
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes what is in use already

    sa.event.listen(sa.Pool, "connect", no_room)
    try:
        full = opened(sqlite_url)
        assert "the disk is full, make room and try again" in refused(full.cast, long)
    finally:
        sa.event.remove(sa.Pool, "connect", no_room)
    with_room = opened(sqlite_url)
    assert with_room.history() == []
    assert with_room.cast(long)


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "votes.db"
    path.write_text("these are not the votes you are looking for\n" * 100)
    before = path.read_bytes()
    line = refused(open_store, f"sqlite:///{path}")
    assert line == (
        f"the votes database {path} is not an SQLite database: "
        "move that file away or choose another --home"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("fate", ["moved", "deleted", "replaced"])
def test_votes_into_a_file_that_is_gone_are_not_called_saved(sqlite_url, opened, tmp_path, fate):
    store = filled(opened(sqlite_url))
    path = tmp_path / "votes.db"
    path.rename(away := tmp_path / "away.db")
    if fate == "deleted":
        away.unlink()
    elif fate == "replaced":
        path.write_bytes(b"")
    assert refused(store.cast, FIRST) == (
        f"the votes database {path} was moved or deleted, nothing was saved: "
        "put it back, then start musicgen again"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "votes",
            "'votes' is no database URL; sqlite:///votes.db or postgresql://HOST/NAME is one",
        ),
        ("sqlite://", "votes in memory would be lost; name a file: sqlite:///votes.db"),
        ("mysql://localhost/votes", "votes are kept in SQLite or PostgreSQL, not in mysql"),
        (
            "sqlite:////no/such/folder/votes.db",
            "the votes database /no/such/folder/votes.db cannot be opened: "
            "does its folder exist and may you write there?",
        ),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line(url, said):
    assert refused(open_store, url) == said


def test_a_server_that_does_not_answer_is_named_without_the_password():
    line = refused(open_store, "postgresql://ann:secret@127.0.0.1:9/votes")
    assert line.startswith("the votes database 127.0.0.1/votes did not answer")
    assert "secret" not in line


def test_the_database_is_a_file_in_the_home_folder_unless_another_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("MUSICGEN_DATABASE_URL", raising=False)
    assert database_url(tmp_path) == f"sqlite:///{tmp_path}/votes.db"
    monkeypatch.setenv("MUSICGEN_DATABASE_URL", "postgresql://host/name")
    assert database_url(tmp_path) == "postgresql://host/name"


# Processes that are killed

# Casts one vote a pair and notes each in a file once it is saved; goes on where an earlier run was
# killed, with the same tokens.
VOTER = """
import sys
from pathlib import Path
from prefs.records import Vote
from prefs.store import open_store

url, rater, votes, saved = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
store = open_store(url, lock_seconds=60)
with saved.open("a") as note:
    for number in range(len(saved.read_text().splitlines()), votes):
        store.cast(Vote(f"pair {number}", "first", rater), token=f"{rater} {number}")
        note.write(f"{number}\\n")
        note.flush()
"""


def start_voter(url, rater, votes, saved):
    words = [sys.executable, "-c", VOTER, url, rater, str(votes), str(saved)]
    return subprocess.Popen(words, cwd=Path(__file__).resolve().parent.parent)


def kill_voters_again_and_again(store, url, folder, *, voters, votes, kills):
    """`voters` processes cast `votes` each, and each is killed `kills` times on its way."""
    store.add_tunes(TUNES)
    store.add_pairs(Pair(f"pair {n}", "t1", "t2", "learning") for n in range(votes))
    notes = {f"rater {n}": folder / f"saved_{n}" for n in range(voters)}
    limits = {}
    running = {}
    for rater, note in notes.items():
        note.touch()
        random_numbers = random.Random(rater)
        limits[rater] = sorted(random_numbers.sample(range(1, votes - 1), kills))
        running[rater] = start_voter(url, rater, votes, note)
    killed = 0
    while running:
        for rater, process in list(running.items()):
            if limits[rater] and len(notes[rater].read_text().splitlines()) >= limits[rater][0]:
                limits[rater].pop(0)
                process.kill()
                killed += process.wait() == -signal.SIGKILL
                running[rater] = start_voter(url, rater, votes, notes[rater])
            elif process.poll() is not None:
                assert process.returncode == 0
                del running[rater]
        time.sleep(0.001)
    assert killed > voters * kills / 2
    expected = {(f"pair {number}", rater) for rater in notes for number in range(votes)}
    rows = Counter((row.vote.pair_id, row.vote.rater) for row in store.history())
    assert set(rows) == expected, "an acknowledged vote is not there"
    assert set(rows.values()) == {1}, "a vote is there twice"
    assert len(store.votes()) == voters * votes


def test_voters_that_are_killed_lose_no_vote_and_cast_none_twice(url, opened, tmp_path):
    kill_voters_again_and_again(opened(url), url, tmp_path, voters=3, votes=40, kills=1)


@pytest.mark.long
def test_eight_voters_killed_ten_times_each_lose_no_vote_of_500(url, opened, tmp_path):
    kill_voters_again_and_again(opened(url), url, tmp_path, voters=8, votes=500, kills=10)
