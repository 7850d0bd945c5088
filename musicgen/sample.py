"""Sampling tunes: one lean decoder over the model's own weights, batched, with a fixed KV cache.

Each row draws from a random stream of its own, seeded by (seed, row), so the same seed gives the
same tune. Rows that are done leave the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import canonical_text, parse_tune, passes_gate
from musicgen.checkpoint import load_checkpoint
from musicgen.grammar_mask import GrammarMask
from musicgen.header import HeaderWriter, TuneRequest
from musicgen.tokenizer import decode_tune, encode_prompt

log = logging.getLogger("musicgen")

# Of (1, 1), (1, .95), (.9, .95), (.9, .9), (.8, .95) the most sound tunes; colder ones loop.
TEMPERATURE, TOP_P = 0.9, 0.95


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
    ids: tuple[int, ...] = ()  # the tokens as they were drawn, prompt and marks included
    logprobs: tuple[float, ...] = ()  # of each of the `tokens`, as they add up to `logprob`


class Decoder:
    """A GPT-2's forward pass for one new token a row, over weights laid out for it.

    The cache is one tensor (layers, 2, rows, heads, context, width of a head), made once a batch.
    """

    def __init__(self, model: GPT2LMHeadModel) -> None:
        config = model.config
        self.heads, self.context = config.n_head, config.n_positions
        self.width, self.vocabulary = config.n_embd, config.vocab_size
        self.device, self.dtype = model.device, torch.float32
        body = model.transformer

        def plain(parameter: torch.Tensor) -> torch.Tensor:
            return parameter.detach().to(self.dtype)

        self.tokens, self.positions = plain(body.wte.weight), plain(body.wpe.weight)
        self.blocks = [
            {
                "ln1": (plain(block.ln_1.weight), plain(block.ln_1.bias)),
                "qkv": (plain(block.attn.c_attn.weight), plain(block.attn.c_attn.bias)),
                "out": (plain(block.attn.c_proj.weight), plain(block.attn.c_proj.bias)),
                "ln2": (plain(block.ln_2.weight), plain(block.ln_2.bias)),
                "up": (plain(block.mlp.c_fc.weight), plain(block.mlp.c_fc.bias)),
                "down": (plain(block.mlp.c_proj.weight), plain(block.mlp.c_proj.bias)),
            }
            for block in body.h
        ]
        self.final_norm = (plain(body.ln_f.weight), plain(body.ln_f.bias))
        self.epsilon = config.layer_norm_epsilon

    def new_cache(self, rows: int, length: int) -> torch.Tensor:
        """An empty cache for `rows` tunes of at most `length` tokens."""
        return torch.empty(
            (len(self.blocks), 2, rows, self.heads, length, self.width // self.heads),
            dtype=self.dtype,
            device=self.device,
        )

    def __call__(self, ids: torch.Tensor, start: int, cache: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) of the last position for ids (B, T), which stand at `start` and after."""
        rows, length = ids.shape
        end = start + length
        norm = (self.width,)
        hidden = self.tokens[ids] + self.positions[start:end]
        for layer, block in enumerate(self.blocks):
            x = functional.layer_norm(hidden, norm, *block["ln1"], self.epsilon)
            weight, bias = block["qkv"]
            qkv = torch.addmm(bias, x.view(-1, self.width), weight)
            qkv = qkv.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            cache[layer, :, :, :, start:end] = qkv[1:]
            keys, values = cache[layer, :, :, :, :end]
            x = functional.scaled_dot_product_attention(
                qkv[0], keys, values, is_causal=length > 1 and start == 0
            )
            x = x.transpose(1, 2).reshape(-1, self.width)
            weight, bias = block["out"]
            hidden = hidden + torch.addmm(bias, x, weight).view(rows, length, -1)
            x = functional.layer_norm(hidden, norm, *block["ln2"], self.epsilon)
            weight, bias = block["up"]
            x = torch.addmm(bias, x.view(-1, self.width), weight)
            x = functional.gelu(x, approximate="tanh")
            weight, bias = block["down"]
            hidden = hidden + torch.addmm(bias, x, weight).view(rows, length, -1)
        last = functional.layer_norm(hidden[:, -1], norm, *self.final_norm, self.epsilon)
        return last @ self.tokens.T


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
        order = np.argsort(-weights, axis=1, kind="stable")
        sorted_weights = np.take_along_axis(weights, order, axis=1)
        sums = np.cumsum(sorted_weights, axis=1)
        kept = sums - sorted_weights < top_p * sums[:, -1:]
        np.put_along_axis(weights, order, np.where(kept, sorted_weights, 0.0), axis=1)
    sums = np.cumsum(weights, axis=1)
    targets = np.asarray(uniforms)[:, None] * sums[:, -1:]
    # a token of no weight never is the first whose sum is above the target; rounding may leave none
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
    chosen = np.minimum((sums <= targets).sum(axis=1), last)
    rows = np.arange(len(chosen))
    return chosen, np.log(weights[rows, chosen] / sums[:, -1])


def mask_logits(logits: torch.Tensor, allowed: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Logits (B, V) without what is not `allowed` (B, V); -log of the mass that was left (B,)."""
    kept = torch.from_numpy(allowed).to(logits.device)
    without = logits.masked_fill(~kept, float("-inf"))
    taken = torch.logsumexp(logits.double(), 1) - torch.logsumexp(without.double(), 1)
    return without, taken.cpu().numpy()


class TuneSampler:
    """Tunes from one model. Not safe for several threads at once: the caller holds a lock."""

    def __init__(self, model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.decoder = Decoder(model)
        self.headers = HeaderWriter(tokenizer)
        self.mask = GrammarMask(tokenizer)
        self.discarded = 0  # tunes that did not pass the gate so far

    @classmethod
    def load(cls, folder: Path) -> TuneSampler:
        """From a model folder; raises CheckpointError with a one-line message."""
        checkpoint = load_checkpoint(folder)
        return cls(checkpoint.model, checkpoint.tokenizer)

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
            yield from self._batch(
                request, options, range(start, min(start + batch, first_row + n))
            )

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
            yield from self._decode(written, _streams(options, rows), TuneRequest(), options, rows)

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
                gate = passes_gate(sample.abc, sample.finished)
                if not gate:
                    self.discarded += 1
                    log.info(
                        "discarded tune (seed %d, row %d): %s; %d so far",
                        sample.seed,
                        sample.row,
                        ", ".join(gate.reasons),
                        self.discarded,
                    )
                elif found < n:
                    found += 1
                    yield replace(sample, abc=canonical_text(parse_tune(sample.abc)))
            row += width

    def _batch(self, request: TuneRequest, options: SampleOptions, rows: range) -> Iterator[Sample]:
        streams = _streams(options, rows)
        with torch.inference_mode():
            written = [
                self._encode(self.headers.write(request, self.decoder, stream))
                for stream in streams
            ]
        yield from self._decode(written, streams, request, options, rows)

    def _decode(
        self,
        written: list[list[int]],
        streams: list[np.random.Generator],
        request: TuneRequest,
        options: SampleOptions,
        rows: range,
    ) -> Iterator[Sample]:
        """Decode all of `rows` together; each is yielded as soon as it and those before are done.

        All rows stand at the same position. Prompts may differ in length: what they share in length
        is read at once, the rest of a longer prompt is fed token by token while others draw.
        """
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
        states = [self.mask.begin(prompt) for prompt in written] if options.constrained else []
        done: dict[int, Sample] = {}
        alive = list(range(len(written)))
        cache = self.decoder.new_cache(len(alive), max(limits))
        ids = self._tensor([prompt[:position] for prompt in written])
        read, next_out = 0, 0
        while alive:
            with torch.inference_mode():
                logits = self.decoder(ids, read, cache)
            read = position
            drawing = [place for place, row in enumerate(alive) if len(texts[row]) == position]
            if drawing:
                uniforms = [streams[alive[place]].random() for place in drawing]
                offered = logits[drawing]
                if options.constrained:
                    rows_left = [(states[alive[p]], limits[alive[p]] - position) for p in drawing]
                    allowed = np.stack([self.mask.allowed(*each) for each in rows_left])
                    offered, taken = mask_logits(offered, allowed)
                    for place, nats in zip(drawing, taken, strict=True):
                        masked[alive[place]] += float(nats)
                chosen, chosen_logprobs = choose(
                    offered, uniforms, options.temperature, options.top_p
                )
                for place, token, logprob in zip(drawing, chosen, chosen_logprobs, strict=True):
                    texts[alive[place]].append(int(token))
                    logprobs[alive[place]].append(float(logprob))
                    if options.constrained:
                        states[alive[place]] = self.mask.read(states[alive[place]], int(token))
            position += 1
            staying = []
            for place, row in enumerate(alive):
                drawn = len(texts[row]) > len(written[row])
                if drawn and (
                    texts[row][-1] == self.tokenizer.eos_token_id or position >= limits[row]
                ):
                    sample = self._sample(
                        texts[row], len(written[row]), logprobs[row], request, options, rows[row]
                    )
                    done[row] = replace(sample, masked=masked[row])
                else:
                    staying.append(place)
            if len(staying) < len(alive):
                alive = [alive[place] for place in staying]
                cache = cache[:, :, staying]
            while next_out in done:
                yield done.pop(next_out)
                next_out += 1
            ids = self._tensor([[texts[row][position - 1]] for row in alive])

    def _encode(self, text: str) -> list[int]:
        return encode_prompt(self.tokenizer, text)

    def _tensor(self, ids: list[list[int]]) -> torch.Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.decoder.device)

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
            abc=decode_tune(self.tokenizer, ids),
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
