"""Titles by the model: plausible, none of the corpus, and only if the model was taught some."""

import doctest
from pathlib import Path

import pytest
import torch

from musicgen import titles as module
from musicgen.checkpoint import load_checkpoint, save_checkpoint
from musicgen.model import Shape, build_model
from musicgen.name_tune import TuneNamer
from musicgen.sample import TuneSampler
from musicgen.titles import TitleJudge, corpus_titles, title_prompt
from musicgen.tokenizer import build_tokenizer, encode_tune
from musicgen.train import pad_batch, token_loss

TITLES = [
    f"The {one} {two}"
    for one in ("Green", "Merry", "Idle", "Old", "Broken")
    for two in ("Mill", "Piper", "Road", "Hat")
    if (one, two) not in {("Green", "Hat"), ("Idle", "Mill"), ("Old", "Road")}
]
TUNE = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n|:d2d2 d2d2:|\n"


@pytest.fixture(scope="module")
def sampler() -> TuneSampler:
    """A tiny model that has learned by heart how these titles are made."""
    tokenizer, _ = build_tokenizer([TUNE] * 5)
    model = build_model(Shape(layers=2, heads=2, width=48, context=96), tokenizer, seed=1).train()
    rows = [encode_tune(tokenizer, title_prompt("reel") + title) for title in TITLES]
    inputs, targets = pad_batch(rows, tokenizer.pad_token_id)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        token_loss(model(inputs, use_cache=False).logits, targets).backward()
        optimiser.step()
        optimiser.zero_grad()
    return TuneSampler(model.eval(), tokenizer, TITLES)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("title", "plausible"),
    [
        ("The Green Hat", True),
        ("Old Road", True),
        ("Old Piper", False),  # "The Old Piper" but for its article
        ("The Green Mill", False),  # it is one of the corpus
        ("Green Mill", False),  # the same but for its article
        ("The Purple Hat", False),  # a word that no title has
        ("The Hat Hat", False),
        ("the green hat", False),  # not in the style of titles
        ("Piper", False),
    ],
)
def test_which_titles_are_plausible(title, plausible):
    assert TitleJudge(TITLES).accepts(title) == plausible


def test_titles_are_plausible_new_and_always_the_same_for_a_tune(sampler):
    namer = TuneNamer(sampler)
    texts = [TUNE.replace("d2d2 d2d2", f"d2d2 d{number}") for number in range(12)]
    found = [namer.title(text) for text in texts]
    assert found == [namer.title(text) for text in texts]
    named = {title for title in found if title}
    assert named
    assert not named & set(TITLES)
    assert all(TitleJudge(TITLES).accepts(title) for title in named)


def test_the_title_stands_behind_the_first_line_and_one_that_is_there_stays(sampler):
    namer = TuneNamer(sampler)
    text = next(t for n in range(12) if (t := namer.titled(f"{TUNE}% {n}\n")) and "T:" in t)
    assert text.splitlines()[1].startswith("T:")
    assert text.replace(text.splitlines()[1] + "\n", "") in {f"{TUNE}% {n}\n" for n in range(12)}
    assert namer.titled(text) == text


def test_a_model_without_a_list_of_titles_names_no_tune(sampler):
    namer = TuneNamer(TuneSampler(build_model(
        Shape(layers=1, heads=1, width=16, context=96), sampler.tokenizer, seed=1
    ), sampler.tokenizer))  # fmt: skip
    assert namer.title(TUNE) is None
    assert namer.titled(TUNE) == TUNE


def test_a_model_folder_keeps_the_titles(sampler, tmp_path: Path):
    model = build_model(Shape(layers=1, heads=1, width=16, context=96), sampler.tokenizer, seed=1)
    titles = corpus_titles(["MERRY LADS OF AYER -- REEL.", "Irish Air.", "The Green Mill", "12"])
    assert titles == ["Merry Lads of Ayer", "The Green Mill"]
    folder = save_checkpoint(tmp_path / "model", model, sampler.tokenizer, card="", titles=titles)
    assert load_checkpoint(folder).titles == tuple(titles)
    assert TuneSampler.load(folder).titles == tuple(titles)
    bare = save_checkpoint(tmp_path / "bare", model, sampler.tokenizer, card="")
    assert not (bare / "titles.txt").exists() and load_checkpoint(bare).titles == ()
