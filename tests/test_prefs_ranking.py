"""Strengths from votes, and what the votes between two models say."""

import json
import math
from pathlib import Path

import choix
import numpy as np
import pytest

from prefs.compare import compare, detectable_rate
from prefs.database import database_url
from prefs.ranking import EFFECT_STD, PRIOR_STD, Comparison, rank
from prefs.records import Pair, TuneRecord, Vote
from prefs.standings import standings
from prefs.store import Store, open_store
from ui.cli import main


def simulated(rng, strengths, count, side=0.0, length=0.0, lengths=None):
    """Votes of a simulated rater who also minds the side and the length."""
    votes = []
    for _ in range(count):
        one, other = (int(item) for item in rng.choice(len(strengths), 2, replace=False))
        doublings = 0.0 if lengths is None else float(lengths[one] - lengths[other])
        lead = strengths[one] - strengths[other] + side + length * doublings
        chance = 1 / (1 + math.exp(-lead))
        votes.append(Comparison(one, other, float(rng.random() < chance), doublings))
    return votes


def test_simulated_strengths_lie_in_their_intervals():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(200):
        strengths = rng.normal(0, PRIOR_STD, 6)
        found = rank(range(6), simulated(rng, strengths, 60))
        inside += [r.low <= strengths[r.item] <= r.high for r in found.ratings]
    assert 0.93 <= np.mean(inside) <= 0.98


def test_intervals_hold_for_raters_who_mind_the_side_and_the_length():
    rng = np.random.default_rng(1)
    inside, about_mean, effects = [], [], []
    for _ in range(200):
        strengths, lengths = rng.normal(0, PRIOR_STD, 6), rng.normal(0, 0.6, 6)
        side, length = rng.normal(0, EFFECT_STD, 2)
        votes = simulated(rng, strengths, 60, side, length, lengths)
        found = rank(range(6), votes)
        inside += [r.low <= strengths[r.item] <= r.high for r in found.ratings]
        effects += [
            found.side.low <= side <= found.side.high,
            found.length.low <= length <= found.length.high,
        ]
        middle = strengths - strengths.mean()
        for rating in rank(range(6), votes, about_mean=True).ratings:
            about_mean.append(rating.low <= middle[rating.item] <= rating.high)
    assert 0.93 <= np.mean(inside) <= 0.98
    assert 0.93 <= np.mean(about_mean) <= 0.98
    assert 0.93 <= np.mean(effects) <= 0.98


def test_a_rater_who_always_takes_the_first_side_says_nothing_of_the_items():
    votes = [Comparison(*pair, 1.0) for pair in [("a", "b"), ("b", "a")] * 20]
    found = rank("ab", votes)
    assert [r.strength for r in found.ratings] == pytest.approx([0, 0], abs=1e-6)
    assert found.side.low > 1 and found.side.chance > 0.9
    assert found.length.value == 0 and found.length.chance == 0.5


def test_a_longer_tune_that_wins_for_its_length_is_not_called_better():
    votes = [Comparison(n, n + 100, 1.0, doublings=1.0) for n in range(100)]
    aware = rank(range(200), votes)
    unaware = rank(range(200), [Comparison(v.first, v.second, v.score) for v in votes])
    assert aware.length.value > 1
    assert aware.ratings[0].strength < unaware.ratings[0].strength


def test_without_covariates_strengths_and_intervals_are_those_of_choix():
    rng = np.random.default_rng(2)
    votes = simulated(rng, rng.normal(0, 1, 5), 80)
    wins = [(v.first, v.second) if v.score else (v.second, v.first) for v in votes]
    # each vote also the other way round, so that neither side can be worth anything
    turned = [Comparison(v.second, v.first, 1 - v.score) for v in votes]
    means, covariance = choix.ep_pairwise(5, wins * 2, alpha=1 / PRIOR_STD**2, model="logit")
    found = {r.item: r for r in rank(range(5), votes + turned).ratings}
    assert [found[n].strength for n in range(5)] == pytest.approx(list(means), abs=0.06)
    stds = np.sqrt(np.diag(covariance))
    assert [found[n].std for n in range(5)] == pytest.approx(list(stds), rel=0.02)


def test_votes_tell_the_distance_of_two_models_better_than_that_from_any_model():
    votes = [
        Comparison("a", "b", float(n < 60)) if n % 2 else Comparison("b", "a", float(n >= 60))
        for n in range(100)
    ]
    apart = rank("ab", votes, about_mean=True).ratings
    alone = rank("ab", votes).ratings
    assert apart[0].std < 0.2 < 1 < alone[0].std
    assert apart[0].low > 0 or apart[0].strength == pytest.approx(-apart[1].strength)


def test_the_strongest_comes_first_and_a_tie_is_half_a_win():
    votes = [Comparison("a", "b", 1.0), Comparison("b", "a", 0.0)] * 3
    votes += [Comparison("c", "b", 0.5), Comparison("b", "c", 0.5)] * 2
    first, second, third = rank("abc", votes).ratings
    assert (first.item, second.item, third.item) == ("a", "c", "b")
    assert second.strength < first.strength and second.votes == 4
    halves = [Comparison("c", "b", 1.0), Comparison("c", "b", 0.0)] * 2
    tied = [Comparison("c", "b", 0.5)] * 4
    assert [r.strength for r in rank("bc", halves).ratings] == pytest.approx(
        [r.strength for r in rank("bc", tied).ratings], abs=1e-4
    )


def test_votes_that_connect_nothing_and_no_votes_at_all_get_an_answer():
    apart = rank("abcd", [Comparison("a", "b", 1.0), Comparison("c", "d", 1.0)]).ratings
    assert {rating.item for rating in apart[:2]} == {"a", "c"}
    (lonely,) = rank(["a"], []).ratings
    assert (lonely.strength, lonely.std) == (0, pytest.approx(PRIOR_STD))
    assert rank([], []).ratings == ()


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
