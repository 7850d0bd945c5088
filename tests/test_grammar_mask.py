"""Under the mask a tune is readable, its bars are full, its repeats balance, and it ends."""

from pathlib import Path

import numpy as np
import pytest
import torch

from abc_tools import decode_bytes, parse_tune, passes_gate, split_tunes
from musicgen.checkpoint import BUNDLED
from musicgen.corpus import BOOKS, music21_folder, plain_text
from musicgen.draw import mask_logits
from musicgen.grammar_mask import GrammarMask
from musicgen.header import TuneRequest
from musicgen.sample import SampleOptions, TuneSampler
from musicgen.tokenizer import encode_prompt, encode_tune
from musicgen.tune_grammar import END, TuneGrammar, TuneState, read_word

REEL = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n"


@pytest.fixture(scope="module")
def sampler() -> TuneSampler:
    return TuneSampler.load(BUNDLED / "base")


@pytest.fixture(scope="module")
def mask(sampler: TuneSampler) -> GrammarMask:
    return sampler.mask


def allowed_after(mask: GrammarMask, sampler: TuneSampler, abc: str, left: int = 400) -> set[str]:
    """Texts of the tokens that may come after `abc`."""
    row = mask.allowed(mask.begin(encode_prompt(sampler.tokenizer, abc)), left)
    return set(sampler.tokenizer.convert_ids_to_tokens(np.flatnonzero(row).tolist()))


@pytest.mark.parametrize(
    ("so_far", "may", "may_not"),
    [
        # two eighths of the bar are left
        (REEL + "|:d2d2 d2d2|d2d2 d2", {"d2", "(3"}, {"d4", "|", "d3"}),
        # the bar is full: a bar line, and no tuplet or note
        (REEL + "|:d2d2 d2d2", {"|", "-"}, {"d", "(3", " d2"}),
        # a repeat is open: no second one, no end
        (REEL + "|:d2d2 d2d2|", {"d", "d2"}, {"|:", "<end>", "||\n"}),
        # a part that was not opened is not closed by :|
        (REEL + "d2d2 d2d2|d2d2 d2d2", {"|"}, {":|\n"}),
        # a second ending comes behind the first
        (REEL + "|:" + "d2d2 d2d2|" * 3 + "1 d2d2 d2d2", {":|2"}, {"|1", "||\n"}),
        # three notes in the time of two: the third one first
        (REEL + "|:d2d2 d2 (3de", {"f"}, {"f2", "|"}),
    ],
)
def test_what_may_come_next(mask, sampler, so_far, may, may_not):
    found = allowed_after(mask, sampler, so_far)
    texts = {text.strip(" ") for text in found}
    assert {text.strip(" ") for text in may} <= texts
    assert not ({text.strip(" ") for text in may_not} & texts)


def test_the_end_mark_comes_behind_eight_bars_and_a_closed_repeat(mask, sampler):
    bars = "|:" + "|".join(["d2d2 d2d2"] * 8)
    assert "<end>" not in allowed_after(mask, sampler, REEL + bars)
    assert "<end>" in allowed_after(mask, sampler, REEL + bars + ":|\n")
    four = "|:" + "|".join(["d2d2 d2d2"] * 4) + ":|\n"
    assert "<end>" not in allowed_after(mask, sampler, REEL + four)


def test_where_few_tokens_are_left_the_tune_makes_for_its_end(mask, sampler):
    bars = REEL + "|:" + "|".join(["d2d2 d2d2"] * 8)
    texts = allowed_after(mask, sampler, bars, left=2)
    assert ":|\n" in texts and "|" not in texts and "|\n" not in texts
    assert allowed_after(mask, sampler, REEL + "|:d2", left=3), "never nothing at all"


def test_the_lexemes_of_printed_tunes_are_allowed(mask, sampler):
    """Of the sound tunes of a book nearly all could have been written under the mask;
    the others hold lexemes too rare for the vocabulary, or end in ways of their own."""
    book = next(book for book in BOOKS if book.name == "oneill1850")
    possible = tunes = 0
    for path in sorted(music21_folder().glob(book.files))[:2]:
        for part in split_tunes(decode_bytes(Path(path).read_bytes()))[:400]:
            abc = plain_text(parse_tune(part), "reel")
            ids = encode_tune(sampler.tokenizer, abc)
            if not passes_gate(abc) or len(ids) > 500:
                continue
            tunes += 1
            start = len(
                encode_prompt(sampler.tokenizer, abc[: abc.index("\n", abc.index("K:")) + 1])
            )
            state = mask.begin(ids[:start])
            for place in range(start, len(ids)):
                if not mask.allowed(state, len(ids) - place)[ids[place]]:
                    break
                state = mask.read(state, ids[place])
            else:
                possible += 1
    assert tunes > 40 and possible / tunes > 0.93


@pytest.mark.parametrize(
    "header", [("reel", "4/4", "D"), ("jig", "6/8", "Ador"), ("minuet", "3/4", "G")]
)
def test_what_is_written_under_the_mask_is_sound_but_for_loops(sampler, header):
    options = SampleOptions(temperature=1.0, top_p=1.0, seed=2, constrained=True)
    for sample in sampler.samples(TuneRequest(*header), options, 8):
        gate = passes_gate(sample.abc, sample.finished)
        assert set(gate.reasons) <= {"degenerate"}, sample.abc
        assert sample.masked >= 0


def test_a_hot_model_still_ends_in_time(sampler):
    options = SampleOptions(temperature=3.0, top_p=1.0, seed=1, max_tokens=160, constrained=True)
    for sample in sampler.samples(TuneRequest("jig", "6/8", "D"), options, 4):
        assert sample.finished and sample.tokens <= 160
        assert set(passes_gate(sample.abc, True).reasons) <= {"degenerate"}


def test_somebodys_own_opening_may_break_the_rules(sampler):
    opening = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\nd2d2 d2d2d2|f|]"
    state = sampler.mask.begin(encode_prompt(sampler.tokenizer, opening))
    assert sampler.mask.allowed(state, 300).any()


def test_the_mask_takes_what_is_not_allowed_and_says_how_much():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    kept, taken = mask_logits(logits, np.array([[True, False, True]]))
    assert torch.isinf(kept[0, 1]) and kept[0, 0] == logits[0, 0]
    assert taken == pytest.approx([-np.log(0.75)])


def test_the_same_seed_gives_the_same_tune_in_any_batch(sampler):
    options = SampleOptions(seed=9, constrained=True)
    request = TuneRequest("reel", "4/4", "D")
    together = [s.abc for s in sampler.samples(request, options, 4, batch=4)]
    apart = [s.abc for s in sampler.samples(request, options, 4, batch=1)]
    assert together == apart


def test_the_distance_to_the_end_is_the_fewest_words():
    grammar = TuneGrammar(["D8", "|", "|\n", ":|\n", "|:", "||\n", "|]\n", "D4"])
    state = TuneState()
    for text in ("M:4/4\n", "L:1/8\n", "K:D\n"):
        state = grammar.after(state, read_word(text))
    # eight bars of one note and a line each, and the end mark
    assert grammar.distance(state) == 17
    for text in ("D8", "|"):
        state = grammar.after(state, read_word(text))
    assert grammar.distance(state) == 15
    assert END.kind == "end" and not grammar.ends(state)
