"""Which bars are played, in which order. Each letter is a bar of one note; case and order count."""

from dataclasses import replace

import pytest

from abc_tools import parse_tune, unfold

LETTERS = {60: "C", 62: "D", 64: "E", 65: "F", 67: "G", 69: "A", 71: "B"}


def played(body: str, parts: str = "") -> str:
    order = f"P:{parts}\n" if parts else ""
    tune = parse_tune(f"X:1\nT:t\n{order}M:4/4\nL:1/1\nK:C\n{body}\n")
    return "".join(LETTERS[note.pitch] for note in unfold(tune).notes)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("A|B|C|]", "ABC"),
        ("|:A|B:|", "ABAB"),
        ("|:A::B:|C", "AABBC"),
        ("|:A:|:B:|", "AABB"),
        ("|:A:||:B:|", "AABB"),
        ("[|:A:||:B:|]", "AABB"),
        ("|::A::|", "AAA"),
        ("|:::A:::|B", "AAAAB"),
        # without a sign to go back to
        ("A|B:|C|", "ABABC"),
        ("A:|B:|", "AABB"),
        ("A||B:|", "ABAB"),
        ("A:|B||C:|", "AABCC"),
        ("|:A:|B|]C:|", "AABCC"),
        ("|:A||B:|", "ABAB"),
        ("A|:B|C|]", "ABC"),
        # endings
        ("|:A|1B:|2C|]", "ABAC"),
        ("|:A|[1B:|[2C|]", "ABAC"),
        ("|:A [1 B:|\n[2 C|]", "ABAC"),
        ("|:A|1B:|2C:|", "ABAC"),
        ('|:A|["1"B:|["2."C|]', "ABAC"),
        ('|:A:|["Coda"B|]', "AAB"),
        ("|:A|1B:|2C:|D:|", "ABACDD"),
        ("|:A|1B|2C|]", "ABAC"),
        ("|:A|1B:|C|]", "ABAC"),
        ("|:A|1,3B:|2,4C|]D", "ABACABACD"),
        ("|:A|1-3B:|4C|]", "ABABABAC"),
        ("|:A|1B:|2C:|3D|]", "ABACAD"),
        ("|:A:|2B|]", "AAB"),
        ("A|1B:|2C||D|]", "ABACD"),
        ("|:A|1B:|2C|:D:|", "ABACDD"),
        ("|:A|1B:|2C::D:|", "ABACDD"),
        # as abc2midi plays what the standard leaves open
        ("A|1B:|2C||D|1E:|2F|]", "ABACDF"),
        ("|:A|1B:|2C||D|1E:|2F|]", "ABACDF"),
        ("A|1B:|2C||D:|", "ABACDAD"),
        ("|:A:|B|1C:|2D||E:|F:|", "AABCBDEBEF"),
        # liberal bar lines
        ("|A|B|||C|][|D|", "ABCD"),
        (":A:|", "AA"),
    ],
)
def test_repeats_are_played_as_printed(body, wanted):
    assert played(body) == wanted


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ("ABA", "CDC"),
        ("A2B", "CCD"),
        ("A2B(AB)2", "CCDCDCD"),
        ("((A2B)2A)2", "CCDCCDCCCDCCDC"),
        ("A.B.A", "CDC"),
        ("A B", "CD"),
        ("BAQ", "DC"),
        ("A(B", "CD"),
    ],
)
def test_parts_are_played_in_the_order_of_the_header(parts, wanted):
    assert played("P:A\nC|\nP:B\nD|", parts) == wanted
    assert played("[P:A]C|[P:B]D|", parts) == wanted


def test_repeats_inside_parts_are_played_each_time():
    assert played("P:A\n|:C:|\nP:B\nD|1E:|2F|]", "ABA") == "CCDEDFCC"


def test_music_before_the_first_part_is_played_first():
    assert played("E|\nP:A\nC|\nP:B\nD|", "BA") == "EDC"


def test_part_labels_without_an_order_change_nothing():
    assert played("P:A\nC|\nP:B\nD|") == "CD"


def test_a_tie_does_not_reach_back_to_the_start_of_a_repeat():
    tune = parse_tune("X:1\nT:t\nM:4/4\nL:1/1\nK:C\n|:A-:|A|]\n")
    lengths = [(note.pitch, int(note.length)) for note in unfold(tune).notes]
    assert lengths == [(69, 1), (69, 2)]


def test_a_tie_reaches_into_the_second_ending():
    tune = parse_tune("X:1\nT:t\nM:4/4\nL:1/1\nK:C\n|:A-|1A:|2A|]\n")
    assert [int(note.length) for note in unfold(tune).notes] == [2, 2]


def test_the_first_voice_is_played_and_the_others_can_be_asked_for():
    tune = parse_tune("X:1\nT:t\nM:4/4\nL:1/1\nK:C\n[V:1]C|[V:2]E|\n[V:1]D|[V:2]F|\n")
    assert [note.pitch for note in unfold(tune).notes] == [60, 62]
    assert [note.pitch for note in unfold(tune, 1).notes] == [64, 65]
    assert [voice.name for voice in tune.voices] == ["1", "2"]


def test_voices_keep_their_own_accidentals_lengths_and_octaves():
    tune = parse_tune(
        "X:1\nT:t\nM:4/4\nL:1/4\nV:1\nV:2 bass octave=-1\nK:C\n"
        "V:1\n^C2C2|\nV:2\nL:1/8\nC4C4|\nV:1\nC4|\n"
    )
    assert [note.pitch for note in unfold(tune).notes] == [61, 61, 60]
    assert [(note.pitch, str(note.length)) for note in unfold(tune, 1).notes] == [
        (48, "1/2"),
        (48, "1/2"),
    ]


def test_a_tune_with_other_voices_is_played_anew():
    tune = parse_tune("X:1\nK:C\n|:CD:|EF|\n")
    assert [note.pitch for note in unfold(tune).notes] == [60, 62, 60, 62, 64, 65]
    voice = tune.voices[0]
    shorter = replace(tune, voices=(voice._replace(bars=voice.bars[1:]),))
    assert [note.pitch for note in unfold(shorter).notes] == [64, 65]
    assert replace(tune) == tune
