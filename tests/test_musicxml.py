"""MusicXML read back: the same notes as ours, and what a page needs to look right."""

import importlib.util
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from pathlib import Path

import music21
import pytest

from abc_tools import AbcError, decode_bytes, parse_tune, split_tunes, unfold
from abc_tools.musicxml import to_musicxml
from abc_tools.musicxml_notes import note_values
from abc_tools.tune import WHOLE

ROOT = Path(__file__).resolve().parent.parent
BOOKS = ("oneills1850", "ryansMammoth", "airdsAirs", "miscFolk")
HEAD = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:D\n"


def written(text):
    return ElementTree.fromstring(to_musicxml(parse_tune(text)))


def texts(root, path):
    return [element.text for element in root.iterfind(path)]


def heard(document):
    """What music21 plays: (onset, pitch, length) in whole notes, repeats unfolded, ties joined."""
    part = music21.converter.parseData(document, format="musicxml").parts[0]
    # A text such as "D.C." is a jump to music21; in ABC it is a text.
    for jump in list(part.recurse().getElementsByClass(music21.repeat.RepeatExpression)):
        part.remove(jump, recurse=True)
    notes, held = [], {}
    for element in part.expandRepeats().flatten().notes:
        if isinstance(element, music21.harmony.Harmony) or element.duration.isGrace:
            continue
        onset, length = Fraction(element.offset) / 4, Fraction(element.quarterLength) / 4
        for one in element.notes if element.isChord else [element]:
            place = held.pop(one.pitch.midi, None)
            tie = one.tie.type if one.tie else ""
            joins = place is not None and tie in ("stop", "continue")
            if joins and notes[place][0] + notes[place][2] == onset:
                notes[place][2] += length
            else:
                place = len(notes)
                notes.append([onset, one.pitch.midi, length])
            if tie in ("start", "continue"):
                held[one.pitch.midi] = place
    return sorted(map(tuple, notes))


def expected(tune):
    return sorted((note.onset, note.pitch, note.length) for note in unfold(tune).notes)


def corpus_tunes(every):
    """Each n-th tune of music21's four books of dance music."""
    root = Path(importlib.util.find_spec("music21").origin).parent / "corpus"
    found = []
    for book in BOOKS:
        for path in sorted((root / book).glob("*.abc")):
            found += split_tunes(decode_bytes(path.read_bytes()))
    assert len(found) > 4000
    return found[::every]


@pytest.mark.parametrize("text", corpus_tunes(every=180), ids=lambda text: f"line {text.line}")
def test_a_printed_tune_is_read_back_with_the_same_notes(text):
    try:
        tune = parse_tune(text)
    except AbcError:
        pytest.skip("not a tune")
    assert heard(to_musicxml(tune)) == expected(tune)


@pytest.mark.parametrize(
    "body",
    [
        "|:AB|c2 d2 e2 f2|g4 f4:|",
        "|:ABcd efga|1 a8:|2 b8|]",
        "|:ABcd efga|[1,3 a8:|[2 b8:|[4 c8|]",
        "|::A8::|B8|]",
        "A8|B8:|c8:|",
        "(3ABc (3d2e2f2 (5ABcde z|(3A>Bc d6|",
        "A4-A4-|A2 A2- [Ac]4-|[Ac]8|",
        "|:G4 A4-|1 A8:|2 G8|]",
        "|:A8-:|A8|]",
        "|:ABcd e4-|1 e8:|2 e4 f4|]",
        "A5 B3|A7/2B/2 c4|A/3B/3c/3 d7|A16|",
        "[CEG]4 [C2E4G4]z2|A4 e4 & c2 e6|",
        "Z3|z4 x4|A8|",
        "{c}A4 {/ede}d4|~A4 TB4|.u.A4 Hv!trill!B4|",
        "^A_B =c__d ^^e f ^F f|A B c d [K:Ador] f c B A|[M:3/4]A2 B2 c2|",
        "[K:D clef=treble-8]A8|[K:HP]f c g a f4|[K:D exp _b ^g]b4 g4|[K:none]f8|",
        '"D"A2 "Am7"B2 "Bb/F"c2 "N.C."d2|"^slow"A4 "H7"B4|"F#m7b5"A8|',
        "P:A\n|:A8:|\nP:B\nB8|]",
    ],
)
def test_what_can_be_written_in_abc_is_read_back_with_the_same_notes(body):
    tune = parse_tune(HEAD + body + "\n")
    assert expected(tune)
    assert heard(to_musicxml(tune)) == expected(tune)


def test_the_parts_are_written_in_the_order_they_are_played():
    tune = parse_tune("X:1\nM:4/4\nL:1/8\nP:ABA\nK:D\nP:A\n|:A8:|\nP:B\nB8|]\n")
    assert [pitch for _, pitch, _ in heard(to_musicxml(tune))] == [69, 69, 71, 69, 69]
    assert expected(tune) == heard(to_musicxml(tune))


def test_title_composer_key_meter_and_tempo_stand_in_the_document():
    head = "X:1\nT:Rock & <Roll>\nC:Trad.\nM:C|\nL:1/8\nQ:1/2=90\nK:Ador\n"
    root = written(head + "ABcd e4|\n")
    assert root.findtext("work/work-title") == "Rock & <Roll>"
    assert root.findtext("identification/creator") == "Trad."
    attributes = root.find("part/measure/attributes")
    assert attributes.findtext("key/fifths") == "1"
    assert attributes.findtext("key/mode") == "dorian"
    assert attributes.find("time").get("symbol") == "cut"
    assert root.findtext(".//metronome/per-minute") == "90"
    assert root.find(".//sound[@tempo]").get("tempo") == "180"


def test_a_key_of_its_own_is_written_note_by_note():
    root = written("X:1\nM:4/4\nL:1/8\nK:D exp _b ^g\nABcd e4|\n")
    key = root.find("part/measure/attributes/key")
    assert list(zip(texts(key, "key-step"), texts(key, "key-alter"), strict=True)) == [
        ("G", "1"),
        ("B", "-1"),
    ]


def test_a_pick_up_bar_has_number_0_and_is_not_counted():
    root = written(HEAD + "AB|c8|d6|]\n")
    measures = root.findall("part/measure")
    assert [measure.get("number") for measure in measures] == ["0", "1", "2"]
    assert [measure.get("implicit") for measure in measures] == ["yes", "no", "no"]


def test_repeats_and_endings_have_signs_and_brackets():
    root = written(HEAD + "|:A8|1 B8:|2 c8||d8|]\n")
    signs = [
        (
            [repeat.get("direction") for repeat in measure.iterfind("barline/repeat")],
            [(end.get("number"), end.get("type")) for end in measure.iterfind("barline/ending")],
            texts(measure, "barline[@location='right']/bar-style"),
        )
        for measure in root.iterfind("part/measure")
    ]
    assert [repeats for repeats, _, _ in signs] == [["forward"], ["backward"], [], []]
    assert [sorted(set(number for number, _ in ends)) for _, ends, _ in signs] == [
        [],
        ["1"],
        ["2"],
        [],
    ]
    assert signs[2][2] == ["light-light"]
    assert signs[3][2] == ["light-heavy"]


def test_eighths_are_beamed_as_the_meter_groups_them_and_sixteenths_get_two_beams():
    root = written("X:1\nM:6/8\nL:1/8\nK:D\nABc d2e|A/B/cd z2f|\n")
    beams = [
        [(beam.get("number"), beam.text) for beam in note.iterfind("beam")]
        for note in root.iterfind("part/measure/note")
    ]
    assert beams == [
        [("1", "begin")],
        [("1", "continue")],
        [("1", "end")],
        [],
        [],
        [("1", "begin"), ("2", "begin")],
        [("1", "continue"), ("2", "end")],
        [("1", "continue")],
        [("1", "end")],
        [],
        [],
    ]


def test_a_triplet_is_three_in_the_time_of_two_under_one_bracket():
    root = written(HEAD + "(3ABc d2 e4|\n")
    notes = root.findall("part/measure/note")
    ratios = [note.findtext("time-modification/actual-notes") for note in notes]
    assert ratios == ["3", "3", "3", None, None]
    assert [mark.get("type") for mark in root.iterfind(".//tuplet")] == ["start", "stop"]
    assert texts(root, "part/measure/note/type") == ["eighth"] * 3 + ["quarter", "half"]


def test_an_accidental_is_printed_where_a_reader_needs_it():
    # c is C# by the key: =c and the ^c after it are printed; the C an octave below is not changed.
    root = written(HEAD + "=c c C2 ^c4|c8|\n")
    notes = root.findall("part/measure/note")
    printed = [note.findtext("accidental") for note in notes]
    assert printed[0] == "natural"
    assert printed[1] is None
    assert printed[3] == "sharp"
    assert printed[4] is None


def test_slurs_graces_chord_symbols_and_decorations_are_kept():
    root = written(HEAD + '"Bm7"(A2 B2) {/c}.d2 TH~e2|\n')
    assert [slur.get("type") for slur in root.iterfind(".//slur")] == ["start", "stop"]
    assert root.find(".//grace").get("slash") == "yes"
    assert root.findtext(".//harmony/root/root-step") == "B"
    assert root.findtext(".//harmony/kind") == "minor-seventh"
    for sign in ("staccato", "trill-mark", "fermata", "turn"):
        assert root.find(f".//{sign}") is not None, sign


def test_importing_the_module_does_not_wait_for_music21():
    code = "import sys, abc_tools.musicxml; print('music21' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr


def test_every_voice_is_a_part():
    root = written("X:1\nM:4/4\nL:1/8\nK:D\nV:1\nA8|\nV:2\nD4 F4|\n")
    assert texts(root, "part-list/score-part/part-name") == ["1", "2"]
    assert [len(part.findall("measure/note")) for part in root.iterfind("part")] == [1, 2]


def test_a_tune_without_notes_gives_an_empty_bar():
    assert len(written("X:1\nT:Nothing\nK:D\n").findall("part/measure")) == 1


def test_two_exports_of_a_tune_are_equal():
    tune = parse_tune(HEAD + "|:A8|1 B8:|2 c8|]\n")
    assert to_musicxml(tune) == to_musicxml(tune)
    assert "encoding-date" not in to_musicxml(tune)


@pytest.mark.parametrize(
    ("wholes", "values"),
    [
        (Fraction(1, 8), [("eighth", 0)]),
        (Fraction(3, 8), [("quarter", 1)]),
        (Fraction(7, 16), [("quarter", 2)]),
        (Fraction(5, 8), [("half", 0), ("eighth", 0)]),
        (Fraction(9, 8), [("whole", 0), ("eighth", 0)]),
        (Fraction(8), [("longa", 2), ("whole", 0)]),
    ],
)
def test_a_length_is_written_with_few_note_values(wholes, values):
    assert note_values(int(wholes * WHOLE)) == values


def test_a_length_beyond_all_measure_is_cut():
    assert note_values(10**9 * WHOLE) == [("longa", 2)] * 9 + [("whole", 0)]
