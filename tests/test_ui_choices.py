"""What a listener can choose, and the words for it."""

import doctest
import re

import pytest

from abc_tools import decode_bytes
from musicgen.corpus import BOOKS, music21_folder
from musicgen.pitch_range import INSTRUMENT_RANGES
from ui import choices as module
from ui import names
from ui.choices import (
    KEYS,
    METERS,
    METERS_OF,
    RHYTHMS,
    ChoiceError,
    Choices,
    key_name,
    menu,
    offered,
)


def test_the_examples_in_the_docstrings_hold():
    for each in (module, names):
        assert doctest.testmod(each).failed == 0
        assert doctest.testmod(each).attempted > 0


def test_choices_left_open_are_the_default_choices_and_equal_ones_share_a_shelf():
    assert Choices.read({}) == Choices()
    assert Choices.read({"rhythm": "", "key": None, "temperature": None}) == Choices()
    assert Choices.read({"rhythm": "jig", "temperature": "0.9000001"}) == Choices(
        rhythm="jig", temperature=0.9
    )


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"temperature": 9}, "The temperature 9 is out of range: 0.7 to 1.5."),
        ({"seed": -1}, "The seed -1 is out of range: 0 to 999999."),
        ({"seed": "x"}, "The seed 'x' is not a number."),
        ({"seed": float("nan")}, "The seed nan is out of range: 0 to 999999."),
        ({"rhythm": ["jig"]}, "['jig'] is not a choice; reload the page."),
        (
            {"opening": "A" * 401},
            "The opening is too long: give at most 400 characters, a bar or two.",
        ),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused_in_one_sentence(sent, message):
    with pytest.raises(ChoiceError) as refused:
        Choices.read(sent)
    assert str(refused.value) == message


def test_only_what_was_chosen_is_stored_beside_a_tune():
    assert Choices(rhythm="reel", seed=7).as_options() == {"rhythm": "reel", "seed": 7}
    assert Choices(rhythm="reel", seed=7).without_seed().as_options() == {"rhythm": "reel"}


def test_the_menus_narrow_to_what_the_model_knows_in_our_order():
    assert offered(RHYTHMS, ("waltz", "jig", "unheard of")) == ("jig", "waltz")
    assert offered(RHYTHMS, ()) == RHYTHMS


def test_every_rhythm_on_the_menu_has_meters_on_the_menu_and_every_key_has_a_name():
    assert set(METERS_OF) <= set(RHYTHMS)
    assert all(set(meters) <= set(METERS) for meters in METERS_OF.values())
    assert all(key_name(key) != key for key in KEYS)
    shown = menu(RHYTHMS, METERS, KEYS)
    assert {row["value"]: row["meters"] for row in shown["rhythms"]}["slip jig"] == ("9/8",)


def test_titles_differ_between_tunes_and_never_change_for_one():
    titles = [names.title_for(str(number)) for number in range(200)]
    assert titles == [names.title_for(str(number)) for number in range(200)]
    assert len(set(titles)) > 180
    assert all(title[0].isupper() and "  " not in title for title in titles)


def test_no_title_is_one_of_the_books():
    def plain(title: str) -> str:
        return " ".join(word for word in re.findall(r"[a-z0-9']+", title.lower()) if word != "the")

    texts = [
        decode_bytes(path.read_bytes())
        for book in BOOKS
        if book.default
        for path in music21_folder().glob(book.files)
    ]
    printed = {plain(title) for text in texts for title in re.findall(r"^T:(.*)", text, re.M)}
    assert len(printed) > 3500
    made = {names.title_for(str(number)) for number in range(100_000)}
    assert [title for title in made if plain(title) in printed] == []


def test_parts_and_bars_are_whole_numbers_from_the_menu():
    chosen = Choices.read({"parts": "2", "bars": 16})
    assert (chosen.parts, chosen.bars) == (2, 16)
    with pytest.raises(ChoiceError, match="number of parts 9 is out of range: 1 to 4"):
        Choices.read({"parts": 9})


def test_a_tune_can_be_asked_to_fit_an_instrument():
    assert Choices.read({"fits": "whistle"}).fits == "whistle"
    with pytest.raises(ChoiceError, match="There is no instrument 'tuba': choose fiddle, flute"):
        Choices.read({"fits": "tuba"})
    assert {row["value"] for row in menu((), (), ())["fits"]} == set(INSTRUMENT_RANGES)
