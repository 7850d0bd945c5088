"""Loops are flagged and ordinary repetition is not; the gate; the counts shown to users."""

import random

import pytest

from abc_tools import parse_tune, passes_gate, repetition
from abc_tools.repetition import (
    Repetition,
    _score,
    note_codes,
    plain_statistics,
    tandem_score,
)

HEAD = "X:1\nT:t\nM:4/4\nL:1/8\nK:G\n"
EIGHT_BARS = "GABc dedB|c2A2 A2GA|Bdgd e2dB|AFDF A2GF|\nG2Bd gfed|cAFA d2cB|cedc BAGF|G2B2 G4|]\n"


def slow_score(sounds: list) -> float:
    """The definition, written down without any cleverness."""
    best = 0
    for period in range(1, 33):
        running = 0
        for index in range(len(sounds) - period):
            running = max(running, 0) + (1 if sounds[index] == sounds[index + period] else -3)
            best = max(best, running - period)
    return best


@pytest.mark.parametrize("symbols", [2, 5, 12, 400])
def test_the_score_is_its_definition(symbols):
    rng = random.Random(symbols)
    for length in (0, 1, 2, 3, 40, 150, 700):
        sounds = [(rng.randrange(symbols), 1) for _ in range(length)]
        if length > 100:
            sounds[50:90] = sounds[40:50] * 4
        found = tandem_score(sounds)
        assert found[0] == slow_score(sounds)
        assert tandem_score(sounds, above=16) == (found if found[0] > 16 else (16, 0, 0, 0))


def test_a_loop_of_two_notes_is_flagged_where_it_begins():
    tune = parse_tune(HEAD + "GABc dedB|cBAG FGAF|" + "G2B2G2B2|" * 6 + "\n")
    result = repetition(tune)
    assert result.degenerate
    assert result.where == (6, 21)
    assert (result.period, result.notes, result.score) == (2, 24, 20.0)


def test_pitches_that_loop_in_changing_lengths_are_not_flagged():
    looping = HEAD + "GABc GABc|" * 4 + "\n"
    changing = HEAD + "GABc GABc|G2AB c2GA|BcGA3 Bc|GA2B c2GA|GABc G2A2|\n"
    assert repetition(parse_tune(looping), above=16).degenerate
    assert repetition(parse_tune(changing), above=16) == Repetition(16.0, False, None)


def test_a_looping_tail_is_flagged():
    tune = parse_tune(HEAD + EIGHT_BARS.replace("|]", "|") + "GABc GABc|" * 4 + "\n")
    assert repetition(tune).degenerate


def test_a_loop_with_noise_is_flagged():
    notes = list("GABc" * 20)
    for place in (13, 37, 61):
        notes[place] = "f"
    text = "|".join("".join(notes[i : i + 8]) for i in range(0, 80, 8))
    assert repetition(parse_tune(HEAD + text + "|\n")).degenerate


def test_parts_and_bars_that_come_back_are_not_flagged():
    tune = parse_tune(HEAD + "|:GABc dedB|c2A2 A2GA|GABc dedB|AFDF G4:|\n" + EIGHT_BARS)
    result = repetition(tune)
    assert not result.degenerate
    assert result.score < 5


def test_a_tune_without_notes_has_no_loop():
    result = repetition(parse_tune(HEAD))
    assert (result.score, result.degenerate, result.where) == (0.0, False, None)


def test_plain_statistics():
    assert plain_statistics(parse_tune(HEAD + "GGGA|GGGA|B4|\n")) == {
        "notes": 9,
        "bars": 3,
        "different_bars": 2,
        "longest_run": 3,
        "distinct_4grams": 5 / 6,
    }


# --- the gate ---


def test_a_sound_tune_passes_the_gate():
    result = passes_gate(HEAD + EIGHT_BARS)
    assert result
    assert result.reasons == ()


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("nothing", ("unreadable",)),
        (HEAD + EIGHT_BARS.replace("A2GA", "A2G#"), ("unreadable", "bar-length")),
        (HEAD + EIGHT_BARS.replace("|]", ""), ("unfinished",)),
        (HEAD + "GABc dedB|G8|]\n", ("short",)),
        (HEAD + EIGHT_BARS.replace("A2GA", "A2G"), ("bar-length",)),
        (HEAD + "GABc GABc|" * 12 + "\n", ("degenerate",)),
        (HEAD, ("unreadable", "unfinished", "short")),
    ],
)
def test_the_gate_says_why_not(text, reasons):
    result = passes_gate(text)
    assert not result
    assert result.reasons == reasons


def test_a_model_that_did_not_come_to_an_end_is_unfinished():
    assert passes_gate(HEAD + EIGHT_BARS, finished=False).reasons == ("unfinished",)


def test_bars_that_complete_each_other_pass_the_gate():
    text = (
        "|:d|GABc dedB|c2A2 A2GA|Bdgd e2dB|AFDF G3:|\n|:A|G2Bd gfed|cAFA d2cB|cedc BAGF|G2B2 G3:|\n"
    )
    assert passes_gate(HEAD + text)


def test_notes_coded_as_bytes_score_as_pairs_of_pitch_and_length_do():
    pitches, lengths = [60, 64, 67, 64] * 8 + [60, 72], [3, 1, 2, 1] * 8 + [2, 2]
    codes = note_codes(pitches, lengths)
    assert codes is not None and 0 not in codes
    assert len({*codes}) == len({*zip(pitches, lengths, strict=True)}) == 5
    found = tandem_score(list(zip(pitches, lengths, strict=True)))
    assert _score(codes, 1, 0) == found == (24, 0, 4, 32)  # 28 notes like the one 4 before


def test_more_kinds_of_notes_than_a_byte_holds_have_no_codes():
    assert note_codes([1, 127], [1, 2]) is not None
    assert note_codes([1, 128], [1, 2]) is None


def test_each_pair_of_pitch_and_length_has_a_code_of_its_own():
    assert len({*(note_codes([60, 61, 60, 61], [1, 1, 2, 2]) or b"")}) == 4
