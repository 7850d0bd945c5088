"""Measures: proportions with intervals, variety, reading tunes back."""

from pathlib import Path

import pytest

from musicgen.corpus import CorpusError
from musicgen.evaluate import distinct_ngrams, read_tunes, tune_statistics, wilson_interval
from musicgen.model_card import write_figures

SOUND = "X:1\nM:4/4\nL:1/8\nK:D\n|:" + "D2FA dAFD|G2Bd gdBG|A2ce aecA|d2fe d4|" * 2
SOUND = SOUND[:-1] + ":|\n"


def test_the_interval_of_a_proportion_is_wilsons() -> None:
    # the founding experiment's 93 wins of 210 pairs
    assert wilson_interval(93, 210) == pytest.approx((0.3774, 0.5105), abs=5e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_distinct_ngrams_counts_each_run_once() -> None:
    assert distinct_ngrams([[1, 2, 3, 1, 2, 3]], 3) == 3 / 4  # 123 231 312 123
    assert distinct_ngrams([[1, 2]], 3) == 0.0


def test_an_unfinished_tune_fails_the_gate_for_that_reason_alone() -> None:
    statistics = tune_statistics([(SOUND, True), (SOUND, False)])
    assert (statistics.tunes, statistics.gate) == (2, 0.5)
    assert statistics.reasons == {"unfinished": 1}


def test_tunes_are_read_from_a_tunebook_in_the_form_models_are_trained_on(tmp_path: Path) -> None:
    book = tmp_path / "book.abc"
    book.write_text('X:1\nT:One\nR:Reel\nM:C|\nL:1/8\nK:D\nD>F{e}A2 "D"d4|d8:|\n\nX:2\nT:None\n')
    (only,) = read_tunes(book)[:1]
    assert only == "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n|:D3/2F/2A2 d4|d8:|\n"


def test_figures_are_written_into_the_card_once(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A model\n\nWords.\n")
    write_figures(tmp_path, "old\n")
    write_figures(tmp_path, "gate 80%\n4-grams 0.5")
    assert (tmp_path / "README.md").read_text() == (
        "# A model\n\nWords.\n\n## Measured on held-out tunes\n\n    gate 80%\n    4-grams 0.5\n"
    )


def test_a_file_without_a_tune_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.abc").write_text("Dear Sir,\n")
    with pytest.raises(CorpusError, match="holds no tune that can be read"):
        read_tunes(tmp_path / "letter.abc")
    with pytest.raises(CorpusError, match="cannot be read: No such file"):
        read_tunes(tmp_path / "nothing.abc")
