"""What a pass over the corpus holds: a row a tune, plans and rhythms now and then, some titles."""

import numpy as np
import pytest

from musicgen.titles import clean_title
from musicgen.tokenizer import build_tokenizer, decode_tune
from musicgen.training_rows import RowOptions, TrainingRows, TrainingTune

TUNE = "X:1\nR:reel\nM:4/4\nL:1/8\nK:{}\n|:" + "d8|" * 7 + "d8:|\n"
TUNES = [
    TrainingTune({TUNE.format(key): 1.0 for key in keys}, f"Miss {keys}", "reel")
    for keys in ("DG", "AE")
]


def _texts(options: RowOptions, passes: int = 20) -> list[str]:
    texts = [abc for tune in TUNES for abc in tune.keys] + ["N:parts 8\n"]
    tokenizer, _ = build_tokenizer(texts, min_count=1)
    rows = TrainingRows(TUNES, tokenizer, options, context=100)
    rng = np.random.default_rng(0)
    return [decode_tune(tokenizer, ids) for _ in range(passes) for ids in rows.draw(rng)]


def test_a_pass_holds_each_tune_once_in_one_of_its_keys() -> None:
    texts = _texts(RowOptions(0, 0, 0))
    assert len(texts) == 40
    assert set(texts) == {abc for tune in TUNES for abc in tune.keys}


def test_plans_come_and_rhythms_go_as_often_as_asked() -> None:
    texts = _texts(RowOptions(header_dropout=0.25, plan=0.5, titles=0), passes=200)
    assert np.mean(["N:parts 8\nK:" in text for text in texts]) == pytest.approx(0.5, abs=0.1)
    assert np.mean(["R:" in text for text in texts]) == pytest.approx(0.75, abs=0.1)


def test_titles_stand_beside_the_tunes() -> None:
    texts = _texts(RowOptions(0, 0, titles=1.0), passes=1)
    assert sorted(texts[2:]) == ["X:1\nR:reel\nT:Miss AE", "X:1\nR:reel\nT:Miss DG"]


@pytest.mark.parametrize(
    ("printed", "clean"),
    [
        ("KITTY TIRRELL'S -- JIG.", "Kitty Tirrell's"),
        ("the New Langolee", "The New Langolee"),
        ("Moonlight Ramble., The", "The Moonlight Ramble"),
        ("The Blooming Meadows. 1st Setting.", "The Blooming Meadows"),
        ("Lady Mary Montague's Do.", "Lady Mary Montague's"),
        ("March of the 37th. Regt.", ""),
        ("Irish Air.", ""),
        ("A Jig", ""),
    ],
)
def test_titles_are_brought_into_one_style(printed: str, clean: str) -> None:
    assert clean_title(printed) == clean
