"""The header a tune starts from: what was asked for, the rest drawn from the model itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from abc_tools import parse_tune
from abc_tools.gate import FEWEST_BARS
from musicgen.part_plan import plan_text, read_plan

if TYPE_CHECKING:
    from musicgen.sample import Decoder


# what stands there, what may come next, and what is to come after that
_Question: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], int | None]
_REMEMBERED = 1_000
LEAST_RANGE = 7  # semitones: in less there is no tune


class RequestError(ValueError):
    """Something was asked for that the model does not know; the message lists what it knows."""


@dataclass(frozen=True)
class TuneRequest:
    """What a tune should be; None leaves the choice to the model."""

    rhythm: str | None = None  # "reel", "jig", ...
    meter: str | None = None  # "6/8"
    key: str | None = None  # "D", "A dorian", "Ador"
    opening: str = ""  # music that the tune must begin with, in the request's key and unit length
    plan: tuple[int, ...] | None = None  # bars of each part as written, repeats not played out
    low: int | None = None  # MIDI pitch of the lowest note
    high: int | None = None  # and of the highest

    def __post_init__(self) -> None:
        if self.plan is not None and (sum(self.plan) < FEWEST_BARS or min(self.plan) < 1):
            raise RequestError(
                f"{plan_text(self.plan)} is too short: a tune has {FEWEST_BARS} bars or more in all"
            )
        low, high = self.low or 0, 127 if self.high is None else self.high
        if not 0 <= low <= high - LEAST_RANGE or high > 127:
            raise RequestError(
                f"no tune goes from pitch {low} to {high}: give MIDI numbers from 0 to 127, "
                f"{LEAST_RANGE} semitones or more apart"
            )


@dataclass(frozen=True)
class Header:
    """What a tune starts from: the text, with the opening, and the plan it is held to."""

    text: str
    plan: tuple[int, ...] | None


class HeaderWriter:
    """Writes `X: R: M: L: K:` lines for a request, in the vocabulary of one tokenizer.

    It remembers what the model said, so each model needs one of its own.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        self._answers: dict[_Question, np.ndarray] = {}
        self._start = [tokenizer.bos_token_id, vocabulary["X:1\n"]]
        self._by_field: dict[str, dict[str, int]] = {
            letter: {
                word[2:-1]: index
                for word, index in sorted(vocabulary.items())
                if word.startswith(letter + ":") and word.endswith("\n") and len(word) > 3
            }
            for letter in "RMLK"
        }
        self._plans = {
            plan: index
            for word, index in sorted(vocabulary.items())
            if word.startswith("N:")
            and (plan := read_plan(word[2:-1]))
            and sum(plan) >= FEWEST_BARS
        }

    @property
    def plan_ids(self) -> set[int]:
        """Tokens of the plan lines: part of no tune."""
        return set(self._plans.values())

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

    def write(
        self,
        request: TuneRequest,
        decoder: Decoder,
        stream: np.random.Generator,
        *,
        draw_plan: bool = False,
    ) -> Header:
        """The header's text and the opening; fields left open are drawn from the model.

        The plan line stands before K: if a plan was asked for and the model has a word for it. With
        `draw_plan` a plan left open is drawn too, which may turn out as none; not before an
        opening, which need not fit it.

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
        plan = request.plan
        for letter, fixed in (("M", meter), ("L", None), ("K", key)):
            if letter == "K":
                if plan is None and draw_plan and self._plans and not request.opening:
                    plan = self._drawn_plan(decoder, ids, key, stream)
                if plan in self._plans:
                    ids.append(self._plans[plan])
            if fixed is None:
                candidates = list(self._by_field[letter].values())
                weights = self._probabilities(decoder, ids, candidates)
                fixed = candidates[_draw(weights, stream)]
            ids.append(fixed)
        words = {index: f"{x}:{v}\n" for x, f in self._by_field.items() for v, index in f.items()}
        words |= {index: f"N:{plan_text(plan)}\n" for plan, index in self._plans.items()}
        text = "X:1\n" + "".join(words[index] for index in ids[2:]) + request.opening
        return Header(text, plan)

    def _drawn_plan(
        self, decoder: Decoder, ids: list[int], key: int | None, stream: np.random.Generator
    ) -> tuple[int, ...] | None:
        """A plan or none, as the model has it after `ids`; the key asked for, if any, is given."""
        plans = list(self._plans)
        keys = list(self._by_field["K"].values()) if key is None else [key]
        weights = self._probabilities(decoder, ids, [*self._plans.values(), *keys])
        without = weights[len(plans) :].sum()
        weights = weights[: len(plans)]
        if key is not None:
            weights = weights * self._next_probability(
                decoder, ids, list(self._plans.values()), key
            )
        choice = _draw(np.append(weights, without), stream)
        return plans[choice] if choice < len(plans) else None

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

    def _probabilities(self, decoder: Decoder, ids: list[int], candidates: list[int]) -> np.ndarray:
        """Probability of each candidate after `ids`, as the model has it (not renormalised)."""

        def compute() -> np.ndarray:
            cache = decoder.new_cache(1, len(ids))
            logits = decoder(torch.tensor([ids], device=decoder.device), 0, cache)[0]
            return torch.softmax(logits.double(), -1)[candidates].cpu().numpy()

        return self._remembered((tuple(ids), tuple(candidates), None), compute)

    def _next_probability(
        self, decoder: Decoder, ids: list[int], candidates: list[int], then: int
    ) -> np.ndarray:
        """Probability of `then` after `ids` and each candidate."""

        def compute() -> np.ndarray:
            rows = torch.tensor([[*ids, one] for one in candidates], device=decoder.device)
            logits = decoder(rows, 0, decoder.new_cache(len(candidates), rows.shape[1]))
            return torch.softmax(logits.double(), -1)[:, then].cpu().numpy()

        return self._remembered((tuple(ids), tuple(candidates), then), compute)

    def _remembered(self, question: _Question, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The tunes of a batch begin alike, and so do those asked for one after another."""
        if question not in self._answers:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[question] = compute()
        return self._answers[question]


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
