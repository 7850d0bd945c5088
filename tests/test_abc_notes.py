"""What single notes, chords, rests and rhythms mean: one line of the standard, one line here."""

from fractions import Fraction

import pytest

from abc_tools import parse_tune, unfold


def sounds(body: str, meter: str = "none", unit: str = "1/8", key: str = "C") -> str:
    """The notes of a line as "pitch*length@onset", in units; *1 and gapless onsets left out."""
    tune = parse_tune(f"X:1\nT:t\nM:{meter}\nL:{unit}\nK:{key}\n{body}\n")
    one = Fraction(unit)
    words = []
    end = Fraction(0)
    for note in unfold(tune).notes:
        onset, length = note.onset / one, note.length / one
        words.append(
            str(note.pitch)
            + (f"*{length}" if length != 1 else "")
            + (f"@{onset}" if onset != end else "")
        )
        end = onset + length
    return " ".join(words)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        # pitch and octave (4.1), length (4.3)
        ("C D E F G A B c", "60 62 64 65 67 69 71 72"),
        ("C, C,, c' c'' C' c,", "48 36 84 96 72 60"),
        ("A2 A/ A// A/4 A3/2 A3/ A7/8", "69*2 69*1/2 69*1/4 69*1/4 69*3/2 69*3/2 69*7/8"),
        # accidentals (4.2) last the bar, in all octaves
        ("^C ^^C _D __D =C", "61 62 61 60 60"),
        ("^Cc C|c", "61 73 61 72"),
        ("^C=CC|C", "61 60 60 60"),
        ("[^CE]C|C", "61 64@0 61 60"),
        # broken rhythm (4.4)
        ("C>D", "60*3/2 62*1/2"),
        ("C<D", "60*1/2 62*3/2"),
        ("C>>D C<<<D", "60*7/4 62*1/4 60*1/8 62*15/8"),
        ("C2>D2", "60*3 62"),
        ("C>D>E", "60*3/2 62*3/4 64*1/2"),
        ("C > D", "60*3/2 62*1/2"),
        ("C>zD", "60*3/2 62@2"),
        ("z>C D", "60*1/2@3/2 62"),
        ("C>{g}D", "60*3/2 62*1/2"),
        ('C>"Am"D', "60*3/2 62*1/2"),
        ("(C>D)", "60*3/2 62*1/2"),
        ("(C)>D", "60*3/2 62*1/2"),
        ("[CE]>[DF]", "60*3/2 64*3/2@0 62*1/2 65*1/2@3/2"),
        # rests (4.5), spaces
        ("z C z2 C/ x C y C", "60@1 60*1/2@4 60@11/2 60"),
        # chords (4.17) last as long as their first note
        ("[CEG]2 C", "60*2 64*2@0 67*2@0 60"),
        ("[C2E2]3/2 C", "60*3 64*3@0 60"),
        ("[C2E4]D", "60*2 64*4@0 62@2"),
        ("[C E G] [C/E/]2", "60 64@0 67@0 60 64@1"),
        # ties (4.11) join equal pitches only
        ("C-C C- C", "60*2 60*2"),
        ("C-D-D", "60 62*2"),
        ("^c4-|c2c2", "73*6 72*2"),
        ("[C-E][CF]", "60*2 64@0 65"),
        ("[CE]-[CE]", "60*2 64*2@0"),
        ("A -|A", "69*2"),
        ("A-zA", "69 69@2"),
        ("A-{g}A", "69*2"),
        # slurs, decorations, annotations, graces say nothing about written notes
        ("(CD) (E(FG))A", "60 62 64 65 67 69"),
        (".C ~D uE vF !trill!G +fermata+A HB", "60 62 64 65 67 69 71"),
        ('"^up"C "Am"D "_x""@1,2y"E', "60 62 64"),
        ("{g}C {/fg}D {}E", "60 62 64"),
        ("C`D``E", "60 62 64"),
        # overlay: a second layer over the same bar
        ("C2&E G|c", "60*2 64@0 67 72"),
    ],
)
def test_notes_mean_what_the_standard_says(body, wanted):
    assert sounds(body) == wanted


@pytest.mark.parametrize(
    ("body", "meter", "wanted"),
    [
        ("(2CD E", "6/8", "60*3/2 62*3/2 64"),
        ("(3CDE F", "4/4", "60*2/3 62*2/3 64*2/3 65"),
        ("(4CDEF G", "6/8", "60*3/4 62*3/4 64*3/4 65*3/4 67"),
        ("(5CDEFG", "2/4", "60*2/5 62*2/5 64*2/5 65*2/5 67*2/5"),
        ("(5CDEFG", "6/8", "60*3/5 62*3/5 64*3/5 65*3/5 67*3/5"),
        ("(6CDEFGA", "4/4", "60*1/3 62*1/3 64*1/3 65*1/3 67*1/3 69*1/3"),
        ("(3:2:4C/D/E/F/ G", "4/4", "60*1/3 62*1/3 64*1/3 65*1/3 67"),
        ("(3::2CD E", "4/4", "60*2/3 62*2/3 64"),
        ("(3:4CDE F", "4/4", "60*4/3 62*4/3 64*4/3 65"),
        ("(3:4:CDE F", "4/4", "60*4/3 62*4/3 64*4/3 65"),
        ("(3C2DE F", "4/4", "60*4/3 62*2/3 64*2/3 65"),
        ("(3CzE", "4/4", "60*2/3 64*2/3@4/3"),
        ("(3[CE]DF", "4/4", "60*2/3 64*2/3@0 62*2/3 65*2/3"),
        ("(3{g}CDE F", "4/4", "60*2/3 62*2/3 64*2/3 65"),
        ("(3C>DE F", "4/4", "60 62*1/3 64*2/3 65"),
        ("((3CDE)F", "4/4", "60*2/3 62*2/3 64*2/3 65"),
        ("(3CD|E F", "4/4", "60*2/3 62*2/3 64*2/3 65"),
        ("(3C-CD", "4/4", "60*4/3 62*2/3"),
        ("(7CDEFGAB", "9/8", "60*3/7 62*3/7 64*3/7 65*3/7 67*3/7 69*3/7 71*3/7"),
    ],
)
def test_tuplets_mean_what_the_standard_says(body, meter, wanted):
    assert sounds(body, meter) == wanted


@pytest.mark.parametrize(
    ("meter", "bars"), [("4/4", 8), ("6/8", 6), ("C|", 8), ("3/2", 12), ("none", 8)]
)
def test_a_rest_of_bars_lasts_as_long_as_the_meter_says(meter, bars):
    assert sounds("Z2 C", meter) == f"60@{2 * bars}"
    assert sounds("X C", meter) == f"60@{bars}"


def test_accidentals_can_be_told_not_to_spread():
    body = "^C c C ^c|C"
    assert sounds(body) == "61 73 61 73 60"
    assert sounds("I:propagate-accidentals octave\n" + body) == "61 72 61 73 60"
    assert sounds("%%propagate-accidentals not\n" + body) == "61 72 60 73 60"


def test_an_accidental_before_a_key_change_is_forgotten():
    assert sounds("^F[K:C]F") == "66 65"


def test_lengths_are_exact_in_triplets_within_odd_units():
    tune = parse_tune("X:1\nT:t\nM:4/4\nL:1/16\nK:C\n(3:2:3C/D/E/ (7c/B/A/G/F/E/D/ (5CDEFG|\n")
    lengths = [note.length for note in unfold(tune).notes]
    assert lengths[:3] == [Fraction(1, 48)] * 3
    assert lengths[3:10] == [Fraction(1, 112)] * 7
    assert lengths[10:] == [Fraction(1, 40)] * 5


def test_every_element_knows_its_place_in_the_text():
    source = "X:1\nT:t\nM:4/4\nL:1/8\nK:C\n|:^c'2>(3[CE]/zD-|D4 {g}z2:|\n"
    tune = parse_tune(source)
    texts = [source[element.start : element.end] for bar in tune.bars for element in bar.elements]
    assert texts == ["^c'2", "[CE]/", "z", "D", "D4", "z2"]
    assert [source[bar.start : bar.end] for bar in tune.bars] == [
        "^c'2>(3[CE]/zD-",
        "D4 {g}z2",
    ]


def test_a_note_is_remembered_under_its_own_unit_length_and_reach_of_accidentals():
    head = "X:1\nT:t\nM:none\n"
    not_spread = "%%propagate-accidentals not\n"
    for _ in range(2):  # the second time everything is remembered
        lengths = [
            parse_tune(f"{head}L:{unit}\nK:C\nc2 d|").bars[0].elements[0].length
            for unit in ("1/8", "1/16")
        ]
        assert lengths == [Fraction(1, 4), Fraction(1, 8)]
        pitches = [
            [note.pitch for note in parse_tune(f"{head}{directive}K:C\n^c c|").bars[0].elements]
            for directive in ("", not_spread)
        ]
        assert pitches == [[73, 73], [73, 72]]


def test_a_faulty_note_is_reported_wherever_it_stands():
    for _ in range(2):
        tune = parse_tune("X:1\nT:t\nM:none\nL:1/8\nK:C\nA0 A0 B|A0|\n")
        assert [(one.code, one.column) for one in tune.diagnostics] == [
            ("note-length", 1),
            ("note-length", 4),
            ("note-length", 9),
        ]


def test_a_barline_after_a_text_that_nothing_closes_is_read():
    tune = parse_tune('X:1\nT:t\nM:none\nL:1/8\nK:C\nA "b`|c|\n')
    assert [len(bar.elements) for bar in tune.bars] == [1, 1]
