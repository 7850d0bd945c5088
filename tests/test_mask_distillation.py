"""A model learns what its grammar mask forbids; nothing else is taken from it."""

import math
from pathlib import Path

import pytest
import torch

from musicgen.bar_state import IGNORED
from musicgen.checkpoint import BUNDLED, load_checkpoint
from musicgen.mask_distillation import DistilConfig, MaskTargets, distil, masked_divergence
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


def test_a_model_comes_closer_to_itself_under_the_mask(tmp_path: Path) -> None:
    passes = 4
    config = DistilConfig(
        BUNDLED / "base", tmp_path / "out", rounds=1, tunes=16, passes=passes, batch_tokens=2_048
    )
    steps = list(distil(config))
    each = len(steps) // passes
    first, last = steps[:each], steps[-each:]
    assert sum(step.divergence for step in last) < 0.8 * sum(step.divergence for step in first)
    assert "nats a tune" in steps[0].line()
    card = (load_checkpoint(tmp_path / "out").folder / "README.md").read_text()
    assert "musicgen distil --model" in card
    assert card.index("grammar mask, learned") < card.index("## Use")


TABLE = torch.tensor([[True, True, True], [True, False, True], [False, False, True]])


def test_the_divergence_from_oneself_is_what_the_mask_takes() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]]))  # (1, 2, 3)

    def taken(*indices: int) -> float:
        return masked_divergence(logits, logits, torch.tensor([indices]), TABLE).item()

    assert taken(1, 2) == pytest.approx(-math.log(0.7) - math.log(0.8))
    assert taken(1, 0) == pytest.approx(-math.log(0.7))
    assert taken(1, IGNORED) == pytest.approx(-math.log(0.7))


def test_the_target_is_what_the_mask_leaves_of_the_teacher_scaled_up_to_one() -> None:
    teacher = torch.log(torch.tensor([[[0.5, 0.3, 0.2]]]))  # masked: 5/7, 0, 2/7
    model = torch.log(torch.tensor([[[0.6, 0.1, 0.3]]]))
    expected = 5 / 7 * math.log(5 / 7 / 0.6) + 2 / 7 * math.log(2 / 7 / 0.3)
    found = masked_divergence(model, teacher, torch.tensor([[1]]), TABLE)
    assert found.item() == pytest.approx(expected)


def test_a_tune_that_went_astray_does_not_count_from_there_on() -> None:
    rare = math.exp(-5.0)
    logits = torch.log(torch.tensor([[[1 - rare, rare], [0.5, 0.5], [0.5, 0.5]]]))
    table = torch.tensor([[True, True], [False, True]])
    cost = masked_divergence(logits, logits, torch.tensor([[1, 1, 1]]), table)
    assert cost.item() == pytest.approx(5.0)
