"""The plan of a tune: bars a part, pick-ups, endings, and the header line that says it."""

import pytest

from abc_tools import parse_tune
from musicgen.part_plan import part_plan, plan_text, read_plan, with_plan, without_plan

HEADER = "X:1\nM:4/4\nL:1/8\nK:D\n"
BAR = "d8|"


@pytest.mark.parametrize(
    ("body", "plan"),
    [
        ("|:" + BAR * 7 + "d8:|\n|:" + BAR * 7 + "d8:|\n", (8, 8)),
        ("|:A2|" + BAR * 7 + "d6:|\n|:A2|" + BAR * 7 + "d6:|\n", (8, 8)),
        ("A2|:" + BAR * 7 + "d6A2:|\n|:" + BAR * 7 + "d6:|\n", (8, 8)),
        ("|:" + BAR * 7 + "|1d8:|2d8||\n" + BAR * 15 + "d8|]\n", (8, 16)),
        ("|:" + BAR * 3 + "d8:|\n" + BAR * 7 + "d8||\n" + BAR * 7 + "d8|]\n", (4, 8, 8)),
        (BAR * 9 + "d8|]\n", (10,)),
    ],
)
def test_the_plan_counts_the_bars_of_each_part_once(body: str, plan: tuple[int, ...]) -> None:
    assert part_plan(parse_tune(HEADER + body)) == plan


def test_a_tune_in_free_meter_has_no_plan() -> None:
    assert part_plan(parse_tune("X:1\nM:none\nL:1/8\nK:D\nd8|d8|]\n")) == ()


def test_the_plan_line_stands_before_the_key_and_is_taken_out_again() -> None:
    abc = HEADER + BAR * 8
    planned = with_plan(abc, (8,))
    assert planned == "X:1\nM:4/4\nL:1/8\nN:parts 8\nK:D\n" + BAR * 8
    assert without_plan(planned) == abc
    assert parse_tune(planned).key.text == "D"


def test_a_plan_is_read_back_from_its_text() -> None:
    assert read_plan(plan_text((8, 16, 8))) == (8, 16, 8)
    assert read_plan("parts of me") == ()
