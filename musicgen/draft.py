"""A small model that guesses what a large one will draw, so that it reads several tokens a pass.

Speculative decoding (Leviathan et al. 2023), coupled: a guess is drawn from the small model with
the very random numbers that the token will be drawn with (draw.py), so the two agree wherever the
models do (Daliri et al. 2024). Nothing is accepted or refused at random: each token is drawn from
the large model's logits, and a guess of another token was of no use. The tune is the same with any
draft, or none.

The small model is one block: attention over a token with the two before it, so that it finds how
the tune went on when these last stood there, and one hidden layer. It takes some 30 microseconds a
token, in NumPy, as PyTorch's calls alone would take twice that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from musicgen.checkpoint import CheckpointError
from musicgen.draw import Noise

DRAFT_FILE = "draft.safetensors"  # in a model folder, 16 bit; `musicgen.train_draft` writes it
LAST = 3  # tokens read at each place: the one that stands there and those before it
HEADS = 2
SMALLEST = 1e-5  # added to the mean square that a row is divided by the root of
NAMES = ("tokens", "places", "attend", "join", "up", "bias", "down", "gain")
_LONGEST = 8  # tokens guessed at most
_LEAST = 0.35  # chance that a guess and those before it come true, below which none is made

Array = NDArray[np.float32]


class Draft:
    """The weights of a small model: V tokens, W numbers a token, H hidden ones, N places.

    tokens (LAST, V, W), places (N, W), attend (3 W, W), join (W, W), up (H, W), bias (H,),
    down (W, H), gain (W,)
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        """Raises KeyError for weights that are missing, ValueError for such as do not fit."""
        self.weights = {name: np.ascontiguousarray(weights[name], np.float32) for name in NAMES}
        _, self.vocabulary, width = self.weights["tokens"].shape
        self.context, self.width = len(self.weights["places"]), width
        hidden = len(self.weights["bias"])
        expected = (
            (LAST, self.vocabulary, width), (self.context, width), (3 * width, width),
            (width, width), (hidden, width), (hidden,), (width, hidden), (width,),
        )  # fmt: skip
        for name, shape in zip(NAMES, expected, strict=True):
            if self.weights[name].shape != shape:
                raise ValueError(f"{name} has the shape {self.weights[name].shape}, not {shape}")

    def begin(self, temperature: float) -> DraftGuesser:
        """A guesser for one tune that is drawn at this temperature."""
        return DraftGuesser(self, temperature)


class DraftGuesser:
    """Guesses how one tune goes on, which only grows; reads each token of it once."""

    def __init__(self, draft: Draft, temperature: float) -> None:
        self._draft, self._temperature = draft, temperature
        self._read: list[int] = []  # tokens whose keys and values are known, guesses too
        self._sure = 0  # how many of them are the tune's
        self._keys = np.empty((HEADS, draft.context, draft.width // HEADS), np.float32)
        self._values = np.empty_like(self._keys)

    def guess(self, text: Sequence[int], most: int, noise: Noise) -> list[int]:
        """Up to `most` tokens that may follow; fewer where the model is not sure of them."""
        most = min(most, _LONGEST, self._draft.context - len(text))
        if most <= 0:
            return []
        guessed: list[int] = []
        hidden, chance = self._read_on(text), 1.0
        while True:
            ratios = self._weights(hidden) / noise.ahead(len(guessed))
            token = int(ratios.argmax())
            chance *= _sureness(ratios, token)
            if chance < _LEAST:
                return guessed
            guessed.append(token)
            if len(guessed) == most:
                return guessed
            hidden = self._step(token)

    def logits(self, text: Sequence[int]) -> Array:
        """Of the token behind `text`, (V,)."""
        return self._logits(self._read_on(text))

    def _read_on(self, text: Sequence[int]) -> Array:
        """Read what is new in `text`, its last token at least -> (W,) behind that."""
        last, known = len(text) - 1, self._sure
        while known < min(last, len(self._read)) and self._read[known] == text[known]:
            known += 1
        del self._read[known:]
        for token in text[known:]:
            hidden = self._step(token)
        self._sure = last
        return hidden

    def _step(self, token: int) -> Array:
        weights, place = self._draft.weights, len(self._read)
        self._read.append(token)
        x = weights["places"][place].copy()
        for table, read in zip(weights["tokens"], self._read[: -LAST - 1 : -1], strict=False):
            x += table[read]
        found = (weights["attend"] @ _norm(x)).reshape(3, HEADS, -1)
        query, self._keys[:, place], self._values[:, place] = found
        query /= np.sqrt(np.float32(query.shape[1]))
        heeded = self._keys[:, : place + 1] @ query[:, :, None]  # (HEADS, places, 1)
        heeded -= heeded.max(axis=1, keepdims=True)
        np.exp(heeded, out=heeded)
        heeded /= heeded.sum(axis=1, keepdims=True)
        x += weights["join"] @ (heeded.mT @ self._values[:, : place + 1]).ravel()
        hidden = weights["up"] @ _norm(x)
        hidden += weights["bias"]
        np.maximum(hidden, 0.0, out=hidden)
        x += weights["down"] @ hidden
        return np.asarray(x)

    def _logits(self, hidden: Array) -> Array:
        weights = self._draft.weights
        return np.asarray(weights["tokens"][0] @ (_norm(hidden) * weights["gain"]))

    def _weights(self, hidden: Array) -> Array:
        """What a token is drawn by (V,); a top-p would hardly change which token wins."""
        scaled = self._logits(hidden) / np.float32(self._temperature)
        return np.asarray(np.exp(scaled - scaled.max()))


def _norm(x: Array) -> Array:
    return np.asarray(x / np.sqrt(x @ x / np.float32(len(x)) + np.float32(SMALLEST)))


def _sureness(ratios: Array, token: int) -> float:
    """The chance that the large model draws `token`, the winner of a draw of ratios (V,).

    The further the next best is behind, the more may the models differ and still draw the same.
    """
    best = ratios[token]
    ratios[token] = 0.0
    return float(1 - 0.6 * ratios.max() / best)


def save_draft(folder: Path, weights: Mapping[str, np.ndarray]) -> Path:
    """Write the draft of a model folder; an old one is replaced."""
    partial = folder / f".{DRAFT_FILE}.partial"
    save_file({name: weights[name].astype(np.float16) for name in NAMES}, partial)
    partial.chmod(0o644)  # safetensors are private by default
    return partial.replace(folder / DRAFT_FILE)


def load_draft(folder: Path, vocabulary: int) -> Draft | None:
    """The draft of a model folder, None if it has none. Raises CheckpointError if it is damaged.

    `vocabulary` is the number of the model's tokens.
    """
    path = folder / DRAFT_FILE
    if not path.is_file():
        return None
    try:
        draft = Draft(load_file(path))
    except (SafetensorError, KeyError, ValueError) as error:
        reason = f"is damaged ({error})"
    else:
        if draft.vocabulary == vocabulary:
            return draft
        reason = f"knows {draft.vocabulary} tokens and the model {vocabulary}"
    raise CheckpointError(
        f"{path} {reason}: delete it, which costs speed alone, or make it anew with "
        f"`python -m musicgen.train_draft {folder}`"
    )
