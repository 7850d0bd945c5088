"""Sampling tunes, batched, over the decoder (decoder.py).

Each row draws from a random stream of its own, seeded by (seed, row), so the same seed gives the
same tune. Rows that are done leave the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import canonical_text, parse_tune, passes_gate
from musicgen.checkpoint import load_checkpoint
from musicgen.closure import comes_home
from musicgen.decoder import Decoder
from musicgen.draft import Draft, DraftGuesser, load_draft
from musicgen.draw import Noise, choose, mask_logits, take_off
from musicgen.grammar_mask import GrammarMask
from musicgen.guesser import Guesser
from musicgen.header import HeaderWriter, RequestError, TuneRequest
from musicgen.loop_guard import LoopGuard
from musicgen.part_plan import part_plan, plan_text
from musicgen.pitch_range import PitchRange, pitches_of
from musicgen.row_rule import RowRule, check_opening
from musicgen.tokenizer import decode_tune, encode_prompt

log = logging.getLogger("musicgen")

PATIENCE = 6  # tunes drawn for each that is wanted, before one that does not come home is served

# Of 1,600 free tunes each, with 4-grams of 400 (printed tunes .309): temperature 1.1, top-p .91 has
# 91.9% that pass the gate and .288; (1, .96) 91.1%, .283; (1.05, .93) 91.3%, .284; (1.1, .93)
# 90.3%, .303. Without a cost of loops (1, .95) has 87.1% and .267 of 800, with .25 a point 90.5%,
# .271.
TEMPERATURE, TOP_P = 1.1, 0.91
LOOP_COST = 0.5


class SampleError(ValueError):
    """Tunes that cannot be had with these options; the message says what to change."""


@dataclass(frozen=True)
class SampleOptions:
    """How tunes are drawn; by default as for listening. `own` draws as the model would by itself.

    `constrained`: only tokens that keep the tune sound are drawn (grammar_mask.py).
    """

    temperature: float = TEMPERATURE
    top_p: float = TOP_P
    seed: int = 0
    max_tokens: int = 510
    constrained: bool = False
    draw_plan: bool = True  # a plan left open is drawn where the model has plan lines
    loop_cost: float = LOOP_COST  # nats a point by which loops are held back (loop_guard.py)

    def __post_init__(self) -> None:
        if not 0.01 <= self.temperature <= 10:
            raise SampleError(f"temperature {self.temperature} is not between 0.01 and 10")
        if not 0 < self.top_p <= 1:
            raise SampleError(f"top_p {self.top_p} is not above 0 and at most 1")
        if not 0 <= self.loop_cost <= 10:
            raise SampleError(f"loop_cost {self.loop_cost} is not between 0 and 10")

    @classmethod
    def own(cls, seed: int = 0, **others: Any) -> SampleOptions:
        """The model's own distribution: temperature 1, nothing cut off, loops at no cost."""
        return cls(temperature=1.0, top_p=1.0, seed=seed, loop_cost=0.0, **others)


@dataclass(frozen=True)
class Sample:
    """One tune as the model wrote it."""

    abc: str
    finished: bool  # the model wrote its end mark
    seed: int
    row: int  # which tune of the seed's it is
    request: TuneRequest
    options: SampleOptions
    tokens: int  # tokens drawn, the prompt left out
    logprob: float  # of those tokens under the sampling distribution, in nats
    masked: float = 0.0  # nats that the mask took: -log of what it left of the model's probability
    plan: tuple[int, ...] | None = None  # of the parts, asked for or drawn; None: left to the model
    ids: tuple[int, ...] = ()  # the tokens as they were drawn, prompt and marks included
    logprobs: tuple[float, ...] = ()  # of each of the `tokens`, as they add up to `logprob`


def faults_of(sample: Sample) -> tuple[str, ...]:
    """Why a sample is not served: what the gate says, or what was asked for and is not so."""
    gate = passes_gate(sample.abc, sample.finished)
    if not gate:
        return gate.reasons
    tune = parse_tune(sample.abc)
    faults = []
    if sample.plan is not None and part_plan(tune) != sample.plan:
        faults.append("plan")
    low, high = sample.request.low, sample.request.high
    pitches = pitches_of(tune)
    if pitches and ((low or 0) > min(pitches) or (127 if high is None else high) < max(pitches)):
        faults.append("range")
    return tuple(faults)


class TuneSampler:
    """Tunes from one model. Not safe for several threads at once: the caller holds a lock."""

    def __init__(
        self,
        model: GPT2LMHeadModel,
        tokenizer: PreTrainedTokenizerFast,
        titles: Sequence[str] = (),
        *,
        dtype: torch.dtype = torch.float32,
        draft: Draft | None = None,
    ) -> None:
        """`titles` are those the model was trained on; without them it names no tunes.

        `dtype` is what is computed in; bfloat16 is for hardware that is fast in it, and gives other
        tunes than float32. `draft` is faster, and changes nothing that is drawn.
        """
        self.draft = draft
        self.tokenizer = tokenizer
        self.titles = titles
        self.decoder = Decoder(model, dtype)
        self.headers = HeaderWriter(tokenizer)
        self.mask = GrammarMask(tokenizer)
        self._ranges: dict[tuple[int, int], tuple[PitchRange, GrammarMask]] = {}
        self._guards: dict[float, LoopGuard] = {}
        self.discarded = 0  # tunes that were not fit to be served so far
        self.is_copy: Callable[[str], bool] = lambda abc: False  # of a printed tune; not served

    @classmethod
    def load(cls, folder: Path) -> TuneSampler:
        """From a model folder; raises CheckpointError with a one-line message."""
        checkpoint = load_checkpoint(folder)
        draft = load_draft(folder, checkpoint.model.config.vocab_size)
        return cls(checkpoint.model, checkpoint.tokenizer, checkpoint.titles, draft=draft)

    def samples(
        self,
        request: TuneRequest,
        options: SampleOptions,
        n: int,
        *,
        first_row: int = 0,
        batch: int = 32,
    ) -> Iterator[Sample]:
        """`n` tunes as the model writes them, good or bad, in order of their rows."""
        for start in range(first_row, first_row + n, batch):
            rows = range(start, min(start + batch, first_row + n))
            for event in self._batch(request, options, rows):
                if isinstance(event, Sample):
                    yield event

    def stream(
        self, request: TuneRequest, options: SampleOptions, row: int = 0
    ) -> Iterator[str | Sample]:
        """One tune piece by piece as the model writes it, header and opening first.

        The last item is the whole sample.
        """
        told = ""
        for event in self._batch(request, options, range(row, row + 1), told=True):
            if isinstance(event, Sample):
                yield event.abc[len(told) :]
                yield event
            elif not event.endswith("\ufffd"):  # a character whose last byte is still to come
                yield event[len(told) :]
                told = event

    def continuations(
        self,
        prompts: Sequence[Sequence[int]],
        options: SampleOptions,
        *,
        first_row: int = 0,
        batch: int = 32,
    ) -> Iterator[Sample]:
        """One tune for each prompt, which is token ids, begin mark included; in their order."""
        for start in range(0, len(prompts), batch):
            written = [list(prompt) for prompt in prompts[start : start + batch]]
            rows = range(first_row + start, first_row + start + len(written))
            plans = [None] * len(written)
            for event in self._decode(written, plans, TuneRequest(), options, rows):
                if isinstance(event, Sample):
                    yield event

    def served(
        self, request: TuneRequest, options: SampleOptions, n: int = 1, *, attempts: int = 16
    ) -> Iterator[Sample]:
        """`n` tunes that pass the gate and come home (closure.py), in canonical text.

        They are drawn under the grammar mask, so nearly all that fail go round in a loop; those are
        counted and logged. Two are drawn for each that is wanted, which takes hardly longer than
        one. A sound tune that does not come home is served when PATIENCE times `n` tunes brought
        too few that do. Raises SampleError when `attempts` times `n` brought too few sound ones.
        """
        options = replace(options, constrained=True)
        found, row = 0, 0
        aside: list[Sample] = []  # sound ones that do not come home
        while found < n:
            if row >= PATIENCE * n and aside:
                found += 1
                yield aside.pop(0)
                continue
            if row >= attempts * n:
                raise SampleError(
                    f"the model wrote {row} tunes and only {found} of {n} were sound: "
                    "lower the temperature, or leave a choice open"
                )
            width = min(32, 2 * (n - found), attempts * n - row)
            for sample in self.samples(request, options, width, first_row=row, batch=width):
                faults = faults_of(sample)
                if not faults and self.is_copy(sample.abc):
                    faults = ("copy",)
                if faults:
                    self.discarded += 1
                    log.info(
                        "discarded tune (seed %d, row %d): %s; %d so far",
                        sample.seed,
                        sample.row,
                        ", ".join(faults),
                        self.discarded,
                    )
                    continue
                tune = parse_tune(sample.abc)
                whole = replace(sample, abc=canonical_text(tune))
                if not comes_home(tune):
                    aside.append(whole)
                elif found < n:
                    found += 1
                    yield whole
            row += width

    def _batch(
        self, request: TuneRequest, options: SampleOptions, rows: range, *, told: bool = False
    ) -> Iterator[Sample | str]:
        """Write a header for each row, then decode them all together."""
        streams = _streams(options, rows)
        with torch.inference_mode():
            headers = [
                self.headers.write(request, self.decoder, stream, draw_plan=options.draw_plan)
                for stream in streams
            ]
        written = [encode_prompt(self.tokenizer, header.text) for header in headers]
        plans = [header.plan for header in headers]
        yield from self._decode(written, plans, request, options, rows, streams, told=told)

    def _decode(
        self,
        written: list[list[int]],
        plans: Sequence[tuple[int, ...] | None],
        request: TuneRequest,
        options: SampleOptions,
        rows: range,
        streams: list[np.random.Generator] | None = None,
        *,
        told: bool = False,
    ) -> Iterator[Sample | str]:
        """Decode all of `rows` together; each is yielded as soon as it and those before are done.

        `streams` are the rows' random numbers, where some were drawn already. With `told`, for a
        single row, its text so far is yielded after each token too.

        All rows stand at the same position. Prompts may differ in length: what they share in length
        is read at once, the rest of a longer prompt is fed token by token while others draw.
        """
        streams = streams or _streams(options, rows)
        noises = [Noise(stream, self.decoder.vocabulary) for stream in streams]
        longest = max(map(len, written))
        limits = [min(self.decoder.context, len(p) + options.max_tokens) for p in written]
        if longest >= self.decoder.context:
            raise SampleError(
                f"the opening has {longest} tokens and the model reads {self.decoder.context}: "
                "give fewer bars"
            )
        position = min(map(len, written))
        texts = [list(prompt) for prompt in written]
        logprobs: list[list[float]] = [[] for _ in written]
        masked = [0.0] * len(written)
        rules = self._rules(request, options, plans, written, limits)
        guard = self._guard(options.loop_cost)
        loops = [guard.begin(prompt) for prompt in written] if guard else []
        done: dict[int, Sample] = {}
        alive = list(range(len(written)))
        cache = self.decoder.new_cache(len(alive), max(limits))
        ids, next_out = self._tensor([prompt[:position] for prompt in written]), 0
        guesser: Guesser | DraftGuesser = Guesser()
        if self.draft:
            guesser = self.draft.begin(options.temperature)
        end = self.tokenizer.eos_token_id
        guessed: list[int] = []  # tokens after the last one, and what follows each if it comes true
        ahead: list[torch.Tensor] = []
        while alive:
            if ahead:
                logits = ahead.pop(0)
            else:
                start = position - ids.shape[1]
                if len(alive) == 1 and start and len(texts[alive[0]]) == position:
                    text, most = texts[alive[0]], limits[alive[0]] - position - 1
                    guessed = guesser.guess(text, most, noises[alive[0]])
                    ids = self._tensor([[text[-1], *guessed]])
                with torch.inference_mode():
                    logits, *ahead = self._each(ids, start, cache[:, :, : len(alive)], guessed)
            read = position
            drawing = [place for place, row in enumerate(alive) if len(texts[row]) == position]
            if drawing:
                noise = np.stack([noises[alive[place]].take() for place in drawing])
                offered = logits[drawing]
                if rules:
                    left = [(rules[alive[p]], limits[alive[p]] - position) for p in drawing]
                    allowed = np.stack([rule.allowed(tokens) for rule, tokens in left])
                    offered, taken = mask_logits(offered, allowed)
                    for place, nats in zip(drawing, taken, strict=True):
                        masked[alive[place]] += float(nats)
                if guard:
                    costs = [guard.costs(loops[alive[place]]) for place in drawing]
                    offered = take_off(offered, costs)
                chosen, chosen_logprobs = choose(offered, noise, options.temperature, options.top_p)
                for place, token, logprob in zip(drawing, chosen, chosen_logprobs, strict=True):
                    texts[alive[place]].append(int(token))
                    logprobs[alive[place]].append(float(logprob))
                    if rules:
                        rules[alive[place]].read(int(token))
                    if guard:
                        guard.read(loops[alive[place]], int(token))
                    if guessed and guessed.pop(0) != token:
                        guessed, ahead = [], []
            position += 1
            leaving = []
            for place, row in enumerate(alive):
                drawn = len(texts[row]) > len(written[row])
                if drawn and (texts[row][-1] == end or position >= limits[row]):
                    sample = self._sample(
                        texts[row], len(written[row]), logprobs[row], request, options, rows[row]
                    )
                    done[row] = replace(sample, masked=masked[row], plan=plans[row])
                    leaving.append(place)
            for place in reversed(leaving):  # the last row takes the place of the one that leaves
                last = alive.pop()
                if place < len(alive):
                    cache[:, :, place, :, :read] = cache[:, :, len(alive), :, :read]
                    alive[place] = last
            if told and alive:
                yield self._text(texts[0], len(written[0]))
            while next_out in done:
                yield done.pop(next_out)
                next_out += 1
            if not ahead:
                ids = self._tensor([[texts[row][position - 1]] for row in alive])

    def _each(
        self, ids: torch.Tensor, start: int, cache: torch.Tensor, guessed: list[int]
    ) -> list[torch.Tensor]:
        """Logits (B, V) behind the last token, or behind it and each token that is guessed."""
        if not guessed:
            return [self.decoder(ids, start, cache)]
        return list(self.decoder.each(ids, start, cache).unbind(1))

    def _rules(
        self,
        request: TuneRequest,
        options: SampleOptions,
        plans: Sequence[tuple[int, ...] | None],
        written: list[list[int]],
        limits: list[int],
    ) -> list[RowRule]:
        """What each row is held to; none where nothing is."""
        if not options.constrained:
            return []
        pitches, mask = None, self.mask
        if request.low is not None or request.high is not None:
            limited = (request.low or 0, 127 if request.high is None else request.high)
            if limited not in self._ranges:
                pitches = PitchRange(self.tokenizer, *limited)
                mask = GrammarMask(self.tokenizer, usable=pitches.always)
                self._ranges[limited] = pitches, mask
            pitches, mask = self._ranges[limited]
        check_opening(request)
        rules = [
            RowRule(mask, pitches, prompt, plan)
            for prompt, plan in zip(written, plans, strict=True)
        ]
        for rule, plan, prompt, limit in zip(rules, plans, written, limits, strict=True):
            if plan is not None and rule.needed() > limit - len(prompt):
                raise RequestError(
                    f"the {plan_text(plan)} cannot be had: the opening has more bars, or "
                    f"the model, which reads {self.decoder.context} tokens, writes shorter tunes"
                )
        return rules

    def _guard(self, cost: float) -> LoopGuard | None:
        if cost == 0:
            return None
        if cost not in self._guards:
            self._guards[cost] = LoopGuard(self.tokenizer, cost)
        return self._guards[cost]

    def _tensor(self, ids: list[list[int]]) -> torch.Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.decoder.device)

    def _text(self, ids: Sequence[int], prompt_length: int) -> str:
        """The tune's text: all but the plan line of its header."""
        header = (token for token in ids[:prompt_length] if token not in self.headers.plan_ids)
        return decode_tune(self.tokenizer, [*header, *ids[prompt_length:]])

    def _sample(
        self,
        ids: list[int],
        prompt_length: int,
        logprobs: list[float],
        request: TuneRequest,
        options: SampleOptions,
        row: int,
    ) -> Sample:
        return Sample(
            abc=self._text(ids, prompt_length),
            finished=ids[-1] == self.tokenizer.eos_token_id,
            seed=options.seed,
            row=row,
            request=request,
            options=options,
            tokens=len(ids) - prompt_length,
            logprob=sum(logprobs),
            ids=tuple(ids),
            logprobs=tuple(logprobs),
        )


def _streams(options: SampleOptions, rows: range) -> list[np.random.Generator]:
    """A row's own random numbers: the same whatever else is in the batch."""
    return [np.random.Generator(np.random.Philox([options.seed, row])) for row in rows]


__all__ = [
    "Decoder",
    "Sample",
    "SampleError",
    "SampleOptions",
    "TuneRequest",
    "TuneSampler",
]
