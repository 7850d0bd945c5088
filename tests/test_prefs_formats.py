"""Files of tunes, pairs and votes: what goes out comes back in, and what is wrong is named."""

import json
from pathlib import Path

import pytest

from musicgen.checkpoint import BUNDLED
from prefs.formats import (
    FORMATS,
    FormatError,
    Refusal,
    export_votes,
    import_votes,
    read_pairs,
    read_tunes,
    write_pairs,
    write_tunes,
)
from prefs.lm_preferences import ModelCodec
from prefs.records import Pair, TuneRecord, Vote
from prefs.store import NewVote, StoreError, open_store

HEADER = "X:1\nT:Gan Ainm\nM:6/8\nL:1/8\nK:D\n"
TUNES = [
    TuneRecord("t1", HEADER + "|:dfa afd|c2e dBA:|\n", "base", 2**40, {"row": 3}, "2026-11-24"),
    TuneRecord("t2", HEADER + "|:dfa bag|fed cBA:|\n", "tuned ü", 7),
]
OPENING = HEADER + "|:dfa "
PAIRS = [
    Pair("p2", "t2", "t1", "learning", OPENING, repeat_of="p1", created="1"),
    Pair("p1", "t1", "t2", "learning", OPENING, options={"top_p": 0.95}, created="2"),
    Pair("p3", "t1", "t2", "evaluation", HEADER, created="3"),
]
VOTES = [
    Vote("p2", "second", "ann", (4100, 5200), "2026-11-24T10:02:00+00:00"),
    Vote("p1", "first", "ann", (1, 2), "2026-11-24T10:03:00+00:00"),
    Vote("p1", "tie", "böb\u2028", (3, 4), "2026-11-24T10:04:00+00:00"),
    Vote("p3", "skip", "ann"),
]
BROKEN = Vote("p3", "tie", "böb\u2028", (5, 6), "2026-11-24T10:05:00+00:00")


@pytest.fixture
def stores(tmp_path):
    """Makes new and empty stores."""
    made = []

    def make():
        made.append(open_store(f"sqlite:///{tmp_path / f'votes{len(made)}.db'}"))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def empty(stores):
    """A store with tunes and pairs and no vote."""
    store = stores()
    store.add_tunes(TUNES)
    store.add_pairs(sorted(PAIRS, key=lambda pair: pair.repeat_of is not None))
    return store


@pytest.fixture
def full(stores):
    """A store with votes of every choice, one of them taken back and one on a broken tune."""
    store = stores()
    store.add_tunes(TUNES)
    store.add_pairs(sorted(PAIRS, key=lambda pair: pair.repeat_of is not None))
    for vote in VOTES:
        assert store.cast(vote)
    store.cast(Vote("p2", "first", "böb\u2028"))
    store.undo("p2", "böb\u2028")
    store.take_in([NewVote(BROKEN, broken=True)])
    return store


def broken_votes(store):
    return [row.vote for row in store.history() if row.action == "broken"]


def lines_to(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def list_to(path, *rows):
    path.write_text(json.dumps(rows, indent=0), encoding="utf-8")
    return path


# Round trips


@pytest.mark.parametrize("format", FORMATS)
def test_votes_come_back_as_they_went_out(full, empty, tmp_path, format):
    file = tmp_path / "votes"
    assert export_votes(full, file, format=format) == 5
    report = import_votes(empty, file)
    assert report.json() == {"accepted": 5, "duplicates": 0, "refused": []}
    assert sorted(empty.votes(), key=VOTES.index) == VOTES
    assert broken_votes(empty) == [BROKEN]
    again = import_votes(empty, file)
    assert (again.accepted, again.duplicates, again.refused) == (0, 5, ())
    second = tmp_path / "second"
    export_votes(empty, second, format=format)
    assert second.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("ids", [False, True])
def test_label_files_bring_tunes_and_pairs_into_a_store_that_has_none(full, stores, tmp_path, ids):
    codec = ModelCodec.load(BUNDLED / "base") if ids else None
    file = tmp_path / "labels.json"
    export_votes(full, file, format="lm-human-preferences", codec=codec)
    store = stores()
    assert import_votes(store, file, codec=codec).accepted == 5
    assert store.votes() == VOTES
    assert broken_votes(store) == [BROKEN]
    assert sorted(store.tunes(), key=lambda tune: tune.id) == TUNES
    assert store.pairs() == PAIRS


def test_tunes_come_back_as_they_went_out(tmp_path):
    write_tunes(tmp_path / "tunes.jsonl", TUNES)
    assert read_tunes(tmp_path / "tunes.jsonl") == TUNES
    first = json.loads((tmp_path / "tunes.jsonl").read_text().splitlines()[0])
    assert list(first) == ["id", "abc", "model", "seed", "options", "created"]


def test_pairs_come_back_as_they_went_out(empty, tmp_path):
    write_pairs(tmp_path / "pairs.jsonl", PAIRS, empty, blind=False)
    assert read_pairs(tmp_path / "pairs.jsonl") == PAIRS


def test_a_blind_pair_tells_a_rater_nothing_but_the_tunes(empty, tmp_path):
    file = tmp_path / "pairs.jsonl"
    write_pairs(file, PAIRS[:1], empty)
    assert json.loads(file.read_text()) == {
        "pair_id": "p2",
        "first": {"tune_id": "t2", "abc": TUNES[1].abc},
        "second": {"tune_id": "t1", "abc": TUNES[0].abc},
    }
    with pytest.raises(FormatError, match=r'pairs\.jsonl:1: "kind" is missing'):
        read_pairs(file)


def test_a_vote_has_the_five_fields_that_others_rely_on(full, tmp_path):
    export_votes(full, tmp_path / "votes.jsonl")
    assert json.loads((tmp_path / "votes.jsonl").read_text().split("\n")[0]) == {
        "pair_id": "p2",
        "choice": "second",
        "rater": "ann",
        "listened_ms": [4100, 5200],
        "at": "2026-11-24T10:02:00+00:00",
    }


def test_a_label_row_holds_what_both_tunes_begin_with_and_how_each_goes_on(full, tmp_path):
    export_votes(full, tmp_path / "labels.json", format="lm-human-preferences")
    rows = json.loads((tmp_path / "labels.json").read_text())
    assert rows[0]["query"] == OPENING
    assert rows[0]["sample0"] == "bag|fed cBA:|\n"  # p2 shows t2 first
    assert rows[0]["sample1"] == "afd|c2e dBA:|\n"
    found = [(row["best"], row.get("broken"), row.get("choice")) for row in rows]
    assert found == [
        (1, None, None),
        (0, None, None),
        (0, None, None),  # a tie is two rows
        (1, None, None),
        (0, True, "skip"),  # a skip takes no side, whoever reads it
        (1, True, "skip"),
        (0, True, None),
        (1, True, None),
    ]


def test_a_failed_export_leaves_the_file_before_it(full, tmp_path):
    file = lines_to(tmp_path / "labels.json", "what was there")

    class Forgetful:
        def encode(self, text):
            return [0]

        def decode(self, ids):
            return "X"

    with pytest.raises(FormatError, match="does not give the text of the tunes back"):
        export_votes(full, file, format="lm-human-preferences", codec=Forgetful())
    assert file.read_text() == "what was there\n"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


# JSON Lines with faults


GOOD = '{"pair_id": "p1", "choice": "first", "rater": "ann"}'
FAULTS = [
    ('{"pair_id": "p1"', "not JSON: Expecting ',' delimiter at column 17"),
    ("[1, 2]", "not a JSON object"),
    ("[" * 100_000, "not JSON: NaN, too deep, or a number too long"),
    (GOOD.replace('"first"', "NaN"), "not JSON: NaN, too deep, or a number too long"),
    (GOOD.replace("first", "left"), "\"choice\" is 'left', not one of first, second, tie, skip"),
    (GOOD.replace('"first"', "1"), '"choice" is not a text'),
    ('{"choice": "first", "rater": "ann"}', '"pair_id" is missing'),
    ('{"pair_id": "p1", "choice": "first"}', '"rater" is missing'),
    (GOOD.replace("ann", ""), '"rater" is empty'),
    (GOOD.replace("ann", "\\u0000"), '"rater" holds a character that no text may hold'),
    (GOOD.replace("ann", "\\ud800"), '"rater" holds a character that no text may hold'),
    (GOOD.replace("p1", "p9"), "there is no pair 'p9' in the store"),
    (GOOD.replace("}", ', "listened_ms": [1]}'), '"listened_ms" is not a list of two numbers'),
    (
        GOOD.replace("}", ', "listened_ms": [1, -2]}'),
        '"listened_ms" is not a whole number from 0 to 2147483647',
    ),
    (GOOD.replace("}", ', "broken": "yes"}'), '"broken" is neither true nor false'),
]


@pytest.mark.parametrize(("line", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_a_faulty_line_is_refused_with_its_reason_and_the_others_are_kept(
    empty, tmp_path, line, reason
):
    other = GOOD.replace("p1", "p3")
    file = lines_to(tmp_path / "votes.jsonl", GOOD, "", line, other)
    report = import_votes(empty, file)
    assert report.refused == (Refusal(3, reason),)
    assert report.accepted == 2
    assert [vote.pair_id for vote in empty.votes()] == ["p1", "p3"]


def test_a_line_that_is_not_utf8_is_refused(empty, tmp_path):
    file = tmp_path / "votes.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"rater": "\xff"}\r\n' + GOOD.encode() + b"\r\n")
    report = import_votes(empty, file)
    assert (report.accepted, report.refused) == (1, (Refusal(1, "not UTF-8"),))


def test_votes_that_contradict_each_other_or_the_store_are_refused(empty, tmp_path):
    empty.cast(Vote("p3", "tie", "ann"))
    file = lines_to(
        tmp_path / "votes.jsonl",
        GOOD,
        GOOD,
        GOOD.replace("first", "tie"),
        GOOD.replace("p1", "p3"),
        GOOD.replace("ann", "bob").replace("first", "tie"),
    )
    assert import_votes(empty, file).json() == {
        "accepted": 2,
        "duplicates": 1,
        "refused": [
            {
                "line": 3,
                "reason": "contradicts the vote of 'ann' on pair 'p1' that is there: "
                "'first', not 'tie'",
            },
            {
                "line": 4,
                "reason": "contradicts the vote of 'ann' on pair 'p3' that is there: "
                "'tie', not 'first'",
            },
        ],
    }


def test_an_import_brings_back_no_vote_that_was_undone(full, tmp_path):
    export_votes(full, tmp_path / "votes.jsonl")
    full.undo("p1", "ann")
    assert import_votes(full, tmp_path / "votes.jsonl").accepted == 0
    assert VOTES[1] not in full.votes()


def test_a_broken_vote_is_stored_and_never_counts(empty, tmp_path):
    file = lines_to(tmp_path / "votes.jsonl", GOOD.replace("}", ', "broken": true}'))
    assert import_votes(empty, file).accepted == 1
    assert empty.votes() == []
    assert broken_votes(empty) == [Vote("p1", "first", "ann")]
    assert empty.cast(Vote("p1", "second", "ann")), "a verdict on a broken tune is no vote"
    assert import_votes(empty, file).duplicates == 1


def test_a_file_is_taken_in_whole_or_not_at_all(empty, tmp_path):
    file = lines_to(tmp_path / "votes.jsonl", GOOD, GOOD.replace("p1", "p3"))
    empty.close()
    reader = open_store(f"sqlite:///file:{tmp_path / 'votes0.db'}?mode=ro&uri=true")
    with pytest.raises(StoreError, match="is read-only"):
        import_votes(reader, file)
    assert reader.history() == []
    reader.close()


# Label files of others


def label(best=0, **more):
    return {"query": "X:1\nK:D\n", "sample0": "dfa|\n", "sample1": "fed|\n", "best": best, **more}


def test_the_labels_of_others_become_tunes_pairs_and_votes(empty, tmp_path):
    file = list_to(
        tmp_path / "labels.json",
        label(1),
        label(0, sample0="abc|\n"),
        label(1, sample0="abc|\n"),  # once for each side: a tie
        label(0, sample0="]]]]", broken=True),
        label(0, sample0="gfe|\n", rater="cyd"),
    )
    assert import_votes(empty, file, rater="gwen").json() == {
        "accepted": 4,
        "duplicates": 0,
        "refused": [],
    }
    votes = empty.votes()
    assert [(vote.choice, vote.rater) for vote in votes] == [
        ("second", "gwen"),
        ("tie", "gwen"),
        ("first", "cyd"),
    ]
    pair = empty.pair(votes[0].pair_id)
    assert (pair.kind, pair.opening) == ("learning", "X:1\nK:D\n")
    assert [empty.tune(id).abc for id in (pair.first, pair.second)] == [
        "X:1\nK:D\ndfa|\n",
        "X:1\nK:D\nfed|\n",
    ]
    assert [vote.choice for vote in broken_votes(empty)] == ["first"]
    assert import_votes(empty, file, rater="gwen").duplicates == 4


def test_a_tie_that_stands_twice_is_one_tie_and_three_rows_are_none(empty, tmp_path):
    twice = [label(0), label(1), label(0), label(1)]
    three = [label(best, sample0="abc|\n") for best in (0, 1, 1)]
    report = import_votes(empty, list_to(tmp_path / "labels.json", *twice, *three))
    assert (report.accepted, report.duplicates) == (1, 1)
    assert [vote.choice for vote in empty.votes()] == ["tie"]
    lines = [refusal.line for refusal in report.refused]
    assert report.refused[0].reason == (
        f"lines {lines[0]}, {lines[1]}, {lines[2]} speak of one pair "
        "and are neither one choice nor a tie"
    )


ROW_FAULTS = [
    (label(2), '"best" is neither 0 nor 1'),
    (label(None), '"best" is neither 0 nor 1'),
    (label(sample2="abc|"), 'it has a "sample2": only a choice of two can be stored'),
    (label(sample1=None), '"query", "sample0" and "sample1" are not texts, nor lists of token ids'),
    (label(query="", sample1=" "), "one of its tunes is empty"),
    (
        {"query": [5], "sample0": [6], "sample1": [7], "best": 0},
        "it holds token ids: say whose with --tokenizer MODEL",
    ),
    (label(pair_id="p1"), "its tunes are not those of pair 'p1'"),
    (
        label(tunes=[{"id": "t1", "model": "base"}, {"id": "t2", "model": "base"}]),
        "tune 't1' is there with another text or model",
    ),
    (
        label(pair={"kind": "learning", "repeat_of": "p9"}),
        "it repeats pair 'p9', which is neither in the file nor in the store",
    ),
    (label(pair={"kind": "blind"}), "\"kind\" is 'blind', not one of learning, evaluation"),
    ([1], "not a JSON object"),
]


@pytest.mark.parametrize(("row", "reason"), ROW_FAULTS, ids=[reason for _, reason in ROW_FAULTS])
def test_a_faulty_row_is_refused_with_its_reason_and_the_others_are_kept(
    empty, tmp_path, row, reason
):
    file = tmp_path / "labels.json"
    good = label(1, sample0="abc|\n")
    file.write_text(
        f"[{json.dumps(label(1, sample0='gfe|'))},\n{json.dumps(row)},\n{json.dumps(good)}]"
    )
    report = import_votes(empty, file)
    assert report.refused == (Refusal(2, reason),)
    assert report.accepted == 2


@pytest.mark.parametrize("end", ["", ",", ",\n", ', {"query"', " {}]"])
def test_of_a_list_that_is_cut_off_the_rows_before_are_kept(empty, tmp_path, end):
    file = tmp_path / "labels.json"
    file.write_text("[\n" + json.dumps(label()) + end)
    report = import_votes(empty, file)
    assert report.accepted == 1
    (refusal,) = report.refused
    assert refusal.reason == "not JSON: the list is cut off or faulty from here on"


def test_token_ids_that_the_tokenizer_does_not_know_are_refused(empty, tmp_path):
    row = {"query": [5], "sample0": [6], "sample1": [10**12], "best": 0}
    file = list_to(tmp_path / "labels.json", row)
    report = import_votes(empty, file, codec=ModelCodec.load(BUNDLED / "base"))
    assert [one.reason for one in report.refused] == [
        "it holds token ids that the tokenizer does not know"
    ]


def test_an_empty_file_holds_no_vote(empty, tmp_path):
    for words in ("", "\n\n", "[]", "[\n]\n"):
        file = tmp_path / "votes"
        file.write_text(words)
        assert import_votes(empty, file).json() == {"accepted": 0, "duplicates": 0, "refused": []}


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(FormatError, match=f"{tmp_path}: no tokenizer can be read there"):
        ModelCodec.load(Path(tmp_path))
