"""Header fields: keys, meters, unit lengths, tempi, rhythms, orders of parts."""

from fractions import Fraction

import pytest

from abc_tools import parse_tune, unfold
from abc_tools.fields import RHYTHMS, parse_key, parse_rhythm
from abc_tools.tune import WHOLE

NATURAL = [60, 62, 64, 65, 67, 69, 71]


def signature(key: str) -> str:
    """The notes that a key raises or lowers, as "F# C#"."""
    tune = parse_tune(f"X:1\nT:t\nM:none\nL:1/8\nK:{key}\nCDEFGAB|\n")
    moved = [
        note.pitch - natural for note, natural in zip(unfold(tune).notes, NATURAL, strict=True)
    ]
    signs = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
    names = {letter: signs[move] for letter, move in zip("CDEFGAB", moved, strict=True) if move}
    return " ".join(letter + names[letter] for letter in "FCGDAEB" if letter in names)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("C", ""),
        ("G", "F#"),
        ("D", "F# C#"),
        ("F", "Bb"),
        ("Bb", "Eb Bb"),
        ("F#", "F# C# G# D# A# E#"),
        ("Cb", "Fb Cb Gb Db Ab Eb Bb"),
        ("C#", "F# C# G# D# A# E# B#"),
        ("Am", ""),
        ("Amin", ""),
        ("A minor", ""),
        ("EM", "F#"),  # as abc2midi: M alone is m
        ("Gmaj", "F#"),
        ("G Major", "F#"),
        ("F#m", "F# C# G#"),
        ("Ador", "F#"),
        ("A Dorian", "F#"),
        ("A DOR", "F#"),
        ("Dmix", "F#"),
        ("D mixolydian", "F#"),
        ("Ephr", ""),
        ("Flyd", ""),
        ("Glydian", "F# C#"),
        ("Bloc", ""),
        ("Cion", ""),
        ("Eaeo", "F#"),
        ("HP", "F# C#"),
        ("Hp", "F# C#"),
        ("none", ""),
        ("", ""),
        ("D exp ^f", "F#"),
        ("D exp _b ^f", "F# Bb"),
        ("Dphr ^f", "F# Eb Bb"),
        ("D =c", "F#"),
        ("C ^f _b", "F# Bb"),
        ("D clef=treble", "F# C#"),
        ("Gm bass", "Eb Bb"),
        ("none ^f", "F#"),
    ],
)
def test_a_key_has_this_signature(key, wanted):
    assert signature(key) == wanted


@pytest.mark.parametrize(
    ("key", "semitones"),
    [
        ("G octave=-1", -12),
        ("G clef=treble-8", -12),
        ("G treble+8", 12),
        ("G transpose=2", 2),
        ("G clef=treble-8 transpose=-3", -15),
        ("G clef=bass", 0),
    ],
)
def test_clefs_and_transposition_move_the_sound(key, semitones):
    tune = parse_tune(f"X:1\nT:t\nM:none\nL:1/8\nK:{key}\nG|\n")
    assert unfold(tune).notes[0].pitch == 67 + semitones


def test_a_key_has_one_spelling():
    spelled = [parse_key(text).text for text in ("A minor", "Ador", "F Lydian", "Gmaj", "HP", "")]
    assert spelled == ["Amin", "Ador", "Flyd", "G", "HP", "none"]


def test_a_key_in_the_body_changes_what_follows_and_a_clef_alone_does_not():
    tune = parse_tune("X:1\nT:t\nM:none\nL:1/8\nK:G\nF|[K:C]F|\nK:D\nF|[K:bass]F|\n")
    assert [note.pitch for note in unfold(tune).notes] == [66, 65, 66, 66]


@pytest.mark.parametrize(
    ("meter", "unit"),
    [
        ("4/4", "1/8"), ("3/4", "1/8"), ("6/8", "1/8"), ("C", "1/8"), ("C|", "1/8"),
        ("2/4", "1/16"), ("3/8", "1/16"), ("5/8", "1/16"), ("none", "1/8"), ("", "1/8"),
        ("(2+3+2)/8", "1/8"), ("2+2/8", "1/16"),
    ],
)  # fmt: skip
def test_the_meter_gives_the_unit_length_if_no_field_does(meter, unit):
    tune = parse_tune(f"X:1\nT:t\nM:{meter}\nK:C\nC|\n")
    assert tune.unit_length == Fraction(unit)


def test_without_a_meter_the_unit_length_is_an_eighth():
    assert parse_tune("X:1\nT:t\nK:C\nC|\n").unit_length == Fraction(1, 8)


@pytest.mark.parametrize(
    ("meter", "length", "text"),
    [
        ("C", "1", "4/4"), ("C|", "1", "C|"), ("2/2", "1", "C|"), ("6/8", "3/4", "6/8"),
        ("(2+3)/8", "5/8", "5/8"), ("3/2", "3/2", "3/2"),
    ],
)  # fmt: skip
def test_a_meter_has_a_length_and_one_spelling(meter, length, text):
    tune = parse_tune(f"X:1\nT:t\nM:{meter}\nK:C\nC|\n")
    assert (tune.meter.length, tune.meter.text) == (Fraction(length), text)


def test_free_meter_has_no_length():
    assert parse_tune("X:1\nT:t\nM:none\nK:C\nC|\n").meter.length is None


@pytest.mark.parametrize(
    ("tempo", "quarters"),
    [
        ("1/4=120", 120), ("3/8=60", 90), ("1/2=100", 200), ("1/4 3/8 1/4 3/8=40", 200),
        ('"Allegro" 1/4=96', 96), ('1/4=72 "Slow"', 72), ("1/4 = 120", 120), ("120", 60),
        ("C=120", 60), ("C3=60", 90), ("1/4=88.5", 88.5),
    ],
)  # fmt: skip
def test_a_tempo_in_quarters_a_minute(tempo, quarters):
    tune = parse_tune(f"X:1\nT:t\nM:4/4\nL:1/8\nQ:{tempo}\nK:C\nC|\n")
    assert tune.diagnostics == ()
    assert tune.tempo is not None
    assert tune.tempo.quarters_per_minute == quarters


def test_a_tempo_of_words_only_has_no_number():
    tune = parse_tune('X:1\nT:t\nQ:"Andante"\nK:C\nC|\n')
    assert tune.tempo is not None
    assert (tune.tempo.words, tune.tempo.beats_per_minute) == ("Andante", 0)


def test_rhythms_have_one_name():
    assert parse_rhythm("Double Jig") == "jig"
    assert parse_rhythm(" REEL. ") == "reel"
    assert parse_rhythm("slipjig") == "slip jig"
    assert parse_rhythm("Liebes - Lied") == ""
    assert {"jig", "reel", "hornpipe", "waltz", "polka"} <= set(RHYTHMS)


def test_fields_of_the_head_of_a_file_are_inherited():
    from abc_tools import split_tunes

    text = "M:6/8\nL:1/4\nR:jig\n\nfree text\nX:1\nT:a\nK:D\nF|\n\nX:2\nT:b\nL:1/8\nK:G\nF|\n"
    first, second = map(parse_tune, split_tunes(text))
    assert (first.meter.text, first.unit_length, first.rhythm) == ("6/8", Fraction(1, 4), "jig")
    assert (second.meter.text, second.unit_length) == ("6/8", Fraction(1, 8))
    assert second.first_line == 11
    assert second.diagnostics == ()


def test_ticks_divide_into_all_usual_lengths():
    assert all(WHOLE % (8 * number) == 0 for number in (2, 3, 5, 7, 9, 11, 13, 17, 19, 256))
