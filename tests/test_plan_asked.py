"""A plan of the parts and a range of pitches that were asked for are kept, whatever the model."""

import numpy as np
import pytest

from abc_tools import parse_tune, passes_gate
from musicgen.checkpoint import BUNDLED
from musicgen.header import RequestError
from musicgen.model import Shape, build_model
from musicgen.part_plan import asked_plan, part_plan
from musicgen.pitch_range import INSTRUMENT_RANGES, PitchRange, pitches_of
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import build_tokenizer, encode_prompt

REEL = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n"
HOT = SampleOptions(temperature=1.5, top_p=1.0, seed=4, constrained=True)


@pytest.fixture(scope="module")
def sampler() -> TuneSampler:
    return TuneSampler.load(BUNDLED / "base")


@pytest.fixture(scope="module")
def planned() -> TuneSampler:
    """An untrained model whose vocabulary has plan lines."""
    tunes = [
        f"X:1\nR:{rhythm}\nM:4/4\nL:1/8\n{plan}K:{key}\n|:GEGc GABc|d8:|\n|:c4 G4|[K:G] d8||\n"
        for rhythm in ("reel", "hornpipe")
        for plan in ("", "N:parts 8+8\n", "N:parts 4+8\n")
        for key in ("D", "Ador")
    ]
    tokenizer, _ = build_tokenizer(tunes, min_count=1)
    model = build_model(Shape(layers=2, heads=2, width=32, context=256), tokenizer, seed=1)
    return TuneSampler(model.eval(), tokenizer)


def may_come(sampler: TuneSampler, abc: str, plan: tuple[int, ...], left: int = 400) -> set[str]:
    state = sampler.mask.begin(encode_prompt(sampler.tokenizer, abc), plan)
    row = sampler.mask.allowed(state, left)
    texts = sampler.tokenizer.convert_ids_to_tokens(np.flatnonzero(row).tolist())
    return {text.strip() for text in texts}


def bars(number: int) -> str:
    return "|".join(["d2d2 d2d2"] * number)


@pytest.mark.parametrize(
    ("so_far", "plan", "may", "may_not"),
    [
        ("|:" + bars(7), (8, 8), {"|", "|1"}, {":|"}),  # 7 bars are not 8
        ("|:" + bars(8), (8, 8), {":|"}, {"|", "|1"}),
        ("|:" + bars(7) + "|", (8, 8), {"d2"}, {"<end>"}),
        # with a pick-up bar the last bar is short by it
        ("|:d2|" + bars(7) + "|d2d2 d2", (8, 8), {":|"}, {"|"}),
        # bars of a second ending are not counted, those of the first are
        ("|:" + bars(7) + "|1 d2d2 d2d2", (8, 8), {":|2"}, {"|"}),
        ("|:" + bars(8) + ":|\n", (8, 8), {"|:", "d2"}, {"<end>"}),
        ("|:" + bars(8) + ":|\n|:" + bars(8) + ":|\n", (8, 8), {"<end>"}, {"|:", "d2"}),
        ("|:" + bars(4) + ":|\n" + bars(8), (4, 8), {"|]"}, {"||", "|"}),
        ("|:" + bars(4) + ":|\n" + bars(8), (4, 8, 8), {"||"}, {"|]", "|"}),
    ],
)
def test_a_part_ends_when_it_has_its_bars(sampler, so_far, plan, may, may_not):
    found = may_come(sampler, REEL + so_far, plan)
    assert may <= found
    assert not may_not & found


def test_the_end_is_as_far_as_the_bars_of_the_plan_say(sampler):
    """One note of eight eighths a bar: two tokens, and the end mark; a part of 20 bars too."""
    prompt = encode_prompt(sampler.tokenizer, REEL)
    for plan in ((8,), (8, 20), (4, 5, 16)):
        assert sampler.mask.needed(sampler.mask.begin(prompt, plan)) == 2 * sum(plan) + 1
    for so_far, needed in (("", 17), ("d2d2", 17), ("d2d2 d2d2", 16), ("d2d2 d2d2|", 15)):
        ids = encode_prompt(sampler.tokenizer, REEL + bars(12) + "|" + so_far)
        assert sampler.mask.needed(sampler.mask.begin(ids, (20,))) == needed


@pytest.mark.parametrize("plan", [(8, 8), (4, 8, 9), (13,)])
def test_even_a_hot_model_keeps_the_plan(sampler, plan):
    request = TuneRequest("reel", "4/4", "G", plan=plan)
    for sample in sampler.samples(request, HOT, 3):
        assert part_plan(parse_tune(sample.abc)) == plan
        assert set(passes_gate(sample.abc, sample.finished).reasons) <= {"degenerate"}


def test_where_few_tokens_are_left_the_plan_is_kept_still(sampler):
    request = TuneRequest("jig", "6/8", "D", plan=(8, 8))
    options = SampleOptions(temperature=3.0, top_p=1.0, seed=1, max_tokens=60, constrained=True)
    for sample in sampler.samples(request, options, 3):
        assert sample.finished and sample.tokens <= 60
        assert part_plan(parse_tune(sample.abc)) == (8, 8)


def test_served_tunes_have_the_key_meter_and_plan_asked_for(sampler):
    request = TuneRequest("jig", "6/8", "Edor", plan=(8, 8))
    for sample in sampler.served(request, SampleOptions(seed=3), 3):
        tune = parse_tune(sample.abc)
        assert (tune.key.text, tune.meter.text, part_plan(tune)) == ("Edor", "6/8", (8, 8))


def test_a_plan_that_the_opening_breaks_is_refused(sampler):
    request = TuneRequest("reel", "4/4", "D", opening="|:" + bars(9) + "|", plan=(8, 8))
    with pytest.raises(RequestError, match="parts 8\\+8 cannot be had: the opening has more bars"):
        next(sampler.samples(request, HOT, 1))


def test_the_plan_line_is_drawn_or_asked_for_and_stands_in_no_tune(planned):
    request = TuneRequest("reel", "4/4")
    # a seed by which this untrained model draws no plan line in the music
    drawn = list(planned.samples(request, SampleOptions(temperature=1.0, seed=3, max_tokens=3), 16))
    assert {None, (8, 8), (4, 8)} == {sample.plan for sample in drawn}
    asked = TuneRequest("reel", "4/4", "D", plan=(4, 8))
    (sample,) = planned.samples(asked, SampleOptions(max_tokens=3), 1)
    assert sample.plan == (4, 8)
    assert not any("N:" in each.abc for each in [*drawn, sample])


def test_without_drawn_plans_a_rollout_is_the_text_that_was_drawn(planned):
    free = SampleOptions(temperature=1.0, top_p=1.0, max_tokens=40, draw_plan=False)
    for sample in planned.samples(TuneRequest("reel", "4/4", "D"), free, 8):
        assert sample.plan is None
        assert sample.abc.startswith(REEL), "nothing was taken out of what was drawn"


def test_plans_are_asked_for_in_words_and_refused_in_one_line():
    assert asked_plan("8+8+16") == (8, 8, 16)
    assert asked_plan(parts=1, bars=16) == (16,)
    for bad in ({"plan": "8,8"}, {"plan": "8", "parts": 2}, {"parts": 40}):
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            asked_plan(**bad)
    with pytest.raises(RequestError, match="parts 4 is too short"):
        TuneRequest(plan=(4,))


def test_a_note_is_in_range_by_its_key_and_the_accidentals_before_it(sampler):
    """A whistle in D goes down to d: c sharp below it is out, and so is a flattened d."""
    pitches = PitchRange(sampler.tokenizer, 62, 86)
    vocabulary = sampler.tokenizer.get_vocab()

    def inside(abc: str, note: str) -> bool:
        moves = pitches.begin(encode_prompt(sampler.tokenizer, abc))
        return bool(pitches.allowed(moves)[vocabulary[note]])

    assert inside(REEL, "D2") and not inside(REEL, "C2")
    assert not inside(REEL + "_d2", "D2"), "an accidental counts in every octave"
    assert inside(REEL + "_d2|", "D2"), "a bar line ends an accidental"
    pitches = PitchRange(sampler.tokenizer, 64, 86)
    flat = REEL.replace("K:D", "K:Eb")
    assert inside(REEL, "E2") and not inside(flat, "E2") and inside(flat + "=e2", "E2")


@pytest.mark.parametrize("instrument", ["whistle", "fiddle"])
def test_tunes_lie_within_the_range_asked_for(sampler, instrument):
    low, high = INSTRUMENT_RANGES[instrument]
    request = TuneRequest("jig", "6/8", "D", low=low, high=high)
    for sample in sampler.samples(request, HOT, 3):
        pitches = pitches_of(parse_tune(sample.abc))
        assert low <= min(pitches) and max(pitches) <= high
        assert set(passes_gate(sample.abc, sample.finished).reasons) <= {"degenerate"}


def test_a_range_without_room_for_a_tune_or_for_the_opening_is_refused(sampler):
    with pytest.raises(RequestError, match="7 semitones or more apart"):
        TuneRequest(low=62, high=65)
    request = TuneRequest("reel", "4/4", "D", opening="|:A,4 D4|", low=62)
    with pytest.raises(RequestError, match="the opening goes from pitch 57 to 62, outside"):
        next(sampler.samples(request, HOT, 1))
