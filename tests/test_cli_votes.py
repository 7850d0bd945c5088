"""musicgen votes import|export|count, as they are typed."""

import json
import sqlite3

import pytest

from prefs.records import Pair, TuneRecord, Vote
from prefs.store import NewVote, database_url, open_store
from ui.cli import main

GOOD = '{"pair_id": "p1", "choice": "second", "rater": "ann", "listened_ms": [1, 2], "at": "now"}'


@pytest.fixture
def home(tmp_home, monkeypatch):
    """A home with three pairs and no vote."""
    monkeypatch.delenv("MUSICGEN_DATABASE_URL", raising=False)
    store = open_store(database_url(tmp_home))
    store.add_tunes(TuneRecord(f"t{n}", f"X:1\nK:D\n{n}|", "base", n) for n in (1, 2))
    store.add_pairs(Pair(f"p{n}", "t1", "t2", "learning") for n in (1, 2))
    store.add_pairs([Pair("p3", "t2", "t1", "evaluation")])
    store.close()
    return tmp_home


def votes_in(home):
    store = open_store(database_url(home))
    found = store.votes()
    store.close()
    return found


def test_an_import_keeps_the_good_lines_and_names_the_others(home, tmp_path, capsys):
    file = tmp_path / "votes.jsonl"
    file.write_text(f'{GOOD}\n{GOOD}\n{{"pair_id": "p9"}}\nnonsense\n')
    assert main(["votes", "import", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == "1 vote taken in, 1 there already, 2 lines refused\n"
    assert err == (
        f'{file}:3: "choice" is missing\n{file}:4: not JSON: Expecting value at column 1\n'
    )
    assert votes_in(home) == [Vote("p1", "second", "ann", (1, 2), "now")]


def test_an_import_reports_as_json(home, tmp_path, capsys):
    file = tmp_path / "votes.jsonl"
    file.write_text(GOOD + "\n" + GOOD.replace("p1", "p9") + "\n")
    assert main(["votes", "import", str(file), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "accepted": 1,
        "duplicates": 0,
        "refused": [{"line": 2, "reason": "there is no pair 'p9' in the store"}],
    }
    assert err == ""


def test_what_is_exported_can_be_imported_into_another_home(home, tmp_path, capsys):
    file = tmp_path / "votes.jsonl"
    file.write_text(GOOD + "\n" + GOOD.replace("p1", "p2").replace("second", "tie") + "\n")
    assert main(["votes", "import", str(file)]) == 0
    labels = tmp_path / "labels.json"
    words = ["--format", "lm-human-preferences", "--tokenizer", "base"]
    assert main(["votes", "export", str(labels), *words]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"2 votes written to {labels}"
    assert type(json.loads(labels.read_text())[0]["sample0"][0]) is int
    other = str(tmp_path / "other")
    assert main(["votes", "import", str(labels), "--home", other]) == 1
    assert "say whose with --tokenizer MODEL" in capsys.readouterr().err
    assert main(["votes", "import", str(labels), "--home", other, "--tokenizer", "base"]) == 0
    assert votes_in(tmp_path / "other") == votes_in(home)


def test_count_says_how_many_votes_there_are(home, capsys):
    store = open_store(database_url(home))
    store.cast(Vote("p1", "first", "ann"))
    store.cast(Vote("p1", "tie", "bob"))
    store.cast(Vote("p2", "skip", "bob"))
    store.cast(Vote("p3", "second", "bob"))
    store.cast(Vote("p2", "first", "ann"))
    store.undo("p2", "ann")
    store.take_in([NewVote(Vote("p2", "first", "cyd"), broken=True)])
    store.close()
    assert main(["votes", "count"]) == 0
    assert capsys.readouterr().out == (
        "4 votes by 2 raters: 1 first, 1 second, 1 equal, 1 skipped\n"
        "3 on learning pairs, 1 on evaluation pairs\n"
        "1 more undone\n"
        "1 more on broken tunes, kept and never counted\n"
    )
    assert main(["votes", "count", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert (counted["votes"], counted["tie"], counted["broken"]) == (4, 1, 1)


def test_a_new_home_has_no_votes(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MUSICGEN_DATABASE_URL", raising=False)
    assert main(["votes", "count", "--home", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out.startswith("0 votes by 0 raters: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "nowhere.jsonl"], "musicgen: nowhere.jsonl: No such file or directory"),
        (["import", "."], "musicgen: .: Is a directory"),
        (["export", "votes", "--tokenizer", "base"], "musicgen: --tokenizer is for --format lm-"),
        (["import", "votes", "--tokenizer", "nobody"], "musicgen: no model 'nobody': "),
    ],
)
def test_what_cannot_be_done_is_one_line(home, words, said, capsys):
    assert main(["votes", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_a_damaged_database_is_one_line(home, tmp_path, capsys):
    (home / "votes.db").write_bytes(b"no database" * 1000)
    assert main(["votes", "count"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"musicgen: the votes database {home / 'votes.db'} is not an SQLite")


def test_a_newer_database_is_one_line(home, capsys):
    with sqlite3.connect(home / "votes.db") as file:
        file.execute("INSERT INTO musicgen_schema VALUES (99)")
    file.close()
    assert main(["votes", "count"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("musicgen: the votes were written by a newer musicgen (schema 99, ")


def test_votes_without_a_command_says_which_there_are(capsys):
    assert main(["votes"]) == 2
    assert main(["votes", "--help"]) == 0
    assert capsys.readouterr().err == 2 * "usage: musicgen votes import|export|count [--help]\n"
