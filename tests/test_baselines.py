"""The models that the base model is compared with, and the figures of the comparison."""

import doctest
import math

import numpy as np
import pytest

from abc_tools import parse_tune
from benchmarks.experiments import tune_shapes
from benchmarks.experiments.ngram import KneserNey
from benchmarks.experiments.tune_shapes import (
    bar_echoes,
    intervals,
    phrase_ends_on_tonic,
    pitch_classes,
    shape_figures,
)

ROWS = [[1, 3, 4, 5, 3, 4, 2], [1, 3, 4, 6, 2], [1, 5, 3, 4, 5, 2]] * 2
TUNE = "X:1\nM:4/4\nL:1/4\nK:G\n|:GABc|d2D2|GABc|d2G2:|\n"


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(tune_shapes).failed == 0


@pytest.mark.parametrize("order", [1, 3, 5])
def test_an_n_gram_model_gives_all_tokens_together_probability_one(order):
    model = KneserNey(ROWS, 8, order)
    for before in ([1], [1, 3, 4], [1, 7, 7, 7], [1, 3, 4, 5, 3, 4]):
        assert model.distribution(before).sum() == pytest.approx(1)


def test_the_probability_of_a_row_is_the_product_of_its_steps():
    model = KneserNey(ROWS, 8, 3)
    row = [1, 3, 4, 6, 7, 2]
    steps = [model.distribution(row[:place])[row[place]] for place in range(1, len(row))]
    assert model.row_nats(row) == pytest.approx(-sum(map(math.log, steps)))


def test_a_bigram_by_hand():
    """3 follows 1 twice and 5 once; three kinds of bigram are too few to estimate discounts from,
    so one occurrence gives up 0.5, two 0.75. Of the unigram, 3 and 5 follow different tokens."""
    model = KneserNey([[1, 3], [1, 3], [1, 5]], 8, 2)
    # continuation counts: 3 -> 1, 5 -> 1, each less 0.5; what is left goes to 8 equal shares
    unigram = {token: 0.5 / 2 + 0.5 / 8 for token in (3, 5)}
    left = (0.75 + 0.5) / 3
    assert model.distribution([1])[3] == pytest.approx((2 - 0.75) / 3 + left * unigram[3])
    assert model.distribution([1])[5] == pytest.approx((1 - 0.5) / 3 + left * unigram[5])


def test_rows_drawn_from_an_n_gram_model_begin_and_end_with_their_marks():
    model = KneserNey(ROWS, 8, 3)
    rng = np.random.default_rng(0)
    rows = [model.sample(1, 2, rng) for _ in range(20)]
    assert all(row[0] == 1 and row[-1] == 2 for row in rows)
    assert [1, 3, 4, 6, 2] in rows


def test_what_is_counted_of_a_tune():
    tune = parse_tune(TUNE)
    assert list(pitch_classes(tune))[:4] == [0, 2, 4, 5]  # semitones above G
    assert list(intervals(tune))[:5] == [2, 2, 1, 2, -12]
    assert list(bar_echoes(tune)) == [0, 0, 2, 0]
    assert list(phrase_ends_on_tonic(tune)) == [True]


def test_tunes_are_at_no_distance_from_themselves():
    figures = shape_figures([TUNE], [TUNE])
    assert set(figures["distances"].values()) == {0.0}
    assert figures["bars_heard_before"] == 0.25 and figures["parts_end_on_tonic"] == 1.0
