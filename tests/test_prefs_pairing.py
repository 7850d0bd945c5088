"""Which pair a rater hears next, and how the counter of the page is worked out."""

from dataclasses import replace

import numpy as np
import pytest

from prefs.pairing import FORGOTTEN_AFTER, Stock, next_kind, next_pair, swapped
from prefs.records import Pair, TuneRecord, Vote
from prefs.sitting import Progress, repeated_alike, votes_an_hour
from prefs.store import open_store

ABC = "X:1\nM:4/4\nL:1/8\nK:D\nd4 d4|]\n"


@pytest.fixture
def store(tmp_path):
    found = open_store(f"sqlite:///{tmp_path / 'votes.db'}")
    yield found
    found.close()


def add(store, name, kind="learning", models=("base", "base"), **more):
    tunes = [TuneRecord(f"{name}-{n}", ABC, model, 0) for n, model in enumerate(models)]
    store.add_tunes(tunes)
    pair = Pair(name, tunes[0].id, tunes[1].id, kind, created=name, **more)
    store.add_pairs([pair])
    return pair


def cast(store, pair, choice="first", rater="ann", minute=0):
    store.cast(Vote(pair.id, choice, rater, at=f"2026-11-24T10:{minute:02}:00+00:00"))


def test_a_pair_that_somebody_voted_on_or_holds_does_not_come_again(store):
    pairs = [add(store, f"p{n}") for n in range(5)]
    cast(store, pairs[0])
    cast(store, pairs[1], rater="bob")
    cast(store, pairs[2], "skip")
    stock = Stock.of(store, "ann", holding=["p3"])
    assert [pair.id for pair in stock.learning] == ["p4"]
    assert stock.heard == 3  # two of her own and the one on the page
    assert Stock.of(store, "ann", taken=["p3", "p4"]).learning == ()


def test_an_undone_pair_is_not_handed_out_as_new(store):
    pair = add(store, "p")
    cast(store, pair)
    store.undo("p", "ann")
    assert Stock.of(store, "bob").learning == ()


def test_three_learning_pairs_come_to_one_evaluation_pair():
    rng = np.random.default_rng(0)
    kinds = [
        next_kind(Stock((), (), (), heard), rng, rivals=True, trial=False) for heard in range(400)
    ]
    assert kinds.count("evaluation") == 100
    assert {kinds[n] for n in range(3, 400, 4)} == {"evaluation"}
    alone = next_kind(Stock((), (), (), 3), rng, rivals=False, trial=False)
    assert alone == "learning"


def test_a_blind_trial_brings_evaluation_pairs_alone():
    rng = np.random.default_rng(0)
    stock = Stock((), (), (Pair("p", "a", "b", "learning"),), 0)
    assert {next_kind(stock, rng, rivals=True, trial=True) for _ in range(50)} == {"evaluation"}
    assert next_kind(stock, rng, rivals=False, trial=True) != "evaluation"


def test_one_pair_in_twenty_comes_again_with_its_sides_swapped(store):
    pairs = [add(store, f"p{n:02}") for n in range(FORGOTTEN_AFTER + 3)]
    for pair in pairs:
        cast(store, pair)
    stock = Stock.of(store, "ann")
    assert {pair.id for pair in stock.repeatable} == {"p00", "p01", "p02"}
    rng = np.random.default_rng(1)
    kinds = [next_kind(stock, rng, rivals=False, trial=False) for _ in range(2000)]
    assert 0.035 < kinds.count("repeat") / 2000 < 0.065
    repeat = next_pair(stock, "repeat", rng)
    original = next(pair for pair in pairs if pair.id == repeat.repeat_of)
    assert (repeat.first, repeat.second) == (original.second, original.first)


def test_a_repetition_whose_page_was_closed_is_taken_up_and_comes_once_only(store):
    pairs = [add(store, f"p{n:02}") for n in range(FORGOTTEN_AFTER + 1)]
    for pair in pairs:
        cast(store, pair)
    repeat = swapped(pairs[0])
    store.add_pairs([repeat])
    rng = np.random.default_rng(0)
    assert next_pair(Stock.of(store, "ann"), "repeat", rng).id == repeat.id
    cast(store, repeat, "second")
    assert "p00" not in {pair.id for pair in Stock.of(store, "ann").repeatable}
    assert repeat.id not in {pair.id for pair in Stock.of(store, "bob").learning}


def test_swapping_keeps_each_first_draw_with_its_tune():
    pair = Pair("p", "a", "b", "learning", options={"first_draw_sound": [True, False]})
    again = swapped(pair)
    assert again.options["first_draw_sound"] == [False, True]
    assert again.repeat_of == "p" and again.id != "p"


def test_only_pairs_of_the_two_rivals_are_compared(store):
    add(store, "old", "evaluation", ("base", "old"))
    add(store, "new", "evaluation", ("tuned", "base"))
    model_of = {tune.id: tune.model for tune in store.tunes()}
    stock = Stock.of(store, "ann").between(("base", "tuned"), model_of.__getitem__)
    assert [pair.id for pair in stock.evaluation] == ["new"]


def test_of_several_learning_pairs_the_chooser_has_its_way():
    pairs = tuple(Pair(f"p{n}", "a", "b", "learning") for n in range(3))
    rng = np.random.default_rng(0)
    stock = Stock(pairs, pairs[:2], (), 0)
    assert next_pair(stock, "learning", rng, choose=lambda found: 2).id == "p2"
    # evaluation pairs are never chosen among: that would bias the comparison
    assert next_pair(stock, "evaluation", rng, choose=lambda found: 1).id == "p0"
    assert next_pair(replace(stock, learning=()), "learning", rng) is None


def test_agreement_counts_the_tune_and_not_the_side():
    pairs = [Pair("p", "a", "b", "learning"), Pair("r", "b", "a", "learning", repeat_of="p")]
    same = [Vote("p", "first", "ann"), Vote("r", "second", "ann")]
    other = [Vote("p", "first", "ann"), Vote("r", "first", "ann")]
    ties = [Vote("p", "tie", "ann"), Vote("r", "tie", "ann")]
    strangers = [Vote("p", "first", "ann"), Vote("r", "second", "bob")]
    assert repeated_alike(pairs, same) == [True]
    assert repeated_alike(pairs, other) == [False]
    assert repeated_alike(pairs, ties) == [True]
    assert repeated_alike(pairs, strangers) == []


def test_votes_an_hour_are_those_of_the_last_sitting():
    times = [f"2026-11-24T09:00:{s:02}+00:00" for s in (0, 1, 2)]
    times += [f"2026-11-24T10:00:{s:02}+00:00" for s in (0, 10, 20, 30)]
    assert votes_an_hour(times) == 360
    assert votes_an_hour(times[:2]) is None
    assert votes_an_hour(["yesterday", "", times[0]]) is None


def test_progress_leaves_skips_out(store):
    pairs = [add(store, f"p{n}") for n in range(4)]
    for minute, choice in enumerate(("first", "skip", "tie", "second")):
        cast(store, pairs[minute], choice, minute=minute)
    assert Progress.of(store, "ann") == Progress(3, 40, None, 0)
    assert Progress.of(store, "bob").votes == 0
