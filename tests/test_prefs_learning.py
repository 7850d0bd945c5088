"""What the votes teach, which bars a reward likes, and the event files of a run."""

import doctest
import struct

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from prefs import bar_contributions as bars_module
from prefs import event_files
from prefs.bar_contributions import bar_contributions, silenced, telling_tunes
from prefs.event_files import EventFiles
from prefs.learning_curve import learning_curve
from prefs.probe import Comparisons
from prefs.rollout import Rollouts

HEADER = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n"


def tune(rng, busy):
    """A tune of eight bars, of quarters or of eighths."""
    bar = (lambda: "".join(rng.choice(list("ABdefg"), 8))) if busy else (
        lambda: "".join(f"{note}2" for note in rng.choice(list("ABdefg"), 4))
    )  # fmt: skip
    return HEADER + "|".join(bar() for _ in range(8)) + "|\n"


@pytest.fixture(scope="module")
def tunes():
    rng = np.random.default_rng(0)
    return [tune(rng, index % 2 == 0) for index in range(160)]


def votes(count, agree, seed=1):
    """Of one busy and one calm tune the busy one wins, with the chance `agree`."""
    rng = np.random.default_rng(seed)
    busy, calm = 2 * rng.integers(0, 80, count), 2 * rng.integers(0, 80, count) + 1
    return Comparisons(busy, calm, (rng.random(count) < agree).astype(float))


def test_votes_that_agree_teach_and_the_curve_says_how_much(tunes):
    curve = learning_curve(tunes, votes(160, 0.85))
    assert curve.votes == (40, 80, 120, 160)
    assert 0.7 < curve.accuracy[-1] < 0.95 and "new votes right" in curve.line()
    assert curve.twice is None or curve.twice >= curve.accuracy[-1]


def test_votes_by_the_toss_of_a_coin_teach_nothing_and_that_is_said(tunes):
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 160, 200), rng.integers(0, 160, 200)
    tossed = Comparisons(first, second, (rng.random(200) < 0.5).astype(float))
    assert learning_curve(tunes, tossed).accuracy[-1] < 0.6
    few = learning_curve(tunes, votes(19, 1.0))
    assert few.votes == () and "Too few" in few.line()


def test_the_bar_that_a_reward_likes_is_found():
    abc = HEADER + "A2A2A2A2|ABcdefga|A2A2A2A2|G4G4|\n"

    def eighths(texts, sound):
        return np.array(
            [sum(text.split("K:D")[1].count(note) for note in "cdefga") for text in texts]
        )

    added = bar_contributions(abc, eighths)
    assert added.argmax() == 1 and abs(added.mean()) < 1e-9
    told = telling_tunes(
        Rollouts((abc, HEADER + "A8|A8|A8|A8|\n"), (True,) * 2, (True,) * 2), eighths
    )
    assert [each["which"] for each in told] == ["best", "worst"]
    assert told[0]["abc"] == abc and 1 in told[0]["best_bars"] and 1 not in told[0]["worst_bars"]


def test_a_silent_bar_keeps_its_length_and_its_words():
    assert (
        silenced('K:D\n"Am"A2 ^f>e (3ABc!trill!d|d4|', 4, 30) == 'K:D\n"Am"z2 z>z (3zzz!trill!z|d4|'
    )
    assert doctest.testmod(bars_module).failed == 0


def events(folder):
    found = []
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:  # TFRecord: length, its checksum, the record, its checksum
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_the_figures_of_a_run_are_in_event_files(tmp_path):
    files = EventFiles(tmp_path)
    files.write({"votes": 40, "accuracy": 0.5, "follows": {"notes a bar": 0.25}})
    files.write({"round": 2, "reward": 1.5, "health": {"kl": 4.0}, "taken_back": ["why"]})
    files.close()
    scalars = {
        (value.tag, event.step): value.simple_value
        for event in events(tmp_path / "tensorboard")
        for value in event.summary.value
    }
    assert scalars[("follows/notes_a_bar", 0)] == 0.25 and scalars[("accuracy", 0)] == 0.5
    assert scalars[("reward", 2)] == 1.5 and scalars[("health/kl", 2)] == 4.0
    assert scalars[("taken_back", 2)] == 1.0 and scalars[("taken_back", 0)] == 0.0
    assert doctest.testmod(event_files).failed == 0
