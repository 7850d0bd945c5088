"""From where the two tunes of a pair are heard, and to where."""

import pytest

from ui.excerpt import excerpt_ms, parting
from ui.playback import score

HEAD = "X:1\nM:4/4\nL:1/8\nQ:1/4=120\nK:D\n"  # a bar lasts 2,000 ms


def tune(bars):
    return score(HEAD + bars)


BARS = [f"{a}2 {b}2 {c}2 {a}2" for a in "DEFG" for b in "AB" for c in "de"]  # 16 different ones


def test_two_tunes_part_at_the_first_note_that_differs():
    one = tune("D2 A2 d2 D2|E2 A2 e2 E2|F2 A2 d2 F2|G8|]\n")
    other = tune("D2 A2 d2 D2|E2 A2 e2 E2|F2 A2 e2 F2|G8|]\n")
    assert parting(one, other) == 10
    assert parting(one, one) == 12  # the last note, where nothing differs


def test_an_excerpt_starts_with_the_bar_of_the_parting_and_lasts_eight_bars():
    found = tune("|".join(BARS) + "|]\n")
    assert excerpt_ms(found, 10, 8) == (4000.0, 20000.0)


def test_an_excerpt_that_the_tune_cannot_fill_ends_with_the_tune():
    found = tune("|".join(BARS[:6]) + "|]\n")
    assert excerpt_ms(found, 8, 8) == (4000.0, 12000.0)


def test_bars_are_counted_as_they_are_played():
    found = tune("|:" + "|".join(BARS[:4]) + ":|\n" + "|".join(BARS[4:8]) + "|]\n")
    # bars 3 and 4, the repeat of 1 to 4, then 5 and 6
    assert excerpt_ms(found, 8, 8) == (4000.0, 20000.0)


def test_a_one_bar_repeat_is_two_bars():
    found = tune(f"|:{BARS[0]}:|{BARS[1]}|{BARS[2]}|]\n")
    assert excerpt_ms(found, 0, 2) == (0.0, 4000.0)


def test_equal_beginnings_of_unequal_length_part_at_the_last_shared_note():
    one = tune("|".join(BARS[:3]) + "|]\n")
    other = tune("|".join(BARS[:8]) + "|]\n")
    note = parting(one, other)
    assert note == 11
    assert excerpt_ms(one, note, 8) == (4000.0, 6000.0)


@pytest.mark.parametrize("bars", [1, 4])
def test_a_held_note_of_the_parting_bar_is_heard_from_the_bar(bars):
    found = tune("D2 A2 d2 D2|E8|F8|G8|A8|]\n")
    assert excerpt_ms(found, 4, bars) == (2000.0, 2000.0 + 2000 * bars)
