"""The loop guard: the same score as the gate's, and loops that become dearer note by note."""

import numpy as np
import pytest
import torch

from abc_tools import parse_tune
from abc_tools.repetition import repetition
from musicgen.draw import take_off
from musicgen.loop_guard import FREE, LoopGuard
from musicgen.tokenizer import build_tokenizer, encode_tune

HEADER = "X:1\nM:4/4\nL:1/8\nK:C\n"
LOOP = HEADER + "|:CDEF|GABc|CDEF|GABc|CDEF|GABc|CDEF|GABc|CD EF:|\n"
SOUND = HEADER + "|:CDEF|GABc|dcBA|GFED|E2C2|D2B,2|C4|z4:|\n"


@pytest.fixture(scope="module")
def guard() -> tuple[LoopGuard, dict[str, int]]:
    tokenizer, _ = build_tokenizer([LOOP, SOUND], min_count=1)
    return LoopGuard(tokenizer, 0.5), tokenizer.get_vocab()


def after(text: str, guard: LoopGuard) -> tuple[np.ndarray | None, float]:
    """Costs behind a tune, and the score of its present loop."""
    tokenizer, _ = build_tokenizer([LOOP, SOUND], min_count=1)
    state = guard.begin(encode_tune(tokenizer, text))
    return guard.costs(state), float((state.running - np.arange(1, 33)).max())


def test_the_score_of_a_loop_is_that_of_the_gate(guard: tuple[LoopGuard, dict[str, int]]) -> None:
    # 36 notes in periods of 8: 28 are like the note 8 before, less the period: 20
    assert repetition(parse_tune(LOOP)).score == 20
    assert after(LOOP, guard[0])[1] == 20


def test_the_note_that_goes_on_with_a_loop_costs_half_a_nat_a_point(
    guard: tuple[LoopGuard, dict[str, int]],
) -> None:
    costs, points = after(LOOP, guard[0])
    assert costs is not None
    # behind F the loop goes on with G, of a beam (" G") or not
    dear = {word for word, index in guard[1].items() if costs[index] > 0}
    assert "G" in dear and {word.strip() for word in dear} == {"G"}
    assert costs[guard[1]["G"]] == pytest.approx(0.5 * (points - FREE))


def test_a_tune_that_does_not_loop_pays_nothing(guard: tuple[LoopGuard, dict[str, int]]) -> None:
    assert after(SOUND, guard[0])[0] is None
    once_again = HEADER + "|:CDEF|GABc|CDEF|GA"  # 6 alike in a period of 8
    assert after(once_again, guard[0])[0] is None


def test_costs_are_taken_off_the_logits_of_their_row_alone() -> None:
    logits = torch.zeros(2, 3)
    assert take_off(logits, [None, None]) is logits
    dearer = take_off(logits, [None, np.array([0.0, 1.5, 0.0])])
    assert dearer.tolist() == [[0, 0, 0], [0, -1.5, 0]]
    assert logits.sum() == 0
