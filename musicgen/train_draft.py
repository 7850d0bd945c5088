"""Train the draft of a model (draft.py) on tunes that the model draws itself.

    python -m musicgen.train_draft MODEL

The draft is to be like its model, not like the corpus: it learns from the model's own tunes, and no
printed tune is needed. It is written into the model's folder.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import nn
from torch.nn import functional

from musicgen.checkpoint import CheckpointError, load_checkpoint
from musicgen.draft import HEADS, LAST, SMALLEST, save_draft
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from musicgen.train import batches, pad_batch, token_loss


@dataclass(frozen=True)
class DraftOptions:
    """Train a small model that guesses what a model will draw, which makes drawing faster."""

    model: tyro.conf.Positional[Path]  # model folder
    tunes: int = 8_192  # that the model draws to learn from
    steps: int = 4_000
    batch_tokens: int = 4_096
    width: int = 64  # numbers a token
    hidden: int = 256
    lr: float = 1e-2  # peak learning rate of AdamW (tables, bias, gain)
    muon_lr: float = 0.04  # and of Muon (matrices)
    warmup_steps: int = 30
    decay: float = 0.5  # part of the steps at the end over which the rate falls to 0
    seed: int = 0


class DraftNet(nn.Module):
    """The model of draft.py, for whole rows at once and with gradients."""

    def __init__(self, vocabulary: int, context: int, width: int, hidden: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def begin(*shape: int, scale: float = 0.02) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(shape, generator=generator))

        self.tokens = begin(LAST, vocabulary, width)
        self.places = begin(context, width)
        self.attend = begin(3 * width, width)
        self.join = begin(width, width, scale=0.01)
        self.up = begin(hidden, width)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.down = begin(width, hidden, scale=0.01)
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (B, T) -> logits (B, T, V)."""
        length = ids.shape[1]
        x = self.places[:length].expand(len(ids), -1, -1)  # (B, T, W)
        for behind, table in enumerate(self.tokens):
            x = x + functional.pad(table[ids], (0, 0, behind, 0))[:, :length]
        query, key, value = (
            (_norm(x) @ self.attend.T).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        )  # (B, HEADS, T, W / HEADS) each
        heeded = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + heeded.transpose(1, 2).flatten(2) @ self.join.T
        hidden = torch.relu(_norm(x) @ self.up.T + self.bias)
        x = x + hidden @ self.down.T
        return (_norm(x) * self.gain) @ self.tokens[0].T

    def weights(self) -> dict[str, np.ndarray]:
        """As draft.py wants them."""
        return {name: value.detach().numpy() for name, value in self.named_parameters()}


def _norm(x: torch.Tensor) -> torch.Tensor:
    return functional.rms_norm(x, x.shape[-1:], eps=SMALLEST)


def train_draft(
    net: DraftNet, rows: Sequence[Sequence[int]], pad: int, options: DraftOptions
) -> Iterator[float]:
    """Train in place on `rows`, token ids, yielding the loss of each step in nats a token."""
    matrices = [net.attend, net.join, net.up, net.down]
    others = [net.tokens, net.places, net.bias, net.gain]
    peaks: list[tuple[torch.optim.Optimizer, float]] = [
        (torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0), options.lr),
        (torch.optim.Muon(matrices, momentum=0.95, weight_decay=0.05), options.muon_lr),
    ]
    rng = np.random.default_rng(options.seed)
    waiting: list[list[Sequence[int]]] = []
    for step in range(options.steps):
        waiting = waiting or list(batches(rows, options.batch_tokens, rng))
        inputs, targets = pad_batch(waiting.pop(), pad)
        loss = token_loss(net(inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        left = (options.steps - step) / options.steps
        factor = min(1.0, (step + 1) / options.warmup_steps, left / options.decay)
        for optimiser, peak in peaks:
            for group in optimiser.param_groups:
                group["lr"] = peak * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        yield loss.item()


def main(options: DraftOptions) -> Path:
    """Draw the tunes, train, and write the draft; prints a line now and then."""
    found = load_checkpoint(options.model)
    sampler = TuneSampler(found.model, found.tokenizer)
    drawing = sampler.samples(
        TuneRequest(), SampleOptions.own(seed=options.seed), options.tunes, batch=64
    )
    rows: list[tuple[int, ...]] = []
    for sample in drawing:
        rows.append(sample.ids)
        if len(rows) % 512 == 0 or len(rows) == options.tunes:
            print(f"drew {len(rows)} of {options.tunes} tunes", flush=True)
    config = found.model.config
    net = DraftNet(
        config.vocab_size, config.n_positions, options.width, options.hidden, options.seed
    )
    losses: list[float] = []
    started = time.perf_counter()
    for loss in train_draft(net, rows, found.tokenizer.pad_token_id, options):
        losses.append(loss)
        if len(losses) % 200 == 0 or len(losses) == options.steps:
            mean = sum(losses[-200:]) / len(losses[-200:])
            seconds = time.perf_counter() - started
            print(
                f"step {len(losses):05d}/{options.steps} - loss {mean:.3f} - {seconds:.0f} s",
                flush=True,
            )
    return save_draft(options.model, net.weights())


if __name__ == "__main__":
    try:
        print(f"wrote {main(tyro.cli(DraftOptions))}")
    except CheckpointError as error:
        sys.exit(str(error))
