"""The verdict of a blind trial: rarely wrong however often one looks, and reached in time."""

import numpy as np
import pytest

from prefs.sequential import ALPHA, blind_trial, running_capital


def votes_of(rng: np.random.Generator, rate: float, ties: float, lean: float, count: int):
    """Scores of the new model from a simulated rater who leans to the first side."""
    first = rng.random(count) < 0.5
    chance = np.clip(rate + np.where(first, lean, -lean), 0, 1)
    wins = (rng.random(count) < chance).astype(float)
    return np.where(rng.random(count) < ties, 0.5, wins)


def test_the_verdict_is_false_in_at_most_one_of_twenty_trials_watched_after_every_vote():
    rng = np.random.default_rng(0)
    wrong = 0
    for trial in range(2000):
        x = votes_of(rng, 0.5, ties=(0.0, 0.1, 0.4)[trial % 3], lean=0.15, count=400)
        wrong += bool((running_capital(x, np.array([0.5]), ALPHA) >= 1 / ALPHA).any())
    assert wrong <= 0.05 * 2000


def test_the_interval_holds_the_true_win_rate_at_all_times():
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(150):
        x = votes_of(rng, 0.62, ties=0.0, lean=0.0, count=250)
        missed += bool((running_capital(x, np.array([0.62]), ALPHA) >= 1 / ALPHA).any())
    assert missed <= 0.05 * 150


def test_a_clear_difference_is_seen_and_named():
    rng = np.random.default_rng(2)
    better = blind_trial(votes_of(rng, 0.7, 0.1, 0.1, 300))
    assert better.verdict == "better" and better.votes_to_go is None
    assert better.interval[0] > 0.5 and "it is better" in better.line()
    assert blind_trial(votes_of(rng, 0.3, 0.1, 0.1, 300)).verdict == "worse"


def test_sixty_percent_is_seen_within_five_hundred_votes_more_often_than_not():
    rng = np.random.default_rng(3)
    seen = [blind_trial(votes_of(rng, 0.6, 0.0, 0.1, 500)).verdict for _ in range(40)]
    assert seen.count("better") > 20 and "worse" not in seen


def test_how_many_more_votes_is_about_right():
    few = blind_trial([1, 1, 0, 1, 0, 1, 1, 0, 1, 0] * 3)
    assert few.verdict == "not yet known"
    rng = np.random.default_rng(4)
    reached = []
    for _ in range(60):
        capital = running_capital(votes_of(rng, 0.6, 0, 0, 2000), np.array([0.5]), ALPHA)[:, 0]
        reached.append(int(np.argmax(capital >= 1 / ALPHA)))
    assert 0.5 < (few.votes + few.votes_to_go) / np.median(reached) < 2


def test_a_verdict_once_given_does_not_change():
    won = [1.0] * 40
    assert blind_trial(won).verdict == "better"
    assert blind_trial(won + [0.0] * 35).verdict == "better"


def test_no_votes_and_only_ties_are_no_verdict():
    assert blind_trial([]).line() == "No blind votes yet."
    ties = blind_trial([0.5] * 50)
    assert ties.verdict == "not yet known" and "close" in ties.line()


def test_a_score_that_is_none_is_refused():
    with pytest.raises(ValueError, match="outside 0 to 1"):
        blind_trial([1.0, 2.0])
