"""The decoder against transformers' own forward pass, and drawing tokens."""

import numpy as np
import pytest
import torch

from abc_tools import parse_tune
from musicgen.closure import comes_home
from musicgen.draw import Noise, choose, exponentials
from musicgen.guesser import Guesser
from musicgen.header import RequestError
from musicgen.model import Shape, build_model
from musicgen.pitch_range import pitches_of
from musicgen.sample import (
    Decoder,
    SampleError,
    SampleOptions,
    TuneRequest,
    TuneSampler,
)
from musicgen.tokenizer import build_tokenizer, encode_prompt

HEADERS = [
    f"X:1\n{rhythm}M:{meter}\nL:1/8\nK:{key}\n"
    for rhythm, meter in (("R:reel\n", "4/4"), ("R:jig\n", "6/8"), ("", "3/4"))
    for key in ("D", "Ador", "Emin")
]
TUNES = [f"{header}|:GEGc GAB^c|c2e2 d2z2|A3/2B/2 cdef|d8:|\n" for header in HEADERS]


@pytest.fixture(scope="module")
def sampler() -> TuneSampler:
    tokenizer, _ = build_tokenizer(TUNES, min_count=1)
    model = build_model(Shape(layers=2, heads=2, width=32, context=96), tokenizer, seed=1)
    return TuneSampler(model.eval(), tokenizer)


def test_the_decoder_gives_the_logits_of_transformers_token_by_token(sampler: TuneSampler) -> None:
    tokenizer = sampler.tokenizer
    model = build_model(Shape(layers=2, heads=2, width=32, context=96), tokenizer, seed=1).eval()
    ids = torch.tensor([encode_prompt(tokenizer, abc)[:30] for abc in TUNES[:2]])  # (2, 30)
    with torch.inference_mode():
        expected = model(ids).logits
        decoder = Decoder(model)
        cache = decoder.new_cache(2, 30)
        got = [decoder(ids[:, :10], 0, cache)]
        got += [decoder(ids[:, at : at + 1], at, cache) for at in range(10, 30)]
    torch.testing.assert_close(torch.stack(got, dim=1), expected[:, 9:], atol=1e-4, rtol=1e-4)


def test_choose_takes_the_token_whose_weight_is_most_for_its_random_number() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.0, 0.6, 0.3]]))
    # .1 / 1, 0 / 1, .6 / 1, .3 / 1; then .1 / .1 = 1 is most; then .6 / 4 = .15 < .3 / 1
    numbers = ([1, 1, 1, 1], [0.1, 1, 1, 1], [1, 1e-300, 4, 1])
    assert [int(choose(logits, np.array([e]), 1.0, 1.0)[0][0]) for e in numbers] == [2, 0, 3]
    _, logprob = choose(logits, np.array([[1, 1, 4, 1]]), 1.0, 1.0)
    assert logprob[0] == pytest.approx(np.log(0.3))


def test_choose_draws_from_the_distribution() -> None:
    shares = np.array([0.05, 0.5, 0.15, 0.3])
    noise = exponentials(np.random.default_rng(3), (20_000, 4))
    logits = torch.log(torch.tensor(shares)).expand(20_000, -1)
    seen = np.bincount(choose(logits, noise, 1.0, 1.0)[0], minlength=4)
    expected = 20_000 * shares
    assert ((seen - expected) ** 2 / expected).sum() < 16.27  # chi-square, 3 degrees, 1 in 1,000


def test_choose_never_draws_what_has_no_weight() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    tiny = np.finfo(np.float64).tiny
    noise = np.array([[tiny, 1.0, tiny, 2.0, tiny]])
    assert choose(logits, noise, 1.0, 1.0)[0][0] == 1
    assert exponentials(np.random.default_rng(0), 1_000).min() >= tiny


def test_random_numbers_that_were_looked_at_are_those_that_are_taken() -> None:
    plain = Noise(np.random.default_rng(5), 3)
    looking = Noise(np.random.default_rng(5), 3)
    ahead = [looking.ahead(place) for place in (2, 0, 1)]
    taken = [looking.take() for _ in range(4)]
    assert np.array_equal([ahead[1], ahead[2], ahead[0]], taken[:3])
    assert np.array_equal(taken, [plain.take() for _ in range(4)])


def test_top_p_keeps_the_smallest_set_that_reaches_its_mass() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.6, 0.3]]))
    first = np.array([[1e-9, 1.0, 0.1]])  # the numbers want 0, and next 2
    token, logprob = choose(logits, first, 1.0, 0.85)
    assert token[0] == 2
    assert logprob[0] == pytest.approx(np.log(0.3 / 0.9))
    token, logprob = choose(logits, first, 1.0, 0.6)
    assert (token[0], logprob[0]) == (1, 0.0)


def test_a_low_temperature_sharpens_the_distribution() -> None:
    logits = torch.log(torch.tensor([[0.4, 0.6]]))
    _, logprob = choose(logits, np.array([[1e-9, 1.0]]), 0.5, 1.0)
    assert logprob[0] == pytest.approx(np.log(0.16 / 0.52))


def test_the_same_seed_gives_the_same_tunes_whatever_the_batch(sampler: TuneSampler) -> None:
    options = SampleOptions(temperature=1.0, top_p=1.0, seed=7, max_tokens=40)
    together = list(sampler.samples(TuneRequest(), options, 6))
    singly = list(sampler.samples(TuneRequest(), options, 6, batch=1))
    assert [s.abc for s in together] == [s.abc for s in singly]
    assert len({s.abc for s in together}) == 6
    other = next(sampler.samples(TuneRequest(), SampleOptions(1.0, 1.0, 8, 40), 1))
    assert other.abc != together[0].abc


def test_what_was_asked_for_stands_in_the_header_and_the_opening_is_kept(
    sampler: TuneSampler,
) -> None:
    request = TuneRequest("jig", "6/8", "A dorian", "|:c2e2 d2z2|")
    for sample in sampler.samples(request, SampleOptions(seed=3, max_tokens=10), 3):
        assert sample.abc.startswith("X:1\nR:jig\nM:6/8\nL:1/8\nK:Ador\n|:c2e2 d2z2|")


def test_a_rhythm_left_open_is_drawn_to_fit_the_meter_asked_for(sampler: TuneSampler) -> None:
    options = SampleOptions(temperature=1.0, top_p=1.0, max_tokens=1)
    for sample in sampler.samples(TuneRequest(meter="6/8"), options, 5):
        assert "\nM:6/8\n" in sample.abc


def test_an_unknown_choice_is_refused_with_what_the_model_knows(sampler: TuneSampler) -> None:
    with pytest.raises(RequestError, match=r"no rhythm 'tango'; it knows jig, reel$"):
        next(sampler.samples(TuneRequest("tango"), SampleOptions(), 1))
    with pytest.raises(RequestError, match="'H flat' is no key: write it as D, Ador"):
        next(sampler.samples(TuneRequest(key="H flat"), SampleOptions(), 1))


def test_an_opening_longer_than_the_model_reads_is_refused(sampler: TuneSampler) -> None:
    request = TuneRequest("reel", "4/4", "D", "cdef gabc|" * 20)
    with pytest.raises(SampleError, match="the model reads 96: give fewer bars"):
        next(sampler.samples(request, SampleOptions(), 1))


@pytest.mark.parametrize("bad", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_options_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(SampleError, match=r"is not"):
        SampleOptions(**bad)


def test_serving_an_untrained_model_gives_up_with_advice_and_counts_what_it_threw_away(
    sampler: TuneSampler,
) -> None:
    before = sampler.discarded
    with pytest.raises(SampleError, match="only 0 of 1 were sound: lower the temperature"):
        list(sampler.served(TuneRequest(), SampleOptions(max_tokens=20), 1, attempts=4))
    assert sampler.discarded - before >= 4


def test_a_tune_can_be_had_piece_by_piece(sampler: TuneSampler) -> None:
    options = SampleOptions(temperature=1.0, top_p=1.0, seed=23, max_tokens=40)
    # of a seed whose random bytes are characters
    (whole,) = sampler.samples(TuneRequest("jig", "6/8", "D"), options, 1)
    *pieces, last = sampler.stream(TuneRequest("jig", "6/8", "D"), options)
    assert last == whole
    assert "".join(map(str, pieces)) == whole.abc
    assert len(pieces) > 10 and str(pieces[0]).startswith("X:1\nR:jig\n")


def test_the_decoder_computes_in_bfloat16_where_that_is_asked_for(sampler: TuneSampler) -> None:
    model = build_model(
        Shape(layers=2, heads=2, width=32, context=96), sampler.tokenizer, seed=1
    ).eval()
    ids = torch.tensor([encode_prompt(sampler.tokenizer, TUNES[0])[:20]])
    exact, rough = Decoder(model), Decoder(model, torch.bfloat16)
    with torch.inference_mode():
        ours = rough(ids, 0, rough.new_cache(1, 20))
        theirs = exact(ids, 0, exact.new_cache(1, 20))
    assert ours.dtype == torch.float32 and rough.new_cache(1, 20).dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.05)


def test_copies_of_printed_tunes_are_not_served(sampler: TuneSampler, tmp_path) -> None:
    from musicgen.checkpoint import BUNDLED
    from musicgen.copy_filter import CopyFilter
    from musicgen.novelty import FILE_NAME, NoveltyIndex

    serving = TuneSampler.load(BUNDLED / "base")
    request, options = TuneRequest("jig", "6/8", "D"), SampleOptions(seed=3)
    first = next(serving.served(request, options, 1))
    melody = pitches_of(parse_tune(first.abc))
    serving.is_copy = lambda abc: pitches_of(parse_tune(abc)) == melody
    other = next(serving.served(request, options, 1))
    assert other.abc != first.abc and serving.discarded >= 1
    assert not CopyFilter(tmp_path)(first.abc), "no index, and none is built"
    assert not (tmp_path / FILE_NAME).exists()
    copies = CopyFilter(tmp_path)
    copies._index = NoveltyIndex.of([("book:1", "First", parse_tune(first.abc))])
    assert copies(first.abc) and not copies(other.abc)


def test_what_is_guessed_is_how_the_last_tokens_went_on_before() -> None:
    guesser = Guesser()
    assert guesser.guess([1, 2, 3, 4], 5) == []
    assert guesser.guess([1, 2, 3, 4, 9, 1, 2, 3], 5) == [4, 9, 1, 2, 3]
    assert guesser.guess([1, 2, 3, 4, 9, 1, 2, 3], 2) == [4, 9]
    assert guesser.guess([1, 2, 3, 4, 9, 1, 2, 3, 7, 1, 2, 3], 1) == [7]  # the latest time counts
    assert guesser.guess([1, 2, 3, 4, 9, 1, 2, 3, 7, 1, 2, 3], 0) == []


def test_guessing_changes_nothing_that_is_drawn(
    sampler: TuneSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SampleOptions(temperature=0.3, top_p=1.0, seed=7, max_tokens=80)  # goes in circles
    request = TuneRequest("jig", "6/8", "D", "|:GEGc GAB^c|c2e2 d2z2|GEGc")
    guessing = list(sampler.samples(request, options, 3, batch=1))
    monkeypatch.setattr(Guesser, "guess", lambda *_: [])
    plain = list(sampler.samples(request, options, 3, batch=1))
    assert [s.abc for s in guessing] == [s.abc for s in plain]
    assert [s.logprob for s in guessing] == pytest.approx([s.logprob for s in plain], abs=1e-3)


def test_served_tunes_come_home_and_one_that_does_not_comes_when_none_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from musicgen.checkpoint import BUNDLED

    serving = TuneSampler.load(BUNDLED / "base")
    options = SampleOptions(seed=4)
    served = list(serving.served(TuneRequest(key="Gdor"), options, 6))
    assert all(comes_home(parse_tune(sample.abc)) for sample in served)
    rows = [sample.row for sample in served]
    assert rows == sorted(rows) and rows[-1] > 5, "some were passed over"
    assert next(serving.served(TuneRequest(key="Gdor"), options, 1)).abc == served[0].abc

    monkeypatch.setattr("musicgen.sample.comes_home", lambda tune: False)
    (astray,) = serving.served(TuneRequest(key="Gdor"), options, 1)
    assert astray.row <= rows[0], "the first sound one"


@pytest.mark.parametrize(
    ("key", "last", "home"),
    [
        ("D", "d", True),
        ("D", "A,", True),
        ("D", "e", False),
        ("Bb", "F", True),
        ("F#min", "c", True),
        ("Eb", "_B", True),
        ("none", "e", True),
    ],
)
def test_a_tune_comes_home_to_its_tonic_or_its_fifth(key: str, last: str, home: bool) -> None:
    tune = parse_tune(f"X:1\nM:4/4\nL:1/4\nK:{key}\nCDEF|GAB{last}|]\n")
    assert comes_home(tune) == home
