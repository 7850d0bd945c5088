"""What is given stays note for note: openings, endings, and the bars that a tweak leaves alone."""

import doctest

import pytest
import torch

from abc_tools import parse_tune, passes_gate
from musicgen import tweak as module
from musicgen.checkpoint import BUNDLED
from musicgen.header import RequestError
from musicgen.opening import request_from_abc
from musicgen.redraw import _weights
from musicgen.sample import SampleOptions, TuneSampler
from musicgen.tokenizer import encode_prompt
from musicgen.tweak import fill_middle, read_bars, tweak

JIG = """X:1
T:The Tester's Jig
R:jig
M:6/8
L:1/8
K:D
|:G/2E/2|DFA d2e|fdB AFA|GBG AFD|EFG FED|
DFA d2e|fdB AFA|GBG AFD|EDD D2:|
|:d/2e/2|fdf fdf|afa afa|fdf fed|efg aga|
bgb afa|geg fdf|edc dcB|ABA AFD:|
"""
SEED = SampleOptions(seed=1)


@pytest.fixture(scope="module")
def sampler() -> TuneSampler:
    return TuneSampler.load(BUNDLED / "base")


def bars(abc: str) -> list[str]:
    """Each bar as it is written, its lines left out."""
    tune = parse_tune(abc)
    return [tune.source[bar.elements[0].start : bar.elements[-1].end] for bar in tune.bars]


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


def test_bars_are_written_as_ranges_and_anything_else_is_refused_in_a_line():
    assert read_bars("5-8, 3") == {3, 5, 6, 7, 8}
    for bad in ("", "a", "0", "8-5", "1-9999"):
        with pytest.raises(RequestError, match=r"^[^\n]+ are no bars: [^\n]+$"):
            read_bars(bad)


def test_a_tweak_changes_the_bars_asked_for_and_no_other(sampler):
    old, new = bars(JIG), bars(tweak(sampler, parse_tune(JIG), SEED, bars={3, 4, 11}).abc)
    assert len(new) == len(old)
    changed = {
        number for number, pair in enumerate(zip(old, new, strict=True), 1) if len({*pair}) > 1
    }
    assert changed and changed <= {3, 4, 11}


def test_a_tweak_of_a_share_keeps_the_rest_and_the_last_bar_and_is_sound(sampler):
    made = tweak(sampler, parse_tune(JIG), SEED)
    assert passes_gate(made.abc)
    old, new = bars(JIG), bars(made.abc)
    changed = [number for number, pair in enumerate(zip(old, new, strict=True)) if len({*pair}) > 1]
    assert 1 <= len(changed) <= 5 and len(old) - 1 not in changed  # a quarter of 18, the last never
    lines = [[char for char in abc if char in "|:"] for abc in (made.abc, JIG)]
    assert lines[0] == lines[1]
    assert made.abc == tweak(sampler, parse_tune(JIG), SEED).abc
    assert made.abc != tweak(sampler, parse_tune(JIG), SampleOptions(seed=2)).abc


def test_what_a_plain_text_has_no_word_for_is_kept_outside_the_new_bars(sampler):
    rich = JIG.replace("afa afa", '"A7"{b}a~fa !trill!afa', 1)
    made = tweak(sampler, parse_tune(rich), SEED, bars={3, 4}).abc
    assert '"A7"{b}a~fa !trill!afa' in made
    assert parse_tune(made).title == "The Tester's Jig"


def test_bars_that_a_tune_does_not_have_are_refused(sampler):
    with pytest.raises(RequestError, match="the tune has 18 bars, so there is no bar 40"):
        tweak(sampler, parse_tune(JIG), SEED, bars={40})


def test_the_middle_has_the_bars_asked_for_and_both_ends_are_kept(sampler):
    opening = "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n|:DFA d2e|fdB AFA|"
    ending = "GBG AFD|EDD D3:|"
    made = fill_middle(sampler, opening, ending, 5, SEED)
    assert passes_gate(made.abc)
    found = bars(made.abc)
    assert found[:2] == ["DFA d2e", "fdB AFA"] and found[-2:] == ["GBG AFD", "EDD D3"]
    assert len(found) == 2 + 5 + 2


def test_a_pick_up_bar_and_an_unfinished_bar_of_the_opening_are_kept(sampler):
    opening = "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n|:A|DFA d2e|fdB A"
    ending = "K:D\nGBG AFD|EDD D2:|"
    found = bars(fill_middle(sampler, opening, ending, 4, SEED).abc)
    assert found[:2] == ["A", "DFA d2e"] and found[2].startswith("fdB A")
    assert found[-2:] == ["GBG AFD", "EDD D2"]
    assert len(found) == 1 + 2 + 4 + 2


def test_passages_without_notes_and_no_bars_are_refused(sampler):
    header = "X:1\nM:6/8\nL:1/8\nK:D\n"
    for opening, ending, count, message in (
        (header, "ABc|", 2, "the opening holds no notes"),
        (header + "ABc def|", "|", 2, "the ending holds no notes"),
        (header + "ABc def|", "ABc def|", 0, "ask for one or more"),
    ):
        with pytest.raises(RequestError, match=message):
            fill_middle(sampler, opening, ending, count, SEED)


@pytest.mark.parametrize("opening", ["|:A|DFA d2e|fdB A", "DFA d2e|fdB AFA|", "A2|:DFA d2e|"])
def test_a_tune_from_an_opening_begins_with_it_note_for_note(sampler, opening):
    header = "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n"
    request = request_from_abc(header + opening)

    def sounds(abc):
        elements = (e for bar in parse_tune(abc).bars for e in bar.elements)
        return [(getattr(e, "pitch", None), e.ticks) for e in elements]

    want = sounds(header + opening)
    have = sounds(next(sampler.served(request, SampleOptions(seed=5), 1)).abc)
    assert have[: len(want)] == want


def test_the_weight_of_a_filling_is_the_probability_of_what_follows(sampler):
    """By hand from the model's own forward pass, for two fillings of unequal length."""
    tokenizer, decoder = sampler.tokenizer, sampler.decoder
    before = encode_prompt(tokenizer, "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n|:DFA d2e|")
    fillings = [tokenizer.encode(bar, add_special_tokens=False) for bar in ("f2d A3|", "dcB AFA|")]
    after = tokenizer.encode("GBG AFD|", add_special_tokens=False)
    with torch.inference_mode():
        cache = decoder.new_cache(1, len(before))
        decoder(torch.tensor([before]), 0, cache)
        found = _weights(sampler, cache, fillings, after)
        for filling, weight in zip(fillings, found, strict=True):
            row = [*before, *filling, *after]
            whole = decoder.new_cache(1, len(row))
            logprobs = decoder.token_logprobs(torch.tensor([row]), 0, whole)[0]
            assert weight == pytest.approx(float(logprobs[-len(after) :].sum()), abs=1e-3)
