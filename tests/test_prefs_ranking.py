"""Strengths from votes, and what the votes between two models say."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from prefs.compare import compare, detectable_rate
from prefs.database import database_url
from prefs.ranking import PRIOR_STD, Comparison, rank
from prefs.records import Pair, TuneRecord, Vote
from prefs.standings import standings
from prefs.store import Store, open_store
from ui.cli import main


def test_simulated_strengths_lie_in_their_intervals():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(200):
        strengths = rng.normal(0, PRIOR_STD, 6)
        votes = []
        for _ in range(60):
            one, other = (int(item) for item in rng.choice(6, 2, replace=False))
            chance = 1 / (1 + math.exp(strengths[other] - strengths[one]))
            votes.append(Comparison(one, other, float(rng.random() < chance)))
        inside += [r.low <= strengths[r.item] <= r.high for r in rank(range(6), votes)]
    assert 0.93 <= np.mean(inside) <= 0.98


def test_the_strongest_comes_first_and_a_tie_is_half_a_win():
    votes = [Comparison("a", "b", 1.0)] * 6 + [Comparison("c", "b", 0.5)] * 4
    first, second, third = rank("abc", votes)
    assert (first.item, second.item, third.item) == ("a", "c", "b")
    assert second.strength < first.strength and second.votes == 4
    halves = [Comparison("c", "b", 1.0), Comparison("c", "b", 0.0)] * 2
    tied = [Comparison("c", "b", 0.5)] * 4
    assert [r.strength for r in rank("bc", halves)] == pytest.approx(
        [r.strength for r in rank("bc", tied)], abs=1e-4
    )


def test_votes_that_connect_nothing_and_no_votes_at_all_get_an_answer():
    apart = rank("abcd", [Comparison("a", "b", 1.0), Comparison("c", "d", 1.0)])
    assert {rating.item for rating in apart[:2]} == {"a", "c"}
    (lonely,) = rank(["a"], [])
    assert (lonely.strength, lonely.std) == (0, pytest.approx(PRIOR_STD))
    assert rank([], []) == []


@pytest.mark.parametrize(("other", "message"), [("a", "against itself"), ("z", "not ranked")])
def test_a_vote_that_cannot_be_ranked_is_refused(other: str, message: str):
    with pytest.raises(ValueError, match=message):
        rank("ab", [Comparison("a", other, 1.0)])


def test_what_a_count_can_detect_is_what_the_tables_say():
    # pairs for 80% power at two-sided 5%
    for votes, rate in [(782, 0.55), (304, 0.58), (194, 0.60), (85, 0.65)]:
        assert detectable_rate(votes) == pytest.approx(rate, abs=0.003)
    assert detectable_rate(0) is None


def two_models(store: Store, scores: list[float]) -> None:
    """Evaluation pairs of `new` and `base` with votes that give `new` these scores."""
    for number, score in enumerate(scores):
        new_first = number % 2 == 0
        ids = (f"n{number}", f"b{number}")
        store.add_tunes(
            [TuneRecord(ids[0], f"X:{number}", "new", 0), TuneRecord(ids[1], "X:1", "base", 0)]
        )
        shown = ids if new_first else ids[::-1]
        sound = [True, number % 4 != 0] if new_first else [True, True]
        options = {"first_draw_sound": sound}
        store.add_pairs([Pair(f"p{number}", *shown, "evaluation", options=options)])
        choices = {1.0: "first", 0.5: "tie", 0.0: "second"}
        choice = choices[score if new_first else 1 - score]
        store.cast(Vote(f"p{number}", choice, "one"))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_home: Path):
    opened = open_store(database_url(tmp_home))
    yield opened
    opened.close()


def test_votes_are_counted_for_the_right_model_whichever_side_it_was_on(store: Store):
    two_models(store, [1.0] * 12 + [0.0] * 5 + [0.5] * 3)
    found = compare(store, "new", "base")
    assert (found.wins, found.losses, found.ties, found.votes) == (12, 5, 3, 20)
    assert found.win_rate == 13.5 / 20
    assert found.interval[0] < 13.5 / 20 < found.interval[1]
    assert (found.gate_a, found.gate_b) == (1.0, 0.75)
    assert found.win_rate_with_faults == pytest.approx(0.75 * 13.5 / 20 + 0.25)
    turned = compare(store, "base", "new")
    assert (turned.wins, turned.losses, turned.win_rate) == (5, 12, pytest.approx(6.5 / 20))


def test_learning_pairs_repeats_skips_and_undone_votes_do_not_count(store: Store):
    two_models(store, [1.0, 1.0])
    store.add_pairs([Pair("l", "n0", "b0", "learning")])
    store.add_pairs([Pair("r", "b0", "n0", "evaluation", repeat_of="p0")])
    store.cast(Vote("l", "first", "one"))
    store.cast(Vote("r", "first", "one"))
    store.cast(Vote("p1", "skip", "one"))
    assert compare(store, "new", "base").votes == 1
    store.undo("p0", "one")
    assert compare(store, "new", "base").votes == 0


def test_models_and_tunes_are_ranked_from_the_same_votes(store: Store):
    two_models(store, [1.0] * 8 + [0.0] * 2)
    assert [rating.item for rating in standings(store, "models")] == ["new", "base"]
    tunes = standings(store, "tunes")
    assert len(tunes) == 20 and tunes[0].strength > tunes[-1].strength


def test_the_commands_say_it_in_words_and_in_json(store: Store, capsys):
    two_models(store, [1.0] * 45 + [0.0] * 5)
    assert main(["compare", "new", "base"]) == 0
    said = capsys.readouterr().out
    assert "45 won, 5 lost, 0 equal; win rate 90.0%" in said and "it is better" in said
    assert main(["compare", "new", "base", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"wins", "losses", "ties", "win_rate", "interval", "votes"} <= set(found)
    assert found["verdict"] == "better"
    assert main(["rank"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["1", "new"]


def test_no_votes_yet_is_said(tmp_home: Path, capsys):
    assert main(["rank"]) == 0
    assert "No votes yet" in capsys.readouterr().out
    assert main(["compare", "a", "b"]) == 0
    assert "No blind votes yet" in capsys.readouterr().out
