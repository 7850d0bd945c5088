"""The extra training targets: how full a bar is, and what may follow."""

import math
from fractions import Fraction

import pytest
import torch

from musicgen.bar_state import IGNORED, BarGrammar, grammar_loss
from musicgen.tokenizer import build_tokenizer, encode_tune

TUNE = "X:1\nM:4/4\nL:1/8\nK:D\n|:A|D2F/2 (3ABc z2|d3/2-d4|d8|]\n"


def grammar_of(abc: str, min_count: int = 1) -> tuple[BarGrammar, list[int]]:
    tokenizer, _ = build_tokenizer([abc], min_count=1)
    ids = encode_tune(tokenizer, abc)
    return BarGrammar(tokenizer, [ids], min_count=min_count), ids


def places(abc: str) -> list[Fraction | None]:
    grammar, ids = grammar_of(abc)
    return [state.place for state in grammar.states(ids)]


def allowed_at(abc: str, token: int) -> set[str]:
    """What of the body's own words may follow the token at that place."""
    grammar, ids = grammar_of(abc)
    state = list(grammar.states(ids))[token]
    words = {grammar.words[index]: index for index in ids[5:]}
    return {word for word, index in words.items() if grammar._allows(state, index)}


def test_lengths_add_up_since_the_bar_line_and_start_again_behind_it() -> None:
    assert places(TUNE) == [
        *(None, None, None, None, 0),  # the begin mark, X: M: L:, and K: that ends the header
        *(0, 1, 0),  # |: A |
        *(2, Fraction(5, 2)),  # D2 F/2
        *(Fraction(5, 2), Fraction(19, 6), Fraction(23, 6), Fraction(9, 2)),  # (3 A B c
        *(Fraction(13, 2), 0),  # z2 |
        *(Fraction(3, 2), Fraction(3, 2), Fraction(11, 2), 0),  # d3/2 - d4 |
        *(8, 0, 0),  # d8 |] <end>
    ]


def test_five_notes_of_a_tuplet_take_three_in_compound_meters_and_two_elsewhere() -> None:
    assert places("X:1\nM:6/8\nL:1/8\nK:D\n(5ABcde|\n")[-3] == 3
    assert places("X:1\nM:4/4\nL:1/8\nK:D\n(5ABcde|\n")[-3] == 2


def test_a_note_may_fill_the_bar_but_not_overfill_it() -> None:
    abc = "X:1\nM:4/4\nL:1/8\nK:D\n|:A|d6d3|d2d8:|\n"  # the second bar is 9/8
    after_d6 = 8
    assert allowed_at(abc, after_d6) == {"A", "d2", "|:", ":|\n"}  # not d3, d8, a plain bar line


def test_a_plain_bar_line_needs_a_full_bar_or_a_pick_up_at_the_start_of_a_part() -> None:
    abc = "X:1\nM:4/4\nL:1/8\nK:D\n|:A|d8|d4:|\n"
    assert "|" in allowed_at(abc, 6)  # after the pick-up
    assert allowed_at(abc, 8) == {"|", "|:", ":|\n"}  # the bar is full
    assert "|" not in allowed_at(abc, 10)  # d4 in a later bar
    assert ":|\n" in allowed_at(abc, 10)  # but a part may end on a short bar


def test_a_tuplet_must_be_filled() -> None:
    grammar, ids = grammar_of("X:1\nM:2/4\nL:1/8\nK:D\n(3ABcd2|]\n")
    states = list(grammar.states(ids))
    assert not any(grammar._allows(state, grammar.end) for state in states[5:])  # 1 bar is short
    bar_line = ids[-2]
    assert not grammar._allows(states[7], bar_line)  # two notes into the triplet


def test_a_tune_may_end_behind_its_eighth_bar_line() -> None:
    grammar, ids = grammar_of("X:1\nM:2/4\nL:1/8\nK:D\n|:" + "d4|" * 7 + "d4:|\n")
    end = [grammar._allows(state, grammar.end) for state in grammar.states(ids)]
    assert end[5:-2] == [False] * (len(ids) - 7)
    assert end[-2:] == [True, True]


def test_what_is_spelled_out_is_not_allowed_and_not_counted_until_the_next_bar_line() -> None:
    grammar, ids = grammar_of("X:1\nM:2/4\nL:1/8\nK:D\nd2%d2|d4|]\n")
    states = list(grammar.states(ids))
    percent = ids[6]
    assert not grammar._allows(states[5], percent)
    assert [state.place for state in states[6:9]] == [None, None, 0]


def test_rare_positions_and_headers_have_no_target() -> None:
    grammar, ids = grammar_of(TUNE, min_count=4)
    assert grammar.positions == 1  # only 0 is there four times
    positions, _ = grammar.targets(ids)
    assert positions[:5] == [IGNORED] * 4 + [0]


def test_where_a_real_tune_breaks_the_rule_the_loss_is_left_out() -> None:
    grammar, ids = grammar_of("X:1\nM:4/4\nL:1/8\nK:D\n|:A|d6d3|d8:|\n")
    _, indices = grammar.targets(ids)
    assert len(indices) == len(ids) - 1
    assert indices[8] == 0  # before d3, which overfills
    assert indices[7] > 0  # before d6


def test_the_loss_is_minus_the_log_of_the_probability_that_is_allowed() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]]))  # (1, 2, 3)
    masks = torch.tensor([[True, True, True], [True, False, True]])
    loss = grammar_loss(logits, torch.tensor([[1, 0]]), masks)
    assert loss.item() == pytest.approx(-math.log(0.7))
    assert grammar_loss(logits, torch.tensor([[0, IGNORED]]), masks).item() == 0
