"""A model learns what its grammar mask forbids; nothing else is taken from it."""

import math
from pathlib import Path

import pytest
import torch

from musicgen.bar_state import grammar_loss
from musicgen.checkpoint import load_checkpoint, save_checkpoint
from musicgen.corpus import CorpusConfig, build_corpus
from musicgen.mask_distillation import DistilConfig, MaskTargets, distil
from musicgen.model import Shape, build_model
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
    corpus = build_corpus(
        CorpusConfig(tmp_path / "corpus", books=("northumbrian",), validation=8, test=8)
    )
    texts = [tune.abc for tune in corpus.tunes("train")]
    tokenizer, _ = build_tokenizer(texts, min_count=1)
    model = build_model(Shape(2, 2, 32, 512), tokenizer, seed=0)
    start = save_checkpoint(
        tmp_path / "start", model, tokenizer, card="# A model\n\n## Use\n\nso\n"
    )
    config = DistilConfig(
        start, tmp_path / "corpus", tmp_path / "out", rounds=1, tunes=8, passes=14, lr=1e-2,
        weight=1.0, batch_tokens=2_048,
    )  # fmt: skip
    steps = list(distil(config))
    assert steps[-1].mask_cost < 0.8 * steps[0].mask_cost
    assert steps[-1].bits_per_character is not None
    assert steps[0].bits_per_character is not None
    assert steps[-1].bits_per_character < steps[0].bits_per_character
    assert "nats a tune" in steps[0].line()
    made = load_checkpoint(tmp_path / "out")
    card = (made.folder / "README.md").read_text()
    assert "musicgen distil --model" in card
    assert card.index("grammar mask, learned") < card.index("## Use")


def test_the_cost_is_the_sum_over_a_tune_of_what_the_mask_takes() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]]))  # (1, 2, 3)
    masks = torch.tensor([[True, True, True], [True, False, True], [False, False, True]])
    mean = grammar_loss(logits, torch.tensor([[1, 2]]), masks)
    assert 2 * mean.item() == pytest.approx(-math.log(0.7) - math.log(0.8))
