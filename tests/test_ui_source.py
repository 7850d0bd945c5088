"""The model behind the page: what it is asked, and what is said when it cannot answer."""

import logging
from types import SimpleNamespace

import pytest

from musicgen.header import RequestError
from musicgen.records import tune_id as generated_tune_id
from musicgen.sample import TEMPERATURE, SampleError, TuneRequest, TuneSampler
from musicgen.tokenizer import lexemes
from ui.choices import KEYS, METERS, RHYTHMS, Choices
from ui.library import tune_id
from ui.source import Known, ModelSource, NoModel, SourceError


class Sampler:
    """Stands for a loaded TuneSampler: answers with one tune, or raises `error`."""

    titles = ()
    headers = SimpleNamespace(rhythms=["reel"], meters=["4/4"], keys=["D"])

    def __init__(self, error=None):
        self.discarded = 0
        self.asked = []
        self.error = error

    def served(self, request, options, n):
        self.asked.append((request, options.seed, options.temperature, n))
        self.discarded += 2
        if self.error:
            raise self.error
        yield SimpleNamespace(abc="X:1\nK:D\nABc|\n")


@pytest.fixture
def source_with(monkeypatch, tmp_path):
    def make(sampler):
        monkeypatch.setattr(TuneSampler, "load", lambda folder: sampler)
        (tmp_path / "models" / "mine").mkdir(parents=True, exist_ok=True)
        return ModelSource("mine", tmp_path)

    return make


def test_the_model_is_asked_for_what_was_chosen_with_the_usual_temperature(source_with):
    sampler = Sampler()
    source = source_with(sampler)
    assert source.name == "mine" and source.known == Known()
    assert source.write(Choices(rhythm="reel", meter="4/4", key="D"), 42) == "X:1\nK:D\nABc|\n"
    assert sampler.asked == [(TuneRequest("reel", "4/4", "D"), 42, TEMPERATURE, 1)]
    assert source.known == Known(("reel",), ("4/4",), ("D",), TEMPERATURE)


def test_calm_and_wild_are_the_temperature_and_an_opening_is_put_into_canonical_form(source_with):
    sampler = Sampler()
    source_with(sampler).write(Choices(None, "4/4", "D", 1.2, None, "A>B cd"), 1)
    ((request, _, temperature, _),) = sampler.asked
    assert (request.opening, temperature) == ("A3/2B/2cd", 1.2)


def test_discarded_tunes_are_counted_in_the_log(source_with, caplog):
    source = source_with(Sampler())
    with caplog.at_level(logging.INFO, "musicgen"):
        source.write(Choices(), 5)
        source.write(Choices(), 6)
    assert "(seed 6), 2 discarded for it, 4 so far" in caplog.text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            SampleError("48 tunes"),
            "No sound tune came of these choices; make it calmer, or leave one",
        ),
        (RequestError("this model knows no key 'F#'"), "This model knows no key 'F#'."),
    ],
)
def test_a_model_that_finds_nothing_says_what_to_change(source_with, error, message):
    with pytest.raises(SourceError) as refused:
        source_with(Sampler(error)).write(Choices(), 1)
    assert str(refused.value).startswith(message)
    assert not isinstance(refused.value, NoModel)


def test_loading_ahead_makes_known_what_can_be_asked_for(source_with):
    source = source_with(Sampler())
    source.load()
    assert source.known.rhythms == ("reel",)


def test_a_missing_model_is_one_sentence_that_names_the_repair(tmp_path):
    with pytest.raises(NoModel) as refused:
        ModelSource("nosuch", tmp_path).write(Choices(), 1)
    message = str(refused.value)
    assert message.startswith("There is no model to write tunes: no model 'nosuch'")
    assert "`musicgen train`" in message and "\n" not in message


def test_a_damaged_model_folder_is_named(tmp_path):
    folder = tmp_path / "models" / "broken"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    with pytest.raises(NoModel, match=r"broken lacks model\.safetensors"):
        ModelSource("broken", tmp_path).write(Choices(), 1)


def test_what_the_menus_offer_is_one_token_each_to_the_model():
    for letter, values in (("R", RHYTHMS), ("M", METERS), ("K", KEYS)):
        for value in values:
            assert lexemes(f"{letter}:{value}\n") == [f"{letter}:{value}\n"]


def test_a_tune_has_the_same_id_here_as_in_musicgen_generate():
    assert tune_id("X:1\nK:D\nABc|\n") == generated_tune_id("X:1\nK:D\nABc|\n")


def test_parts_and_bars_become_a_plan(source_with):
    sampler = Sampler()
    source_with(sampler).write(Choices(parts=3, bars=8), 1)
    assert sampler.asked[0][0] == TuneRequest(plan=(8, 8, 8))


def test_an_instrument_that_it_should_fit_becomes_a_range(source_with):
    sampler = Sampler()
    source_with(sampler).write(Choices(fits="whistle"), 1)
    assert sampler.asked[0][0] == TuneRequest(low=62, high=86)
