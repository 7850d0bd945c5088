"""What the pause after twenty votes tells: what the chosen tunes share, and nothing by chance."""

import numpy as np
import pytest

from prefs.lessons import FEWEST, WORDS, leanings, lessons
from prefs.probe import Comparisons
from prefs.records import Pair, TuneRecord, Vote
from prefs.statistics import FAMILIES, PLAIN, STATISTICS
from prefs.store import open_store

LEAPING = "X:1\nM:4/4\nL:1/8\nK:D\n" + "D2 A2 F2 d2|" * 8 + "\n"
STEPPING = "X:1\nM:4/4\nL:1/8\nK:D\n" + "D2 E2 F2 G2|" * 8 + "\n"


def comparisons(outcomes):
    """One vote on tunes 2n and 2n + 1 for each outcome n."""
    places = np.arange(len(outcomes))
    return Comparisons(2 * places, 2 * places + 1, np.array(outcomes, dtype=float))


def test_every_word_is_of_a_statistic_and_those_of_the_first_families_have_one():
    assert WORDS.keys() <= {*STATISTICS}
    for family in ("shape", "structure", "phrase shapes", "flow"):
        assert {*FAMILIES[family]} <= WORDS.keys()


def test_a_rater_who_minds_one_thing_is_told_that_thing():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((400, PLAIN))
    column = STATISTICS.index("range")
    wide = [float(a > b) for a, b in zip(table[::2, column], table[1::2, column], strict=True)]
    assert leanings(table, comparisons(wide)) == ["a wide range"]
    narrow = [1 - outcome for outcome in wide]
    assert leanings(table, comparisons(narrow)) == ["a narrow range"]


def test_a_coin_is_told_nothing_in_nineteen_of_twenty_sets_of_votes():
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(200):
        table = rng.standard_normal((120, PLAIN))
        told += bool(leanings(table, comparisons(rng.integers(0, 2, 60))))
    assert told <= 18  # 5% of 200, and two standard errors


def test_few_votes_and_ties_teach_nothing():
    table = np.zeros((100, PLAIN))
    table[::2, 0] = 1
    assert leanings(table, comparisons([1] * (FEWEST - 1))) == []
    assert leanings(table, comparisons([0.5] * 50)) == []


@pytest.fixture
def store(tmp_path):
    found = open_store(f"sqlite:///{tmp_path / 'votes.db'}")
    yield found
    found.close()


def test_the_votes_of_one_rater_are_read_from_the_store(store):
    rng = np.random.default_rng(2)
    for number in range(30):
        # a few more bars on either, so that not every vote says the very same
        texts = [
            text.replace("|\n", "|" + "D2 D2 A2 A2|" * int(rng.integers(0, 3)) + "\n")
            for text in (LEAPING, STEPPING)
        ]
        tunes = [TuneRecord(f"t{number}{n}", text, "m", 0) for n, text in enumerate(texts)]
        store.add_tunes(tunes)
        store.add_pairs([Pair(f"p{number}", tunes[0].id, tunes[1].id, "learning")])
        store.cast(Vote(f"p{number}", "second", "ann"))
    assert lessons(store, "bob") == []
    told = lessons(store, "ann")
    assert len(told) == 3 and {"small intervals", "few leaps"} & {*told}
