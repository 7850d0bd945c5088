"""Train a GPT-2 on a corpus: `for step in train(config): ...`, resumable, logged as JSON Lines.

    musicgen train --corpus CORPUS --out RUN --preset small --minutes 100

A run folder holds log.jsonl (one line a step record), samples.abc (a tune every so often),
state.pt (everything needed to go on) and model/ (the best model so far, Hugging Face layout).

The learning rate follows a trapezoid: warm-up, constant, then linear to 0 over the last part of the
budget, which may be steps or minutes. Matrices inside the blocks are updated by Muon
(orthogonalised momentum, Jordan et al. 2024, as in torch.optim), everything else by AdamW.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import parse_tune
from musicgen.bar_state import IGNORED, BarGrammar, grammar_loss
from musicgen.checkpoint import load_checkpoint, save_checkpoint
from musicgen.corpus import CorpusError, read_corpus
from musicgen.model import PRESETS, build_model, count_parameters
from musicgen.model_card import model_card
from musicgen.part_plan import part_plan, plan_text
from musicgen.precision import fast_autocast
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.titles import corpus_titles
from musicgen.tokenizer import Granularity, build_tokenizer, encode_tune
from musicgen.training_rows import RowOptions, TrainingRows, TrainingTune, training_tunes


@dataclass(frozen=True)
class TrainConfig:
    """What a training run is; every field is a flag of `musicgen train`."""

    corpus: Path  # folder written by `musicgen corpus build`
    out: Path  # run folder
    preset: Literal["tiny", "small", "medium", "gpt2"] = "small"
    steps: int = 3_000  # optimiser steps; 0: --minutes alone decides
    minutes: float | None = None  # stop after this much training time, learning rate at 0
    clock: Literal["wall", "processor"] = "wall"  # whose minutes; equal budgets need the latter
    batch_tokens: int = 4_096  # tokens an optimiser step, padding included
    lr: float = 5e-3  # peak learning rate of AdamW (embeddings, biases, norms)
    muon_lr: float = 0.04  # peak learning rate of Muon (matrices of the blocks)
    warmup_steps: int = 50
    decay: float = 0.3  # part of the budget at the end over which the rate falls to 0
    weight_decay: float = 0.1
    dropout: float = 0.0
    position_loss: float = 0.5  # weight of the bar-position target (bar_state.py); 0: none
    grammar_loss: float = 1.0  # weight of the bar-grammar target (bar_state.py); 0: none
    transpose: bool = True  # each pass sees each tune in one of the keys that folk players use
    header_dropout: float = 0.1  # how often R: is left out, so that tunes can be asked for without
    plan: float = 0.5  # how often the plan of the parts stands in the header (part_plan.py)
    titles: float = 0.3  # titles a pass, as a part of the tunes: the model names tunes too
    granularity: Granularity = "joined"
    min_count: int = 5  # a lexeme seen less often is spelled out
    seed: int = 0
    validate_every: int = 100
    sample_every: int = 200
    device: str = "auto"
    compile: bool = False  # torch.compile: minutes at the start, up to a quarter faster after
    start: Path | None = None  # model folder to start from: its vocabulary is kept, its shape too
    resume: bool = False  # go on from OUT/state.pt


@dataclass(frozen=True)
class TrainStep:
    """One optimiser step, as logged."""

    step: int
    progress: float  # part of the budget used, 0..1
    loss: float  # nats a token, mean over the batch
    position_loss: float  # nats a token of the bar-position target
    grammar_loss: float  # nats a token of the bar-grammar target: 0 if no bar could be overfilled
    lr: float  # of AdamW
    tokens: int  # real tokens seen so far, padding left out
    tokens_per_second: float
    seconds: float  # training time so far, validation and sampling left out
    bits_per_character: float | None = None  # on the validation tunes, when measured
    sample: str | None = None  # a tune of the moment, when drawn

    def line(self) -> str:
        """The progress line of this step."""
        left = self.seconds / max(self.progress, 1e-9) * (1 - self.progress)
        text = (
            f"step {self.step:05d} ({self.progress:.1%}) - loss {self.loss:.3f} - "
            f"{self.tokens_per_second / 1000:.1f}k tok/s - eta {left / 60:.0f}m"
        )
        if self.bits_per_character is not None:
            text += f" - validation {self.bits_per_character:.4f} bits a character"
        return text


@dataclass
class _Progress:
    """The loop's own state: what a resumed run goes on from."""

    step: int = 0
    pass_start: int = 0  # the step at which the present pass over the corpus began
    tokens: int = 0
    seconds: float = 0.0
    best_bits: float = math.inf


def pad_batch(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of token ids -> (inputs, targets), both (B, T - 1); padding targets are IGNORED."""
    longest = max(map(len, rows))
    # a multiple of 8 keeps the number of different shapes small
    width = math.ceil((longest - 1) / 8) * 8
    inputs = torch.full((len(rows), width), pad)
    targets = torch.full((len(rows), width), IGNORED)
    for index, row in enumerate(rows):
        ids = torch.tensor(row)
        inputs[index, : len(row) - 1] = ids[:-1]
        targets[index, : len(row) - 1] = ids[1:]
    return inputs, targets


def batches(
    rows: Sequence[Sequence[int]], batch_tokens: int, rng: np.random.Generator
) -> Iterator[list[Sequence[int]]]:
    """One pass over `rows` in random batches of like lengths, about `batch_tokens` each."""
    jittered = sorted(range(len(rows)), key=lambda i: len(rows[i]) + rng.uniform(0, 24))
    groups: list[list[Sequence[int]]] = [[]]
    for index in jittered:
        row = rows[index]
        if groups[-1] and len(row) * (len(groups[-1]) + 1) > batch_tokens:
            groups.append([])
        groups[-1].append(row)
    for group_index in rng.permutation(len(groups)):
        yield groups[group_index]


def pad_targets(rows: Sequence[Sequence[int]], width: int) -> torch.Tensor:
    """Rows of classes, one for each token read -> (B, width), padding IGNORED."""
    targets = torch.full((len(rows), width), IGNORED)
    for index, row in enumerate(rows):
        targets[index, : len(row)] = torch.tensor(row)
    return targets


def token_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy in nats a token; logits (B, T, V), targets (B, T)."""
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def bits_per_character(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    tunes: Sequence[str],
    *,
    batch_tokens: int = 16_384,
) -> float:
    """Bits that the model needs a character of `tunes`, the end mark's bits included.

    Tunes longer than the model's context count their first `context` tokens, and those alone.
    """
    context = model.config.n_positions
    rows, characters = [], 0
    for abc in tunes:
        ids = encode_tune(tokenizer, abc)[: context + 1]
        rows.append(ids)
        characters += len(tokenizer.decode(ids, skip_special_tokens=True))
    rows.sort(key=len)
    nats = 0.0
    device = model.device
    was_training = model.training
    model.eval()
    with torch.no_grad():
        while rows:
            count = max(1, batch_tokens // len(rows[-1]))
            batch, rows = rows[-count:], rows[:-count]
            inputs, targets = pad_batch(batch, tokenizer.pad_token_id)
            with fast_autocast(device):
                logits = model(inputs.to(device), use_cache=False).logits
            losses = functional.cross_entropy(
                logits.flatten(0, 1).float(), targets.to(device).flatten(), reduction="sum"
            )
            nats += losses.item()
    model.train(was_training)
    return nats / math.log(2) / characters


def learning_rate_factor(progress: float, step: int, config: TrainConfig) -> float:
    """Trapezoid: warm-up in steps, then 1, then linear to 0 over the last `decay` of the budget."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    return warmup * min(1.0, max(0.0, 1 - progress) / config.decay)


def _optimisers(
    model: GPT2LMHeadModel, head: torch.nn.Linear, config: TrainConfig
) -> list[torch.optim.Optimizer]:
    matrices: list[torch.nn.Parameter] = []
    others = list(head.parameters())
    for name, parameter in model.named_parameters():
        (matrices if ".h." in name and parameter.ndim == 2 else others).append(parameter)
    adam = torch.optim.AdamW(
        others, lr=config.lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True
    )
    muon = torch.optim.Muon(
        matrices, lr=config.muon_lr, momentum=0.95, weight_decay=config.weight_decay
    )
    for optimiser in (adam, muon):
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"]
    return [adam, muon]


def _pick_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def _save_state(
    path: Path,
    model: GPT2LMHeadModel,
    head: torch.nn.Linear,
    optimisers: Sequence[torch.optim.Optimizer],
    progress: _Progress,
) -> None:
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "model": model.state_dict(),
            "head": head.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "progress": asdict(progress),
        },
        partial,
    )
    os.replace(partial, path)


def train(config: TrainConfig) -> Iterator[TrainStep]:
    """Train, yielding a record a step; the best model so far is kept in `config.out`/model."""
    corpus = read_corpus(config.corpus)
    tunes = training_tunes(corpus, transpose=config.transpose)
    validation = [tune.abc for tune in corpus.tunes("validation") if tune.gate]
    if not tunes or not validation:
        raise CorpusError(
            f"{config.corpus}: {len(tunes)} tunes to train on and {len(validation)} to validate "
            "with; build a larger corpus with `musicgen corpus build`"
        )
    state_path = config.out / "state.pt"
    if state_path.exists() and not config.resume:
        raise CorpusError(f"{config.out} holds a run already: add --resume, or another --out")
    config.out.mkdir(parents=True, exist_ok=True)

    # of all its tunes, not only of those that are trained on: no title may be one of them
    titles = corpus_titles(corpus.titles()) if config.titles else []
    model, tokenizer = _beginning(config, tunes)
    options = RowOptions(config.header_dropout, config.plan, config.titles)
    rows = TrainingRows(tunes, tokenizer, options, model.config.n_positions)
    device = _pick_device(config.device)
    model.to(device).train()
    grammar = BarGrammar(tokenizer, rows.draw(np.random.default_rng(config.seed)))
    head = torch.nn.Linear(model.config.n_embd, grammar.positions, device=device)
    torch.nn.init.zeros_(head.weight)
    counting = max(1, model.config.n_layer - 1)  # blocks below the head; the last one uses its sum
    optimisers = _optimisers(model, head, config)
    progress = _Progress()
    if config.resume and state_path.exists():
        state: dict[str, Any] = torch.load(state_path, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        head.load_state_dict(state["head"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        progress = _Progress(**state["progress"])
    forward = torch.compile(model, dynamic=True) if config.compile else model

    now = time.perf_counter if config.clock == "wall" else time.process_time

    def used() -> float:
        parts = [progress.step / config.steps if config.steps else 0.0]
        if config.minutes is not None:
            parts.append(progress.seconds / (config.minutes * 60))
        return min(1.0, max(parts))

    torch.manual_seed(config.seed + progress.step)
    with open(config.out / "log.jsonl", "a", encoding="utf-8") as log:
        while used() < 1:
            # a pass is a function of the seed and its first step, so a resumed run finds its place
            rng = np.random.default_rng([config.seed, progress.pass_start])
            remaining = list(batches(rows.draw(rng), config.batch_tokens, rng))
            for batch in remaining[progress.step - progress.pass_start :]:
                if used() >= 1:
                    break
                started = now()
                factor = learning_rate_factor(used(), progress.step, config)
                for optimiser in optimisers:
                    for group in optimiser.param_groups:
                        group["lr"] = group["peak_lr"] * factor
                inputs, targets = pad_batch(batch, tokenizer.pad_token_id)
                with fast_autocast(device):
                    out = forward(
                        input_ids=inputs.to(device), use_cache=False, output_hidden_states=True
                    )
                    places = head(out.hidden_states[counting])
                loss = token_loss(out.logits, targets.to(device))
                known, falls_under = zip(*map(grammar.targets, batch), strict=True)
                position = token_loss(places, pad_targets(known, inputs.shape[1]).to(device))
                forbidden = grammar_loss(
                    out.logits,
                    pad_targets(falls_under, inputs.shape[1]).to(device),
                    grammar.masks().to(device),
                )
                total = loss + config.position_loss * position + config.grammar_loss * forbidden
                total.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                for optimiser in optimisers:
                    optimiser.step()
                    optimiser.zero_grad(set_to_none=True)
                seconds = now() - started
                tokens = sum(map(len, batch)) - len(batch)
                progress.step += 1
                progress.tokens += tokens
                progress.seconds += seconds

                last = used() >= 1
                bits = sample = None
                if last or progress.step % config.validate_every == 0:
                    bits = bits_per_character(model, tokenizer, validation)
                    if bits < progress.best_bits:
                        progress.best_bits = bits
                        card = model_card(model, corpus, config, progress.tokens, bits)
                        save_checkpoint(
                            config.out / "model", model, tokenizer, card=card, titles=titles
                        )
                    _save_state(state_path, model, head, optimisers, progress)
                if last or progress.step % config.sample_every == 0:
                    sample = _sample_tune(model, tokenizer, progress.step, config.out)
                record = TrainStep(
                    step=progress.step,
                    progress=used(),
                    loss=loss.item(),
                    position_loss=position.item(),
                    grammar_loss=forbidden.item(),
                    lr=config.lr * factor,
                    tokens=progress.tokens,
                    tokens_per_second=tokens / seconds,
                    seconds=progress.seconds,
                    bits_per_character=bits,
                    sample=sample,
                )
                log.write(json.dumps(asdict(record)) + "\n")
                log.flush()
                yield record
            progress.pass_start = progress.step


def _beginning(
    config: TrainConfig, tunes: Sequence[TrainingTune]
) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """A new model with a vocabulary of `tunes`, or the one to start from. Raises CheckpointError.

    A lexeme of the tunes that the vocabulary of the one to start from lacks is spelled out.
    """
    if config.start is not None:
        found = load_checkpoint(config.start)
        for part in found.model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = config.dropout
        return found.model, found.tokenizer
    tokenizer, _ = build_tokenizer(
        vocabulary_texts(tunes), granularity=config.granularity, min_count=config.min_count
    )
    shape = PRESETS[config.preset]
    return build_model(shape, tokenizer, seed=config.seed, dropout=config.dropout), tokenizer


def vocabulary_texts(tunes: Sequence[TrainingTune]) -> Iterator[str]:
    """What the lexemes are counted in: every tune in every key, and its plan line once."""
    for tune in tunes:
        yield from tune.keys
        yield f"N:{plan_text(part_plan(parse_tune(next(iter(tune.keys)))))}\n"


def _sample_tune(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, step: int, folder: Path
) -> str:
    sampler = TuneSampler(model, tokenizer)
    options = SampleOptions.own(seed=step)
    sample = next(sampler.samples(TuneRequest(), options, 1))
    with open(folder / "samples.abc", "a", encoding="utf-8") as file:
        file.write(f"% step {step}\n{sample.abc}\n")
    return sample.abc


__all__ = [
    "TrainConfig",
    "TrainStep",
    "batches",
    "bits_per_character",
    "count_parameters",
    "learning_rate_factor",
    "pad_batch",
    "train",
]
