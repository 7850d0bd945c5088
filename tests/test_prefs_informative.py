"""Among the pairs that lie ready, the one whose vote would teach most is heard next."""

import math
import random

import numpy as np
import pytest
from fake_pairs import TUNES, changed

from prefs import informative as informative_module
from prefs.informative import Informative, information
from prefs.probe import Probe
from prefs.records import Pair, TuneRecord, Vote
from prefs.store import open_store


def test_a_vote_whose_outcome_is_known_teaches_nothing():
    found = information(np.array([0.0, 8.0, 0.0]), np.array([0.0, 0.1, 5.0]))
    assert found[0] == pytest.approx(0, abs=1e-9)  # a coin: all of it is noise
    assert found[1] == pytest.approx(0, abs=1e-4)  # surely won
    assert found[2] > 0.3


def test_information_is_the_mutual_information_of_vote_and_taste():
    mean, std = 0.7, 1.3
    grid = np.linspace(mean - 8 * std, mean + 8 * std, 20_001)
    weight = np.exp(-((grid - mean) ** 2) / (2 * std**2))
    weight /= weight.sum()
    p = 1 / (1 + np.exp(-grid))

    def entropy(q):
        return -(q * np.log(q) + (1 - q) * np.log(1 - q))

    exact = entropy((weight * p).sum()) - (weight * entropy(p)).sum()
    assert information(np.array([mean]), np.array([std]))[0] == pytest.approx(exact, abs=1e-4)
    assert exact < math.log(2)


@pytest.fixture
def store(tmp_path):
    found = open_store(f"sqlite:///{tmp_path / 'votes.db'}")
    yield found
    found.close()


def add(store, name, one, two):
    store.add_tunes([TuneRecord(f"{name}1", one, "m", 0), TuneRecord(f"{name}2", two, "m", 0)])
    pair = Pair(name, f"{name}1", f"{name}2", "learning")
    store.add_pairs([pair])
    return pair


def test_before_there_are_votes_the_pair_that_differs_most_comes_first(store):
    rng = random.Random(0)
    reel, jig = TUNES[1], TUNES[0]
    pairs = [
        add(store, "alike", reel, changed(reel, rng)),
        add(store, "apart", reel, jig),
        add(store, "near", jig, changed(jig, rng)),
    ]
    assert pairs[Informative().choose(store, pairs)].id == "apart"
    assert Informative().choose(store, pairs[:1]) == 0


def test_what_the_votes_have_settled_is_not_asked_again(store):
    rng = random.Random(1)
    jig = TUNES[0]
    for number in range(60):  # always the one with other notes against the printed one
        pair = add(store, f"v{number}", changed(jig, rng), jig)
        store.cast(Vote(pair.id, "first", "ann"))
    chooser = Informative()
    settled = add(store, "settled", changed(jig, rng), jig)
    open_question = add(store, "open", TUNES[1], changed(TUNES[1], rng))
    found = chooser.choose(store, [settled, open_question])
    assert [settled, open_question][found].id == "open"


def test_only_the_pairs_drawn_last_are_compared(store, monkeypatch):
    monkeypatch.setattr(informative_module, "MOST_COMPARED", 2)
    rng = random.Random(2)
    jig = TUNES[0]
    far = add(store, "far", TUNES[1], jig)
    near = [add(store, f"near{number}", jig, changed(jig, rng)) for number in range(2)]
    assert Informative().choose(store, [far, *near]) in (1, 2)
    assert Informative().choose(store, [*near, far]) == 2


def test_what_was_asked_since_the_last_fit_is_not_asked_again(store):
    rng = random.Random(3)
    reel, jig = TUNES[1], TUNES[0]
    across = [add(store, f"across{number}", changed(reel, rng), jig) for number in range(4)]
    within = add(store, "within", changed(jig, rng), jig)
    chooser, chosen = Informative(), []
    for _ in range(4):
        left = [pair for pair in [*across, within] if pair.id not in chosen]
        pair = left[chooser.choose(store, left)]
        chosen.append(pair.id)
        store.cast(Vote(pair.id, "first", "ann"))
    assert chosen[0].startswith("across"), "a reel and a jig differ most"
    assert "within" in chosen, "three votes on the same difference have told most of it"


def test_a_vote_to_come_adds_its_curvature_to_the_precision():
    prior = Probe.prior(3, ridge=4.0)
    difference = np.array([[1.0, -2.0, 0.5]])
    found = prior.narrowed(difference)
    precision = 4 * np.eye(3) + difference.T @ difference / 4  # even chances: p (1 - p) is 1/4
    assert np.allclose(found.covariance, np.linalg.inv(precision))
    assert np.array_equal(found.weights, prior.weights)
    assert np.allclose(prior.covariance, np.eye(3) / 4), "the probe itself stays as it was"
