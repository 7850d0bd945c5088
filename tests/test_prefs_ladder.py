"""The synthetic ladder: damage that keeps a tune sound, and pairs that need no vote."""

import json
import re

import numpy as np

from abc_tools import parse_tune, passes_gate
from prefs.ladder import build_ladder, damaged, disordered, with_foreign_bars, with_moved_notes

HEADER = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n"
TUNE = (
    HEADER
    + "|:DEFG AB^cd|edcB AGFE|FAdf edcB|A2F2 D4:|\n|:f2e2 d2c2|BcdB AFED|GABc dcBA|G2E2 D4:|\n"
)
OTHER = (
    HEADER
    + "|:a2b2 a2f2|g2e2 c2A2|a2b2 a2g2|f2d2 d4:|\n|:d2f2 a2f2|g2b2 e2g2|f2a2 d2f2|e2c2 d4:|\n"
)


def bars(abc: str) -> list[str]:
    return re.findall(r"[^|:\n]{3,}", abc.removeprefix(HEADER))


def test_bars_in_disorder_are_the_same_bars():
    found = disordered(parse_tune(TUNE), [], np.random.default_rng(0))
    assert bars(found) != bars(TUNE)
    assert sorted(bars(found)) == sorted(bars(TUNE))
    assert passes_gate(found)


def test_moved_notes_keep_their_lengths_and_accidentals_stay():
    found = with_moved_notes(parse_tune(TUNE), [], np.random.default_rng(0))
    assert found != TUNE
    lengths = [[e.ticks for b in parse_tune(abc).bars for e in b.elements] for abc in (TUNE, found)]
    assert lengths[0] == lengths[1]
    assert found.count("^c") == 1
    moved = [
        one.step - other.step
        for one, other in zip(
            (e for b in parse_tune(TUNE).bars for e in b.elements),
            (e for b in parse_tune(found).bars for e in b.elements),
            strict=True,
        )
    ]
    assert {abs(step) for step in moved} <= {0, 2, 3, 4, 5}
    assert sum(step != 0 for step in moved) == round(0.3 * (len(moved) - 1))  # ^c may not move


def test_foreign_bars_come_from_the_other_tune():
    found = with_foreign_bars(parse_tune(TUNE), [OTHER], np.random.default_rng(1))
    new = [one for one, old in zip(bars(found), bars(TUNE), strict=True) if one != old]
    assert len(new) == 2  # 0.3 of eight bars
    assert set(new) <= set(bars(OTHER))


def test_damage_always_passes_the_gate():
    rng = np.random.default_rng(2)
    found = [damaged(TUNE, [OTHER], rng) for _ in range(20)]
    assert all(abc is not None and abc != TUNE and passes_gate(abc) for abc in found)


def test_the_printed_tune_is_the_better_one_on_either_side():
    rng = np.random.default_rng(3)
    ladder = build_ladder([TUNE, OTHER], [OTHER, TUNE], 2, rng)
    votes = ladder.comparisons
    assert len(votes) == 4  # each printed tune above its damaged copy and a tune of the model
    better = np.where(votes.outcome == 1, votes.first, votes.second)
    assert {ladder.tunes[index] for index in better} == {TUNE, OTHER}
    assert sorted(votes.outcome) == [0, 0, 1, 1]
    assert json.dumps(ladder.tunes)  # plain text throughout
