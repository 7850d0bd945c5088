"""Training: batches, the learning-rate curve, bits a character, resuming, the run folder."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from musicgen.checkpoint import CheckpointError
from musicgen.corpus import CorpusConfig, CorpusError, build_corpus, read_corpus
from musicgen.model import Shape, build_model
from musicgen.titles import corpus_titles, read_titles
from musicgen.tokenizer import build_tokenizer, encode_tune
from musicgen.train import (
    IGNORED,
    TrainConfig,
    batches,
    bits_per_character,
    learning_rate_factor,
    pad_batch,
    train,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest real book."""
    folder = tmp_path_factory.mktemp("corpus")
    build_corpus(CorpusConfig(folder, books=("northumbrian",), validation=8, test=8))
    return folder


@pytest.fixture
def config(corpus: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        corpus=corpus,
        out=tmp_path / "run",
        preset="tiny",
        steps=4,
        batch_tokens=512,
        warmup_steps=1,
        validate_every=2,
        sample_every=4,
        transpose=False,
    )


def test_padding_has_no_target_and_every_token_but_the_first_is_one() -> None:
    inputs, targets = pad_batch([[1, 5, 6, 2], [1, 7, 2]], pad=0)
    assert inputs.tolist() == [[1, 5, 6, 0, 0, 0, 0, 0], [1, 7, 0, 0, 0, 0, 0, 0]]
    assert targets.tolist() == [[5, 6, 2] + [IGNORED] * 5, [7, 2] + [IGNORED] * 6]


def test_one_pass_shows_every_row_once_in_batches_of_like_length() -> None:
    rows = [[index] * (10 + index % 90) for index in range(200)]
    groups = list(batches(rows, 500, np.random.default_rng(0)))
    assert all(sum(map(len, group)) <= 600 for group in groups)
    assert sorted(row[0] for group in groups for row in group) == list(range(200))
    padded = sum(max(map(len, group)) * len(group) for group in groups)
    assert padded < 1.35 * sum(map(len, rows))


def test_the_learning_rate_warms_up_holds_and_falls_to_zero() -> None:
    config = TrainConfig(Path(), Path(), warmup_steps=10, decay=0.4)
    assert learning_rate_factor(0.0, 0, config) == pytest.approx(0.1)
    assert learning_rate_factor(0.5, 500, config) == 1.0
    assert learning_rate_factor(0.8, 800, config) == pytest.approx(0.5)
    assert learning_rate_factor(1.0, 1000, config) == 0.0


def test_a_uniform_model_needs_log2_of_the_vocabulary_for_each_token() -> None:
    abc = "X:1\nM:4/4\nL:1/8\nK:C\nCDEF GABc|\n"
    tokenizer, _ = build_tokenizer([abc], min_count=1)
    model = build_model(Shape(1, 1, 16, 64), tokenizer, seed=0)
    torch.nn.init.zeros_(model.transformer.ln_f.weight)  # every logit equal
    tokens = len(encode_tune(tokenizer, abc)) - 1
    expected = tokens * math.log2(len(tokenizer)) / len(abc)
    assert bits_per_character(model, tokenizer, [abc, abc]) == pytest.approx(expected, rel=1e-3)


def test_a_run_writes_a_log_a_sample_and_a_model_that_transformers_opens(
    config: TrainConfig,
) -> None:
    steps = list(train(replace(config, steps=30)))
    assert [step.step for step in steps] == list(range(1, 31))
    assert steps[-1].loss < steps[0].loss - 0.5
    assert steps[-1].sample.startswith("X:1\n")
    logged = [json.loads(line) for line in (config.out / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in logged] == [step.loss for step in steps]
    assert "eta" in steps[3].line()
    assert "bits a character" in steps[3].line()
    model = AutoModelForCausalLM.from_pretrained(config.out / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(config.out / "model")
    assert model.config.vocab_size == len(tokenizer)
    card = (config.out / "model" / "README.md").read_text()
    assert "musicgen train --corpus" in card
    titles = read_titles(config.out / "model")
    assert len(titles) > 50 and titles == corpus_titles(read_corpus(config.corpus).titles())
    best = min(step.bits_per_character for step in steps if step.bits_per_character is not None)
    assert f"{best:.4f} bits a character" in card


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(config: TrainConfig) -> None:
    whole = [step.loss for step in train(replace(config, out=config.out / "whole", steps=8))]
    first = train(replace(config, steps=8))
    begun = [next(first).loss for _ in range(5)]  # stopped after step 5; saved at step 4
    first.close()
    resumed = [step.loss for step in train(replace(config, steps=8, resume=True))]
    assert begun[:4] == pytest.approx(whole[:4], rel=1e-3)  # bfloat16 sums vary
    assert resumed == pytest.approx(whole[4:], rel=5e-3)


def test_a_run_may_start_from_a_model_whose_vocabulary_and_size_it_keeps(
    config: TrainConfig,
) -> None:
    begun = list(train(replace(config, steps=30)))
    model = config.out / "model"
    on = replace(config, out=config.out / "on", preset="small", start=model, dropout=0.2, seed=5)
    went_on = list(train(on))
    assert went_on[0].loss < (begun[0].loss + begun[-1].loss) / 2
    old, new = (AutoTokenizer.from_pretrained(folder) for folder in (model, on.out / "model"))
    assert old.get_vocab() == new.get_vocab()
    assert AutoModelForCausalLM.from_pretrained(on.out / "model").config.n_embd == 128  # tiny
    assert f"--start {model}" in (on.out / "model" / "README.md").read_text()
    with pytest.raises(CheckpointError, match="no model folder"):
        next(train(replace(on, out=config.out / "none", start=config.out / "nowhere")))


def test_a_second_run_does_not_overwrite_the_first(config: TrainConfig) -> None:
    list(train(replace(config, steps=2)))
    with pytest.raises(CorpusError, match="holds a run already: add --resume, or another --out"):
        next(train(replace(config, steps=2)))


def test_a_corpus_without_sound_tunes_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    own = tmp_path / "short.abc"
    own.write_text("".join(f"X:{n}\nM:4/4\nK:C\nCDEF|GABc|C8|{'C' * n}|\n\n" for n in range(1, 6)))
    build_corpus(CorpusConfig(tmp_path / "short", add=(own,), books=()))
    with pytest.raises(CorpusError, match="0 tunes to train on"):
        next(train(replace(config, corpus=tmp_path / "short")))
