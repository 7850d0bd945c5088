"""Sampling tunes, batched, over the decoder (decoder.py).

Each row draws from a random stream of its own, seeded by (seed, row), so the same seed gives the
same tune. Rows that are done leave the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import Note, Tune, canonical_text, parse_tune, passes_gate
from musicgen.checkpoint import load_checkpoint
from musicgen.decoder import Decoder
from musicgen.grammar_mask import GrammarMask
from musicgen.header import HeaderWriter, RequestError, TuneRequest
from musicgen.part_plan import part_plan, plan_text
from musicgen.pitch_range import PitchRange
from musicgen.tokenizer import decode_tune, encode_prompt

log = logging.getLogger("musicgen")

# Of (1, 1), (1, .97), (.95, .97), (.9, .95): most sound tunes, and 4-grams as varied as printed.
TEMPERATURE, TOP_P = 0.95, 0.97

_MATCH, _GUESSED = 3, 5  # tokens that must have stood there before, and that are guessed


class SampleError(ValueError):
    """Tunes that cannot be had with these options; the message says what to change."""


@dataclass(frozen=True)
class SampleOptions:
    """How tunes are drawn. temperature 1 and top_p 1 draw from the model's own distribution.

    `constrained`: only tokens that keep the tune sound are drawn (grammar_mask.py).
    """

    temperature: float = TEMPERATURE
    top_p: float = TOP_P
    seed: int = 0
    max_tokens: int = 510
    constrained: bool = False
    draw_plan: bool = True  # a plan left open is drawn where the model has plan lines

    def __post_init__(self) -> None:
        if not 0.01 <= self.temperature <= 10:
            raise SampleError(f"temperature {self.temperature} is not between 0.01 and 10")
        if not 0 < self.top_p <= 1:
            raise SampleError(f"top_p {self.top_p} is not above 0 and at most 1")


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


def choose(
    logits: torch.Tensor, uniforms: Sequence[float], temperature: float, top_p: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one token a row by inverting the cumulative distribution at `uniforms`.

    logits (B, V) -> token ids (B,), their log-probabilities in nats under the distribution drawn
    from (B,). top_p keeps the smallest set of most probable tokens that reaches that mass (nucleus
    sampling, Holtzman et al. 2020).
    """
    scaled = logits.double().cpu().numpy() / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled)
    if top_p < 1:
        weights = _nucleus(weights, top_p)
    sums = np.cumsum(weights, axis=1)
    targets = np.asarray(uniforms)[:, None] * sums[:, -1:]
    # a token of no weight never is the first whose sum is above the target; rounding may leave none
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
    chosen = np.minimum((sums <= targets).sum(axis=1), last)
    rows = np.arange(len(chosen))
    return chosen, np.log(weights[rows, chosen] / sums[:, -1])


def _nucleus(weights: np.ndarray, top_p: float) -> np.ndarray:
    """Weights (B, V) with 0 outside the smallest set of the largest that reaches `top_p` of all.

    Tokens of less than (1 - top_p) / V of the whole have less than 1 - top_p together, so they are
    never in the set, and only the others are sorted.
    """
    totals = weights.sum(axis=1, keepdims=True)
    size = weights.shape[1]
    count = int((weights >= (1 - top_p) * totals / size).sum(axis=1).max())
    if count < size:
        places = np.sort(np.argpartition(-weights, count - 1, axis=1)[:, :count], axis=1)
    else:
        places = np.broadcast_to(np.arange(size), weights.shape)
    found = np.take_along_axis(weights, places, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    found = np.take_along_axis(found, order, axis=1)
    before = np.cumsum(found, axis=1) - found
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, places, np.where(before < top_p * totals, found, 0.0), axis=1)
    return kept


def mask_logits(logits: torch.Tensor, allowed: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Logits (B, V) without what is not `allowed` (B, V); -log of the mass that was left (B,)."""
    kept = torch.from_numpy(allowed).to(logits.device)
    without = logits.masked_fill(~kept, float("-inf"))
    taken = torch.logsumexp(logits, 1) - torch.logsumexp(without, 1)
    return without, taken.clamp(min=0).cpu().numpy()


class Guesser:
    """Guesses how a tune goes on: as it did when its last tokens stood there before.

    A pass of the decoder takes nearly as long for a few tokens as for one, so the guess is read
    along with the last token of a tune that is written alone. What is drawn does not depend on it:
    each token is drawn from the logits behind those drawn before it, with its own random number.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[int, ...], int] = {}  # last tokens -> place behind them
        self._end = _MATCH

    def guess(self, text: Sequence[int], most: int) -> list[int]:
        """Up to `most` tokens that may follow; [] if the last ones are new."""
        for place in range(self._end, len(text)):
            self._places[tuple(text[place - _MATCH : place])] = place
        self._end = max(self._end, len(text))
        place = self._places.get(tuple(text[-_MATCH:]), len(text))
        return list(text[place : place + max(0, min(_GUESSED, most))])


class _Rule:
    """What one row is held to: the grammar, a plan of its parts, a range of pitches."""

    def __init__(
        self,
        mask: GrammarMask,
        pitches: PitchRange | None,
        prompt: list[int],
        plan: tuple[int, ...] | None,
    ) -> None:
        self._mask, self._pitches = mask, pitches
        self._state = mask.begin(prompt, plan)
        self._moves = pitches.begin(prompt) if pitches else None

    def needed(self) -> int:
        """Tokens to the nearest sound end."""
        return self._mask.needed(self._state)

    def allowed(self, left: int) -> np.ndarray:
        """Tokens (V,) that may come next where `left` may still be written."""
        allowed = self._mask.allowed(self._state, left)
        if self._pitches is None or self._moves is None:
            return allowed
        inside = allowed & self._pitches.allowed(self._moves)
        return inside if inside.any() else allowed

    def read(self, token: int) -> None:
        self._state = self._mask.read(self._state, token)
        if self._pitches is not None and self._moves is not None:
            self._moves = self._pitches.read(self._moves, token)


def _check_opening(request: TuneRequest) -> None:
    """Raises RequestError for an opening that leaves the range asked for."""
    if not request.opening or (request.low is None and request.high is None):
        return
    header = f"X:1\nM:{request.meter or '4/4'}\nL:1/8\nK:{request.key or 'C'}\n"
    pitches = pitches_of(parse_tune(header + request.opening))
    low, high = request.low or 0, 127 if request.high is None else request.high
    if pitches and not low <= min(pitches) <= max(pitches) <= high:
        raise RequestError(
            f"the opening goes from pitch {min(pitches)} to {max(pitches)}, outside the range "
            f"{low} to {high}: change one of them"
        )


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


def pitches_of(tune: Tune) -> list[int]:
    """MIDI pitches of the notes as written."""
    return [e.pitch for bar in tune.bars for e in bar.elements if isinstance(e, Note)]


class TuneSampler:
    """Tunes from one model. Not safe for several threads at once: the caller holds a lock."""

    def __init__(
        self,
        model: GPT2LMHeadModel,
        tokenizer: PreTrainedTokenizerFast,
        titles: Sequence[str] = (),
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`titles` are those the model was trained on; without them it names no tunes.

        `dtype` is what is computed in; bfloat16 is for hardware that is fast in it, and gives other
        tunes than float32.
        """
        self.tokenizer = tokenizer
        self.titles = titles
        self.decoder = Decoder(model, dtype)
        self.headers = HeaderWriter(tokenizer)
        self.mask = GrammarMask(tokenizer)
        self._ranges: dict[tuple[int, int], tuple[PitchRange, GrammarMask]] = {}
        self.discarded = 0  # tunes that were not fit to be served so far
        self.is_copy: Callable[[str], bool] = lambda abc: False  # of a printed tune; not served

    @classmethod
    def load(cls, folder: Path) -> TuneSampler:
        """From a model folder; raises CheckpointError with a one-line message."""
        checkpoint = load_checkpoint(folder)
        return cls(checkpoint.model, checkpoint.tokenizer, checkpoint.titles)

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
        """`n` tunes that pass the gate, in canonical text; the others are counted and logged.

        They are drawn under the grammar mask, so nearly all that fail go round in a loop. Gives up
        with a SampleError when `attempts` times `n` tunes brought too few.
        """
        options = replace(options, constrained=True)
        found, row = 0, 0
        while found < n:
            if row >= attempts * n:
                raise SampleError(
                    f"the model wrote {row} tunes and only {found} of {n} were sound: "
                    "lower the temperature, or leave a choice open"
                )
            width = min(32, n - found)
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
                elif found < n:
                    found += 1
                    yield replace(sample, abc=canonical_text(parse_tune(sample.abc)))
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
        done: dict[int, Sample] = {}
        alive = list(range(len(written)))
        cache = self.decoder.new_cache(len(alive), max(limits))
        ids, next_out = self._tensor([prompt[:position] for prompt in written]), 0
        guesser = Guesser()
        guessed: list[int] = []  # tokens after the last one, and what follows each if it comes true
        ahead: list[torch.Tensor] = []
        while alive:
            if ahead:
                logits = ahead.pop(0)
            else:
                start = position - ids.shape[1]
                if len(alive) == 1 and start and len(texts[alive[0]]) == position:
                    guessed = guesser.guess(texts[alive[0]], limits[alive[0]] - position - 1)
                    ids = self._tensor([[texts[alive[0]][-1], *guessed]])
                with torch.inference_mode():
                    logits, *ahead = self._each(ids, start, cache[:, :, : len(alive)], guessed)
            read = position
            drawing = [place for place, row in enumerate(alive) if len(texts[row]) == position]
            if drawing:
                uniforms = [streams[alive[place]].random() for place in drawing]
                offered = logits[drawing]
                if rules:
                    left = [(rules[alive[p]], limits[alive[p]] - position) for p in drawing]
                    allowed = np.stack([rule.allowed(tokens) for rule, tokens in left])
                    offered, taken = mask_logits(offered, allowed)
                    for place, nats in zip(drawing, taken, strict=True):
                        masked[alive[place]] += float(nats)
                chosen, chosen_logprobs = choose(
                    offered, uniforms, options.temperature, options.top_p
                )
                for place, token, logprob in zip(drawing, chosen, chosen_logprobs, strict=True):
                    texts[alive[place]].append(int(token))
                    logprobs[alive[place]].append(float(logprob))
                    if rules:
                        rules[alive[place]].read(int(token))
                    if guessed and guessed.pop(0) != token:
                        guessed, ahead = [], []
            position += 1
            leaving = []
            for place, row in enumerate(alive):
                drawn = len(texts[row]) > len(written[row])
                if drawn and (
                    texts[row][-1] == self.tokenizer.eos_token_id or position >= limits[row]
                ):
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
    ) -> list[_Rule]:
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
        _check_opening(request)
        rules = [
            _Rule(mask, pitches, prompt, plan) for prompt, plan in zip(written, plans, strict=True)
        ]
        for rule, plan, prompt, limit in zip(rules, plans, written, limits, strict=True):
            if plan is not None and rule.needed() > limit - len(prompt):
                raise RequestError(
                    f"the {plan_text(plan)} cannot be had: the opening has more bars, or "
                    f"the model, which reads {self.decoder.context} tokens, writes shorter tunes"
                )
        return rules

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
    "choose",
]
