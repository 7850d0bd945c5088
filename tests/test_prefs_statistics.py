"""The families of musical statistics, on tunes short enough to count by hand."""

import numpy as np
import pytest

from abc_tools import parse_tune
from musicgen.melody import BAR, Melody
from prefs import harmony_statistics, likeness_statistics, motion_statistics
from prefs.heard import Heard
from prefs.statistics import FAMILIES, PLAIN, STATISTICS, WIDTHS, plain_statistics, statistics

HEADER = "X:1\nM:4/4\nL:1/4\nK:C\n"


def heard(music: str, header: str = HEADER) -> Heard:
    tune = parse_tune(header + music + "\n")
    return Heard.of(tune, Melody.of(tune))


def values(family, music: str, header: str = HEADER) -> dict[str, float]:
    return dict(zip(family.NAMES, family.values(heard(music, header)), strict=True))


def test_every_statistic_has_a_name_of_its_own_and_a_family():
    assert len(set(STATISTICS)) == len(STATISTICS) == sum(WIDTHS)
    assert len(WIDTHS) == len(FAMILIES)
    tune = HEADER + "CDEF|GFED|\n"
    assert len(statistics(tune)) == len(STATISTICS)
    assert plain_statistics(tune).tolist() == statistics(tune)[:PLAIN].tolist()
    assert STATISTICS[PLAIN - 1] == "share of degree 7"


def test_a_pick_up_is_no_bar_and_completes_the_short_bar_before_it():
    tune = heard("|:G|CDEF|GABc|cBAG|C3:|\n|:E|cBAG|GABc|cBAG|C3:|")
    assert tune.count == 8
    assert tune.bars.tolist() == [
        *(-1, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3),
        *(3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7),
    ]
    assert tune.places[0] == tune.places[14] == 3 * BAR // 4
    assert tune.parts.tolist() == [0] * 14 + [1] * 14


def test_of_a_mere_pick_up_the_statistics_are_numbers():
    assert np.isfinite(statistics("X:1\nM:4/4\nL:1/8\nK:C\nCDEF")).all()


def test_phrases_that_begin_alike_and_end_otherwise():
    found = values(likeness_statistics, "CDEF|GFED|EDCD|E2C2|\nCDEF|GFED|FEDE|D2C2|")
    assert found["beginnings of phrases alike in notes"] == 1
    assert found["endings of phrases alike in notes"] == (0 + 1 / 2) / 2  # C2 is C2
    assert found["endings of phrases alike in shape"] == (1 + 1 / 2) / 2  # FEDE is EDCD, higher
    assert found["endings of phrases alike in rhythm"] == 1
    assert found["rhythm as one bar before"] == pytest.approx((4 + 3 * 2 / 4) / 7)
    assert found["notes as four bars before"] == (1 + 1 + 0 + 1 / 2) / 4
    assert found["first phrase comes back"] == found["last phrase like the first"] == 5 / 8
    assert found["different phrases"] == 1
    assert found["notes as eight bars before"] == 0, "the tune is too short for that"


def test_a_sequence_is_the_same_bar_taken_up_higher():
    found = values(likeness_statistics, "CDEC|DEFD|EFGE|EFGE|")
    assert found["bars taken up higher or lower"] == pytest.approx(2 / 3)
    assert found["shape as one bar before"] == 1
    assert found["notes as one bar before"] == pytest.approx(1 / 3)


def test_parts_that_end_alike():
    found = values(likeness_statistics, "|:CDEF|GABc|BAGA|C4:|\n|:edef|gfed|BAGA|C4:|")
    assert found["parts end alike"] == 1
    assert found["parts begin alike"] == 0


def test_the_chords_that_bars_suggest():
    found = values(harmony_statistics, "CEGE|FAcA|GBdB|C2E2|")
    assert [found[f"bars on chord {root}"] for root in ("I", "IV", "V", "II")] == [
        *(1 / 2, 1 / 4, 1 / 4, 0)
    ]
    assert found["changes of chord"] == 1
    assert found["moves of a fourth or fifth between chords"] == pytest.approx(2 / 3)
    assert found["moves of a step between chords"] == pytest.approx(1 / 3)
    assert found["time on notes of the chord"] == found["chord notes on the beats"] == 1
    assert found["phrases closing on chord I"] == 1
    assert found["time on degree 1"] == (1 + 1 + 2) / 16
    assert found["time on degree 4"] == 1 / 16
    assert found["tonic on the beats"] == 3 / 14


def test_chords_of_a_minor_key_are_those_of_its_own_scale():
    major = values(harmony_statistics, "CEGE|FAcA|GBdB|C2E2|")
    minor = values(harmony_statistics, "A,CEC|DFAF|EGBG|A,2C2|", HEADER.replace("K:C", "K:Am"))
    for root in ("I", "IV", "V"):
        assert major[f"bars on chord {root}"] == minor[f"bars on chord {root}"]
    assert minor["time on degree b3"] == major["time on degree 3"]


def test_how_phrases_close():
    found = values(harmony_statistics, "CDEF|GFED|GFED|E2D2|\nCDEF|GFEC|GFED|E2DC|")
    assert found["phrases ending on the second"] == 1 / 2
    assert found["phrases closing as the last one"] == 0
    assert found["length of the last note of a phrase"] == (1 + 0) / 2  # octaves of a beat
    assert found["phrases ending from above by step"] == 1
    assert found["phrases ending on the beat"] == 1
    assert found["half phrases ending on the tonic"] == 1 / 2
    assert found["first phrase ends on the tonic"] == 0


def test_intervals_and_beats():
    found = values(motion_statistics, "CDEF|G2E2|")
    assert found["steps up"] == 4 / 5 and found["thirds down"] == 1 / 5
    assert found["runs of steps"] == 3 / 4
    assert found["turns after a rise"] == 1 / 4
    assert found["longest way one direction"] == 4
    assert found["beats of one note"] == 6 / 8 and found["beats of held over"] == 2 / 8
    assert found["beats in a bar"] == 4 and found["beats of three parts"] == 0


def test_the_rhythms_of_beats():
    found = values(motion_statistics, "C/D/ E3/4F/4 G/4A3/4 c/4B/4A/4G/4|")
    for cell in ("two even", "long and short", "short and long", "four"):
        assert found[f"beats of {cell}"] == 1 / 4
    assert found["different rhythms of a beat"] == 1
    jig = values(motion_statistics, "CDE F2G|", "X:1\nM:6/8\nL:1/8\nK:C\n")
    assert jig["beats of three"] == jig["beats of long and short"] == 1 / 2
    assert jig["beats of three parts"] == 1


def test_the_arc_of_a_phrase_and_of_a_tune():
    found = values(motion_statistics, "C4|E4|G4|C4|")
    mean = (60 + 64 + 67 + 60) / 4
    assert found["second bar of a phrase high"] == 64 - mean
    assert found["last quarter of the tune high"] == 60 - mean
    assert found["place of the highest note"] == 2 / 4
    assert found["highest note above the tonic"] == 7
