"""GPT-2 presets for tunes, in transformers' own class, so every tool of the field opens them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Shape:
    """Size of a GPT-2: `width` is the embedding, `context` the longest tune in tokens."""

    layers: int
    heads: int
    width: int
    context: int = 512


PRESETS: dict[str, Shape] = {
    "tiny": Shape(layers=4, heads=4, width=128),  # about 1M parameters: tests and sweeps
    "small": Shape(layers=4, heads=5, width=320),  # about 5M: laptops; shallow decodes faster
    "medium": Shape(layers=8, heads=8, width=512),  # about 25M: a GPU, or patience
    "gpt2": Shape(layers=12, heads=12, width=768, context=1024),  # the founding experiment's 124M
}


def build_model(
    shape: Shape, tokenizer: PreTrainedTokenizerFast, *, seed: int, dropout: float = 0.0
) -> GPT2LMHeadModel:
    """A freshly initialised model; the same seed gives the same weights."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=shape.context,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        # transformers' default gelu_new is unfused and costs over a third of the speed on a CPU
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config)


def count_parameters(model: torch.nn.Module) -> int:
    """Number of weights, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
