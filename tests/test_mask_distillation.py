"""A model learns what its grammar mask forbids; nothing else is taken from it."""

import math
from pathlib import Path

import pytest
import torch

from musicgen.checkpoint import BUNDLED, load_checkpoint
from musicgen.corpus import CorpusConfig, build_corpus
from musicgen.mask_distillation import DistilConfig, MaskTargets, distil, mask_cost
from musicgen.tokenizer import build_tokenizer, encode_tune

TUNE = "X:1\nM:2/4\nL:1/8\nK:D\n|:" + "d4|" * 7 + "d2d2:|\n"


def test_the_table_says_what_may_follow_each_token() -> None:
    tokenizer, _ = build_tokenizer([TUNE], min_count=1)
    ids = encode_tune(tokenizer, TUNE)
    targets = MaskTargets(tokenizer)
    indices = targets.indices(ids)
    assert len(indices) == len(ids) - 1
    assert indices[:4] == [0] * 4  # the header
    words = {index: word for word, index in tokenizer.get_vocab().items()}
    table = targets.table()

    def allowed(place: int) -> set[str]:
        return {words[i] for i in table[indices[place]].nonzero().flatten().tolist()}

    after_key = 4
    assert {"|:", "d2", "d4"} <= allowed(after_key)
    assert ":|\n" not in allowed(after_key)
    before_last_note = len(ids) - 4  # d2 is there, two eighths are left of the last bar
    assert "d2" in allowed(before_last_note)
    assert "d4" not in allowed(before_last_note)
    assert allowed(len(ids) - 2) >= {"<end>"}


def test_a_tune_that_breaks_the_mask_is_left_alone_where_it_does() -> None:
    broken = TUNE.replace("d4|d4|", "d4d4|d4|", 1)
    tokenizer, _ = build_tokenizer([broken], min_count=1)
    ids = encode_tune(tokenizer, broken)
    indices = MaskTargets(tokenizer).indices(ids)
    assert 0 in indices[5:]
    assert sum(index > 0 for index in indices[5:]) > len(indices[5:]) / 2


def test_the_mask_costs_less_after_than_before_and_real_tunes_are_not_forgotten(
    tmp_path: Path,
) -> None:
    build_corpus(CorpusConfig(tmp_path / "corpus", books=("northumbrian",), validation=8, test=8))
    passes = 4
    config = DistilConfig(
        BUNDLED / "base", tmp_path / "corpus", tmp_path / "out", rounds=1, tunes=16, passes=passes,
        weight=2.0, batch_tokens=2_048,
    )  # fmt: skip
    steps = list(distil(config))
    each = len(steps) // passes
    first, last = steps[:each], steps[-each:]
    assert sum(step.mask_cost for step in last) < 0.8 * sum(step.mask_cost for step in first)
    before, after = steps[0].bits_per_character, steps[-1].bits_per_character
    assert before is not None
    assert after is not None
    assert after < before + 0.05
    assert "nats a tune" in steps[0].line()
    card = (load_checkpoint(tmp_path / "out").folder / "README.md").read_text()
    assert "musicgen distil --model" in card
    assert card.index("grammar mask, learned") < card.index("## Use")


def test_the_cost_is_the_sum_over_a_tune_of_what_the_mask_takes() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]]))  # (1, 2, 3)
    table = torch.tensor([[True, True, True], [True, False, True], [False, False, True]])
    cost = mask_cost(logits, torch.tensor([[1, 2]]), table)
    assert cost.item() == pytest.approx(-math.log(0.7) - math.log(0.8))
    assert mask_cost(logits, torch.tensor([[1, 0]]), table).item() == pytest.approx(-math.log(0.7))


def test_a_tune_that_went_astray_does_not_count_from_there_on() -> None:
    rare = math.exp(-5.0)
    logits = torch.log(torch.tensor([[[1 - rare, rare], [0.5, 0.5], [0.5, 0.5]]]))
    table = torch.tensor([[True, True], [False, True]])
    cost = mask_cost(logits, torch.tensor([[1, 1, 1]]), table)
    assert cost.item() == pytest.approx(5.0)
