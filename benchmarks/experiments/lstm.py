"""A language model shaped like folk-rnn: three layers of 512 LSTM cells with dropout between them.

Sturm, Santos, Ben-Tal & Korshunova, "Music transcription modelling and composition using deep
learning" (2016): dropout 0.5, RMSprop, gradients clipped. Tokens go in through an embedding, which
is the same as their one-hot input with a factored first matrix.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from musicgen.bar_state import IGNORED
from musicgen.train import batches, pad_batch, token_loss
from musicgen.training_rows import TrainingRows


@dataclass(frozen=True)
class LSTMOptions:
    """One run."""

    minutes: float  # of processor time, in which the learning rate falls to 0
    dropout: float = 0.5
    lr: float = 3e-3
    cells: int = 512
    layers: int = 3
    batch_tokens: int = 4_096
    decay: float = 0.3  # part of the budget at the end over which the rate falls
    save_every: int = 20  # steps


class FolkRNN(torch.nn.Module):
    """Logits (B, T, V) of the next token for token ids (B, T)."""

    def __init__(self, vocabulary: int, options: LSTMOptions) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, options.cells)
        self.lstm = torch.nn.LSTM(
            options.cells, options.cells, options.layers, dropout=options.dropout, batch_first=True
        )
        self.dropout = torch.nn.Dropout(options.dropout)
        self.out = torch.nn.Linear(options.cells, vocabulary)
        for name, parameter in self.lstm.named_parameters():
            if "bias_ih" in name:  # a forget gate that starts open (Jozefowicz et al. 2015)
                parameter.data[options.cells : 2 * options.cells] = 1.0

    def forward(
        self, ids: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        hidden, state = self.lstm(self.embedding(ids), state)
        return self.out(self.dropout(hidden)), state


def train_lstm(
    rows: TrainingRows, vocabulary: int, pad: int, options: LSTMOptions, folder: Path, seed: int = 0
) -> tuple[FolkRNN, dict[str, Any]]:
    """The model after its budget, and what it took; a run that was cut off goes on."""
    torch.manual_seed(seed)
    model = FolkRNN(vocabulary, options)
    optimiser = torch.optim.RMSprop(model.parameters(), lr=options.lr, alpha=0.95)
    progress: dict[str, Any] = {"seconds": 0.0, "step": 0, "passes": 0, "tokens": 0}
    state_file = folder / "lstm.pt"
    folder.mkdir(parents=True, exist_ok=True)
    if state_file.exists():
        saved = torch.load(state_file, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        progress = saved["progress"]
    budget = options.minutes * 60
    model.train()
    for batch in _passes(rows, progress, options, seed):
        if progress["seconds"] >= budget:
            break
        started = time.process_time()
        used = progress["seconds"] / budget
        rate = min(1.0, (1 - used) / options.decay) * min(1.0, (progress["step"] + 1) / 20)
        for group in optimiser.param_groups:
            group["lr"] = options.lr * rate
        inputs, targets = pad_batch(batch, pad)
        loss = token_loss(model(inputs)[0], targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        progress["step"] += 1
        progress["tokens"] += int((targets != IGNORED).sum())
        progress["seconds"] += time.process_time() - started
        if progress["step"] % options.save_every == 0 or progress["seconds"] >= budget:
            _save(state_file, model, optimiser, progress)
            line = {**progress, "loss": loss.item()}
            with open(folder / "lstm.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(f"lstm {line}", flush=True)
    return model.eval(), {**progress, **asdict(options)}


def _passes(
    rows: TrainingRows, progress: dict[str, Any], options: LSTMOptions, seed: int
) -> Iterator[list[Sequence[int]]]:
    """Batches without end; after a resumption a pass begins anew, in another order."""
    while True:
        rng = np.random.default_rng([seed, progress["passes"], progress["step"]])
        yield from batches(rows.draw(rng), options.batch_tokens, rng)
        progress["passes"] += 1


def _save(
    path: Path, model: FolkRNN, optimiser: torch.optim.Optimizer, progress: dict[str, Any]
) -> None:
    partial = path.with_suffix(".partial")
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "progress": progress}
    torch.save(state, partial)
    os.replace(partial, path)


def row_nats(model: FolkRNN, rows: Sequence[Sequence[int]], pad: int) -> float:
    """-log of the probability of all rows behind their begin marks."""
    total = 0.0
    ordered = sorted(rows, key=len)
    with torch.inference_mode():
        for first in range(0, len(ordered), 32):
            inputs, targets = pad_batch(ordered[first : first + 32], pad)
            logits = model(inputs)[0]
            losses = functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="sum"
            )
            total += losses.item()
    return total


def sample_rows(
    model: FolkRNN, begin: int, end: int, n: int, seed: int, longest: int = 512
) -> list[list[int]]:
    """`n` rows drawn from the model, from the begin mark to the end mark or `longest` tokens."""
    rng = torch.Generator().manual_seed(seed)
    rows = [[begin] for _ in range(n)]
    ids, state = torch.full((n, 1), begin), None
    with torch.inference_mode():
        for _ in range(longest - 1):
            logits, state = model(ids, state)
            ids = torch.multinomial(torch.softmax(logits[:, -1], -1), 1, generator=rng)
            for row, token in zip(rows, ids[:, 0].tolist(), strict=True):
                if row[-1] != end:
                    row.append(token)
            if all(row[-1] == end for row in rows):
                break
    return rows
