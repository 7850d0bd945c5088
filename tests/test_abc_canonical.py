"""The canonical text: its shape, and that it means what the tune meant."""

from pathlib import Path

import pytest

from abc_tools import canonical_text, parse_tune, split_tunes, transpose, unfold

TINY = Path(__file__).parent / "tiny_corpus.abc"


def canonical(body: str, head: str = "M:4/4\nL:1/8\nK:G\n", **options: bool) -> str:
    """The canonical body of a tune without its header lines."""
    text = canonical_text(parse_tune(f"X:1\nT:t\n{head}{body}\n"), **options)
    return text[text.index("\nK:") + 1 :].split("\n", 1)[1].rstrip("\n")


def same_notes(first: str, second: str) -> bool:
    one, two = (unfold(parse_tune(text)).notes for text in (first, second))
    return [note[:3] for note in one] == [note[:3] for note in two]


def test_a_whole_tune_in_canonical_form():
    source = (
        "%%scale 0.7\nX: 17\nT:The  Kettle\nT:Another Name\nR: Double Jig\nB:book\nM:6/8\nL:1/4\n"
        "Q:3/8=120\nK:A dorian\nE/|A3/2 A/G/A/|B/>d/e/ d3/2|[1 A3/2 A:|[2 A3/2 A3/2|]\n"
        "w:some words here\n:e/d/|c3|B3|]\n"
    )
    assert canonical_text(parse_tune(source)) == (
        "X:1\nT:The Kettle\nR:jig\nM:6/8\nL:1/8\nK:Ador\n"
        "|:E|A3 AGA|B3/2d/2e d3|1A3 A2:|2A3 A3||\n"
        "ed|c6|B6|]\n"
    )


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        # parts, repeats, endings; four full bars a line
        ("G8|A8|B8|c8|d8|e8|]", "G8|A8|B8|c8|\nd8|e8|]"),
        ("d|G8|A8|B8|c8|d8:|", "|:d|G8|A8|B8|c8|\nd8:|"),
        ("G8:|A8:|", "|:G8:|\n|:A8:|"),
        ("G8||A8|", "G8||\nA8|]"),
        ("|:G8|1A8:|2B8:|", "|:G8|1A8:|2B8|]"),
        ("|:G8 [1 A8:|[2 B8||c8|]", "|:G8|1A8:|2B8||\nc8|]"),
        ("|:G8|1,3A8:|2,4B8|]", "|:G8|1,3A8:|2,4B8|]"),
        ("|::G8::|", "|::G8::|"),
        ("|:G8|A8||B8:|", "|:G8|A8|B8:|"),
        ("G8|\n|A8| |B8", "G8|A8|B8|]"),
        # beats
        ("GABcdedB|", "GABc dedB|]"),
        ("G2 A B c>d e2|", "G2AB c3/2d/2e2|]"),
        ("G3A B2c2|", "G3A B2c2|]"),
        ("G3 ABcde|", "G3A Bcde|]"),
        ("z|GABcdedB|", "z|GABc dedB|]"),
        ("(3GABcd (3edBAG|", "(3GABcd (3edBAG|]"),
        # lengths in lowest terms, broken rhythm written out
        ("G/A/ B3/ c// d4/2 e/4|", "G/2A/2 B3/2c/4d2e/4|]"),
        ("G>A B<c d>>e f2|", "G3/2A/2B/2c3/2 d7/4e/4f2|]"),
        # accidentals as written, and those that become needed
        ("^F2 =F2 F4|", "^F2=F2 F4|]"),
        ("^G4 [1 G4:|[2 A4|]", "|:^G4|1^G4:|2A4|]"),
        # chords, ties, slurs, decorations in one spelling
        ("[G2B2d2] [GB]2- [GB]4|", "[GBd]2[GB]2- [GB]4|]"),
        ("[G2B4] (A B)- B4|", "[G2B4](AB-) B4|]"),
        ('+trill+G {c} "Am"A2 .B ~c B3[|]', '!trill!G{c}"Am"A2.B ~cB3|]'),
        # changes inside
        ("G8|\nM:6/8\nK:Am\nG6|", "G8|[M:6/8][K:Amin]G6|]"),
        ("G4 [L:1/4]G2|", "G4 G4|]"),
        # rests
        ("z4 x4|Z2|Z|", "z4 x4|Z2|Z|]"),
        ("G4&B4|", "G4&B4|]"),
    ],
)
def test_the_shape_of_a_body(body, wanted):
    written = canonical(body)
    assert written == wanted
    assert canonical(written) == wanted


@pytest.mark.parametrize(
    ("meter", "wanted"),
    [
        ("4/4", "CCCC CCCC|]"), ("C|", "CCCC CCCC|]"), ("3/4", "CC CC CC|]"),
        ("6/8", "CCC CCC|]"), ("9/8", "CCC CCC CCC|]"), ("12/8", "CCC CCC CCC CCC|]"),
        ("3/8", "CCC|]"), ("3/2", "CCCC CCCC CCCC|]"), ("6/4", "CCCCCC CCCCCC|]"),
        ("5/4", "CC CC CC CC CC|]"), ("7/8", "CCCCCCC|]"),
    ],
)  # fmt: skip
def test_eighths_are_grouped_as_the_meter_beams_them(meter, wanted):
    count = wanted.count("C")
    assert canonical("C" * count + "|", f"M:{meter}\nL:1/8\nK:C\n") == wanted


def test_two_four_is_written_in_sixteenths_in_groups_of_four():
    text = canonical_text(parse_tune("X:1\nT:t\nM:2/4\nL:1/8\nK:C\nC/D/E/F/ GA|\n"))
    assert text == "X:1\nT:t\nM:2/4\nL:1/16\nK:C\nCDEF G2A2|]\n"


def test_plain_text_keeps_the_notes_only():
    body = '("Am"{g}!trill!G2 .A)"^x"B [CEG]4-|[CEG]4 vG2 x2&B8|'
    assert canonical(body, plain=True) == "G2AB G4-|G4 G2z2|]"


def test_a_plain_accidental_outlives_the_grace_or_chord_that_carried_it():
    assert canonical("{^c}d2 c2 [^FAd]2 F2|", plain=True, head="M:4/4\nL:1/8\nK:C\n") == (
        "d2^c2 d2^F2|]"
    )


def test_parts_are_written_out_in_the_order_of_the_header():
    body = "P:A\nC8|\nP:B\nK:D\nF8|"
    assert canonical(body, "P:ABA\nM:4/4\nL:1/8\nK:C\n") == "C8||\n[K:D]F8||\n[K:C]C8|]"


def test_tempo_and_title_on_request():
    tune = parse_tune("X:1\nT:t\nR:reel\nM:C|\nL:1/8\nQ:1/2=99\nK:C\nC8|\n")
    assert "Q:" not in canonical_text(tune)
    assert "\nQ:1/2=99\n" in canonical_text(tune, tempo=True)
    assert "T:" not in canonical_text(tune, title=False)
    without = parse_tune("X:1\nT:t\nR:reel\nM:C|\nL:1/8\nK:C\nC8|\n")
    assert "\nQ:1/2=104\n" in canonical_text(without, tempo=True)


def test_the_tiny_corpus_is_canonical_but_for_its_spaces():
    tunes = split_tunes(TINY.read_text(encoding="utf-8"))
    assert len(tunes) == 5
    for text in tunes:
        written = canonical_text(parse_tune(text))
        assert same_notes(text.text, written)
        assert canonical_text(parse_tune(written)) == written


# --- transposition ---


@pytest.mark.parametrize("tonic", ["C", "D", "Eb", "F#", "Gb", "A", "Bb"])
def test_a_transposed_tune_keeps_its_intervals_and_lengths(tonic):
    for text in split_tunes(TINY.read_text(encoding="utf-8")):
        tune = parse_tune(text)
        moved = transpose(tune, tonic)
        before, after = unfold(tune).notes, unfold(moved).notes
        assert moved.key.tonic == tonic
        assert moved.key.mode == tune.key.mode
        assert [note[:2] for note in before] == [note[:2] for note in after]
        assert len({b.pitch - a.pitch for b, a in zip(after, before, strict=True)}) == 1


def test_transposition_keeps_degrees_and_their_alterations():
    tune = parse_tune('X:1\nT:t\nM:4/4\nL:1/8\nK:D\n"A7"^G2 =F2 {^d}e2 ^^A2|[K:G]B4 ^c4|\n')
    text = canonical_text(transpose(tune, "Eb"))
    assert text.endswith('K:Eb\n"Bb7"=A2_G2 {=e}f2^B2|[K:Ab]c4 =d4|]\n')


def test_transposition_stays_in_the_range_of_a_fiddle():
    low = parse_tune("X:1\nT:t\nM:4/4\nL:1/8\nK:D\nA,2D2F2A2|\n")
    pitches = [note.pitch for note in unfold(transpose(low, "C")).notes]
    assert min(pitches) == 55
    assert [note.pitch for note in unfold(transpose(low, "B")).notes] == [66, 71, 75, 78]


def test_a_tune_without_a_tonic_cannot_be_transposed():
    with pytest.raises(ValueError, match="has no tonic"):
        transpose(parse_tune("X:1\nT:t\nK:none\nC8|\n"), "D")
    with pytest.raises(ValueError, match='"H" is not a tonic'):
        transpose(parse_tune("X:1\nT:t\nK:C\nC8|\n"), "H")
