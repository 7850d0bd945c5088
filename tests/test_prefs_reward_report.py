"""The report on a reward model, on votes whose truth is known."""

import numpy as np
import pytest

from prefs.probe import Comparisons, fit_probe, held_out_logits
from prefs.reward_report import reward_report


def noisy_votes(utility: np.ndarray, rng: np.random.Generator, count: int) -> Comparisons:
    pairs = rng.permutation(len(utility))[: 2 * count].reshape(count, 2)
    chance = 1 / (1 + np.exp(utility[pairs[:, 1]] - utility[pairs[:, 0]]))
    return Comparisons(pairs[:, 0], pairs[:, 1], (rng.random(count) < chance).astype(float))


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2_400, 5))
    utility = 2 * features[:, 0]
    tunes = ["x" * int(50 + 10 * value) for value in np.clip(features[:, 0], -4, 4)]
    votes = noisy_votes(utility, rng, 1_200)
    probe = fit_probe(features, votes)
    return reward_report(
        features, votes, tunes, features @ probe.weights, probe.ridge, self_agreement=0.8
    )


def test_accuracy_is_near_what_noise_allows_and_grows_with_votes(report):
    # two logits a deviation: the better tune wins 80% of unrelated pairs
    assert 0.74 < report.accuracy < 0.84
    assert report.self_agreement == 0.8
    assert set(report.curve) == {50, 100, 200, 400, 600, 1_000}
    assert report.curve[1_000] > report.curve[50] - 0.02


def test_predicted_chances_come_true(report):
    assert len(report.calibration) >= 4
    for one in report.calibration:
        assert abs(one.predicted - one.observed) < 4 * np.sqrt(0.25 / one.votes)


def test_a_utility_that_follows_length_says_so(report):
    assert report.length_correlation > 0.95


def test_pairs_that_begin_alike_are_counted_apart():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(400, 2))
    pairs = np.arange(400).reshape(200, 2)
    # pairs of the first half begin alike and are decided by the first feature, others by chance
    outcome = (features[pairs[:, 0], 0] > features[pairs[:, 1], 0]).astype(float)
    outcome[100:] = rng.integers(0, 2, 100)
    tunes = [f"K:D\n{'a' if i < 200 else i}|b|{i}|" for i in range(400)]
    votes = Comparisons(pairs[:, 0], pairs[:, 1], outcome)
    found = reward_report(features, votes, tunes, features[:, 0], 1.0)
    assert found.same_opening > 0.8
    assert found.unrelated < 0.7


def test_raters_who_contradict_each_other_are_counted():
    features = np.random.default_rng(2).normal(size=(60, 2))
    first = np.arange(30)
    votes = Comparisons(
        np.concatenate([first, first[:10] + 30]),  # ten pairs again, sides swapped
        np.concatenate([first + 30, first[:10]]),
        np.concatenate([np.ones(30), np.ones(4), np.zeros(6)]),
    )
    found = reward_report(features, votes, [""] * 60, features[:, 0], 1.0)
    assert found.contradicted == 0.4
    assert found.ties == 0


def test_a_held_out_vote_is_on_tunes_that_the_fit_has_not_seen():
    features = np.eye(60)  # a tune not seen has no weight: its logit is the leaning alone
    votes = Comparisons(np.arange(30), np.arange(30, 60), np.ones(30))
    held, logits = held_out_logits(features, votes, 1.0)
    assert len(held) == 30
    assert np.ptp(logits) < 0.5
