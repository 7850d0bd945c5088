"""A model of some thousand weights that writes eight bars of four notes: a base to tune in tests.

Trained on tunes made up here, within seconds; about two of three of its tunes pass the gate. The
taste of the tests likes high notes.
"""

import functools

import numpy as np
import torch

from musicgen.checkpoint import Checkpoint
from musicgen.model import Shape, build_model
from musicgen.tokenizer import build_tokenizer, encode_tune
from musicgen.train import pad_batch, token_loss
from prefs.rollout import Rollouts

NOTES = "DEFGABcdef"
HEADER = "X:1\nR:reel\nM:4/4\nL:1/4\nK:D\n"


def toy_tune(rng: np.random.Generator) -> str:
    """Eight bars of four notes, a walk by steps."""
    place, bars = int(rng.integers(len(NOTES))), []
    for _ in range(8):
        bar = ""
        for _ in range(4):
            place = int(np.clip(place + rng.integers(-2, 3), 0, len(NOTES) - 1))
            bar += NOTES[place]
        bars.append(bar)
    return HEADER + "|".join(bars) + "|\n"


@functools.cache
def _trained() -> Checkpoint:
    rng = np.random.default_rng(0)
    tunes = [toy_tune(rng) for _ in range(400)]
    tokenizer, _ = build_tokenizer(tunes)
    model = build_model(Shape(layers=2, heads=2, width=32, context=64), tokenizer, seed=0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rows = [encode_tune(tokenizer, abc) for abc in tunes]
    for step in range(150):
        inputs, targets = pad_batch([rows[i] for i in rng.choice(400, 24)], tokenizer.pad_token_id)
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1 - step / 150)
        loss = token_loss(model(inputs, use_cache=False).logits, targets)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return Checkpoint("toy", None, model.eval(), tokenizer)


def toy_base() -> Checkpoint:
    """The base; do not train it in place."""
    return _trained()


def height(abc: str) -> float:
    """Mean place of a tune's notes on the scale; in the toy base's tunes 4.6, deviation 1.8."""
    music = abc.split("K:D\n")[-1]
    places = [NOTES.index(note) for note in music if note in NOTES]
    return float(np.mean(places)) if places else 0.0


def likes_high_notes(rollouts: Rollouts) -> np.ndarray:
    """A reward of mean 0 and deviation 1 over the toy base's sound tunes; -3 for others."""
    mean, std = _scale()
    rewards = (np.array([height(abc) for abc in rollouts.tunes]) - mean) / std
    return np.where(rollouts.sound, np.clip(rewards, -5, 5), -3.0)


@functools.cache
def _scale() -> tuple[float, float]:
    from prefs.rollout import roll_out

    found = [
        height(abc) for abc in roll_out(_trained().model, _trained().tokenizer, 512, 9).sound_tunes
    ]
    return float(np.mean(found)), float(np.std(found))
