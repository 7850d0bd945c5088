"""Properties that must hold on every tune of the books that come with music21.

The usual run takes every sixteenth tune; `./run test --long` takes all 4,433.
"""

import importlib.util
import statistics
from pathlib import Path

import pytest

from abc_tools import (
    TuneText,
    canonical_text,
    check_tune,
    decode_bytes,
    parse_tune,
    passes_gate,
    repetition,
    split_tunes,
    transpose,
    unfold,
)
from abc_tools.fields import parse_meter
from abc_tools.tempo import default_tempo

BOOKS = ("oneills1850", "ryansMammoth", "airdsAirs", "miscFolk")


def corpus_tunes(step: int) -> list[TuneText]:
    """Every `step`-th tune of the books."""
    tunes = [tune for book in BOOKS for tune in book_tunes(book)]
    assert len(tunes) > 4_000
    return tunes[::step]


def book_tunes(book: str) -> list[TuneText]:
    """The tunes of one book in music21's folder; music21 itself is not imported."""
    spec = importlib.util.find_spec("music21")
    assert spec
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "corpus" / book
    return [
        tune
        for path in sorted(folder.glob("*.abc"))
        for tune in split_tunes(decode_bytes(path.read_bytes()))
    ]


def check_properties(tunes: list[TuneText]) -> None:
    errors = gated = flagged = 0
    for text in tunes:
        tune = parse_tune(text)
        notes = unfold(tune).notes
        assert notes, text.text
        canonical = canonical_text(tune)
        again = parse_tune(canonical)
        assert [note[:3] for note in unfold(again).notes] == [note[:3] for note in notes], canonical
        assert canonical_text(again) == canonical
        assert [one for one in again.diagnostics if one.severity == "error"] == [], canonical
        plain = canonical_text(tune, plain=True)
        assert canonical_text(parse_tune(plain), plain=True) == plain
        errors += any(one.severity == "error" for one in check_tune(tune))
        gated += bool(passes_gate(tune))
        flagged += repetition(tune).degenerate
    # Printed tunes are sound: nearly all of them have no error, and few fail the gate.
    assert errors <= 0.01 * len(tunes)
    assert 0.86 * len(tunes) <= gated <= 0.95 * len(tunes)
    assert flagged <= 0.005 * len(tunes)


def test_the_canonical_text_of_a_sixteenth_of_the_corpus_means_the_same():
    check_properties(corpus_tunes(step=16))


@pytest.mark.long
def test_the_canonical_text_of_the_whole_corpus_means_the_same():
    check_properties(corpus_tunes(step=1))


def test_the_tempi_of_the_meters_are_the_medians_of_airds_airs():
    tempi: dict[str, list[float]] = {}
    for text in book_tunes("airdsAirs"):
        tune = parse_tune(text)
        if tune.tempo and tune.tempo.beats_per_minute:
            tempi.setdefault(tune.meter.text, []).append(tune.tempo.quarters_per_minute)
    assert len(tempi) == 10
    for meter, found in tempi.items():
        ours = default_tempo("", parse_meter(meter)).quarters_per_minute
        assert ours == pytest.approx(statistics.median(found)), meter


def test_transposition_there_and_back_gives_the_same_intervals():
    moved = 0
    for text in corpus_tunes(step=60):
        tune = parse_tune(text)
        if len(tune.key.tonic) not in (1, 2) or tune.key.tonic == "HP":
            continue
        there = transpose(tune, "Eb")
        back = transpose(there, tune.bars[0].key.tonic)
        before, after = unfold(tune).notes, unfold(back).notes
        assert [note[:2] for note in before] == [note[:2] for note in after]
        octaves = {b.pitch - a.pitch for b, a in zip(after, before, strict=True)}
        assert octaves in ({0}, {12}, {-12})
        moved += 1
    assert moved > 60
