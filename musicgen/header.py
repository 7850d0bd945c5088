"""The header a tune starts from: what was asked for, the rest drawn from the model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from abc_tools import parse_tune

if TYPE_CHECKING:
    from musicgen.sample import Decoder


class RequestError(ValueError):
    """Something was asked for that the model does not know; the message lists what it knows."""


@dataclass(frozen=True)
class TuneRequest:
    """What a tune should be; None leaves the choice to the model."""

    rhythm: str | None = None  # "reel", "jig", ...
    meter: str | None = None  # "6/8"
    key: str | None = None  # "D", "A dorian", "Ador"
    opening: str = ""  # music that the tune must begin with, in the request's key and unit length


class HeaderWriter:
    """Writes `X: R: M: L: K:` lines for a request, in the vocabulary of one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        self._start = [tokenizer.bos_token_id, vocabulary["X:1\n"]]
        self._by_field: dict[str, dict[str, int]] = {
            letter: {
                word[2:-1]: index
                for word, index in sorted(vocabulary.items())
                if word.startswith(letter + ":") and word.endswith("\n") and len(word) > 3
            }
            for letter in "RMLK"
        }

    @property
    def rhythms(self) -> list[str]:
        """Rhythms that can be asked for."""
        return list(self._by_field["R"])

    @property
    def meters(self) -> list[str]:
        """Meters that can be asked for."""
        return list(self._by_field["M"])

    @property
    def keys(self) -> list[str]:
        """Keys that can be asked for, in canonical spelling."""
        return list(self._by_field["K"])

    def write(self, request: TuneRequest, decoder: Decoder, stream: np.random.Generator) -> str:
        """The header's text and the opening; fields left open are drawn from the model.

        A rhythm left open is drawn given the meter asked for, by Bayes' rule over the model's own
        probabilities; so are all fields given those before them.
        """
        rhythm = self._wanted("R", request.rhythm)
        meter = self._wanted("M", request.meter)
        key = self._wanted("K", _canonical_key(request.key))
        ids = list(self._start)
        if rhythm is not None:
            ids.append(rhythm)
        else:
            candidates = list(self._by_field["R"].values())
            weights = self._probabilities(decoder, ids, [*candidates, *self._meter_ids(meter)])
            without = weights[len(candidates) :].sum()
            weights = np.append(weights[: len(candidates)], without)
            if meter is not None and candidates:
                given = self._next_probability(decoder, ids, candidates, meter)
                weights = weights * np.append(given, 1.0)  # `without` is p(meter) already
            choice = _draw(weights, stream)
            if choice < len(candidates):
                ids.append(candidates[choice])
        for letter, fixed in (("M", meter), ("L", None), ("K", key)):
            if fixed is None:
                candidates = list(self._by_field[letter].values())
                weights = self._probabilities(decoder, ids, candidates)
                fixed = candidates[_draw(weights, stream)]
            ids.append(fixed)
        words = {index: f"{x}:{v}\n" for x, f in self._by_field.items() for v, index in f.items()}
        return "X:1\n" + "".join(words[index] for index in ids[2:]) + request.opening

    def _meter_ids(self, meter: int | None) -> list[int]:
        return list(self._by_field["M"].values()) if meter is None else [meter]

    def _wanted(self, letter: str, value: str | None) -> int | None:
        if value is None:
            return None
        known = self._by_field[letter]
        if value not in known:
            name = {"R": "rhythm", "M": "meter", "K": "key"}[letter]
            raise RequestError(f"this model knows no {name} {value!r}; it knows {', '.join(known)}")
        return known[value]

    @staticmethod
    def _probabilities(decoder: Decoder, ids: list[int], candidates: list[int]) -> np.ndarray:
        """Probability of each candidate after `ids`, as the model has it (not renormalised)."""
        cache = decoder.new_cache(1, len(ids))
        logits = decoder(torch.tensor([ids], device=decoder.device), 0, cache)[0]
        return torch.softmax(logits.double(), -1)[candidates].cpu().numpy()

    @staticmethod
    def _next_probability(
        decoder: Decoder, ids: list[int], candidates: list[int], then: int
    ) -> np.ndarray:
        """Probability of `then` after `ids` and each candidate."""
        rows = torch.tensor([[*ids, candidate] for candidate in candidates], device=decoder.device)
        logits = decoder(rows, 0, decoder.new_cache(len(candidates), rows.shape[1]))
        return torch.softmax(logits.double(), -1)[:, then].cpu().numpy()


def _canonical_key(key: str | None) -> str | None:
    if key is None:
        return None
    parsed = parse_tune(f"X:1\nM:4/4\nL:1/8\nK:{key}\nC|\n").key
    if not parsed.tonic:
        raise RequestError(f"{key!r} is no key: write it as D, Ador, Emin or G mixolydian")
    return parsed.text


def _draw(weights: np.ndarray, stream: np.random.Generator) -> int:
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, stream.random() * sums[-1], side="right"))
