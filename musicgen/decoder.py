"""One lean decoder over a GPT-2's own weights: a fixed KV cache, one new token a row at a time."""

from __future__ import annotations

import torch
from torch.nn import functional
from transformers import GPT2LMHeadModel


class Decoder:
    """A GPT-2's forward pass for new tokens, over weights laid out for it.

    The cache is one tensor (layers, 2, rows, heads, context, width of a head), made once a batch.
    """

    def __init__(self, model: GPT2LMHeadModel, dtype: torch.dtype = torch.float32) -> None:
        config = model.config
        self.heads, self.context = config.n_head, config.n_positions
        self.width, self.vocabulary = config.n_embd, config.vocab_size
        self.device, self.dtype = model.device, dtype
        body = model.transformer

        def plain(parameter: torch.Tensor) -> torch.Tensor:
            return parameter.detach().to(self.dtype)

        self.tokens, self.positions = plain(body.wte.weight), plain(body.wpe.weight)
        self.last = self.tokens.T.contiguous()  # reads faster than the table turned round
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
        if ids.shape[1] == 1:
            return self.logits(self._step(ids[:, 0], start, cache))
        return self.logits(self._hidden(ids, start, cache)[:, -1])

    def each(self, ids: torch.Tensor, start: int, cache: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) of every position, as above."""
        if ids.shape[1] == 1:
            return self(ids, start, cache)[:, None]
        return self.logits(self._hidden(ids, start, cache))

    def token_logprobs(self, ids: torch.Tensor, start: int, cache: torch.Tensor) -> torch.Tensor:
        """Log-probability of each token but the first, (B, T - 1), of ids as above."""
        logits = self.logits(self._hidden(ids, start, cache)[:, :-1])
        found = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])
        return found.squeeze(-1)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., V)"""
        last = functional.layer_norm(hidden, (self.width,), *self.final_norm, self.epsilon)
        return (last @ self.last).float()

    def _step(self, ids: torch.Tensor, start: int, cache: torch.Tensor) -> torch.Tensor:
        """As `_hidden` for one token a row, (B,) -> (B, width), in as few operations as may be."""
        rows, end, norm = len(ids), start + 1, (self.width,)
        hidden = self.tokens[ids] + self.positions[start]
        for block, (keys, values) in zip(self.blocks, cache, strict=True):
            x = functional.layer_norm(hidden, norm, *block["ln1"], self.epsilon)
            weight, bias = block["qkv"]
            query, key, value = (
                torch.addmm(bias, x, weight).view(rows, 3, self.heads, 1, -1).unbind(1)
            )
            keys[:, :, start:end] = key
            values[:, :, start:end] = value
            x = functional.scaled_dot_product_attention(
                query, keys[:, :, :end], values[:, :, :end]
            ).view(rows, -1)
            weight, bias = block["out"]
            hidden = torch.addmm(hidden, x, weight).add_(bias)
            x = functional.layer_norm(hidden, norm, *block["ln2"], self.epsilon)
            weight, bias = block["up"]
            x = functional.gelu(torch.addmm(bias, x, weight), approximate="tanh")
            weight, bias = block["down"]
            hidden = torch.addmm(hidden, x, weight).add_(bias)
        return hidden

    def _hidden(self, ids: torch.Tensor, start: int, cache: torch.Tensor) -> torch.Tensor:
        """(B, T, width) before the last norm; keys and values go into the cache."""
        rows, length = ids.shape
        end, norm = start + length, (self.width,)
        seen = None
        if length > 1 and start > 0:
            seen = torch.ones(length, end, dtype=torch.bool, device=self.device).tril(start)
        hidden = (self.tokens[ids] + self.positions[start:end]).view(-1, self.width)
        for block, layer in zip(self.blocks, cache[:, :, :, :, :end].unbind(), strict=True):
            x = functional.layer_norm(hidden, norm, *block["ln1"], self.epsilon)
            weight, bias = block["qkv"]
            qkv = torch.addmm(bias, x, weight).view(rows, length, 3, self.heads, -1)
            query, *new = qkv.permute(2, 0, 3, 1, 4).unbind()
            keys, values = layer.unbind()
            keys[:, :, start:], values[:, :, start:] = new
            x = functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=seen, is_causal=length > 1 and start == 0
            )
            x = x.transpose(1, 2).reshape(-1, self.width)
            weight, bias = block["out"]
            hidden = torch.addmm(hidden, x, weight).add_(bias)
            x = functional.layer_norm(hidden, norm, *block["ln2"], self.epsilon)
            weight, bias = block["up"]
            x = functional.gelu(torch.addmm(bias, x, weight), approximate="tanh")
            weight, bias = block["down"]
            hidden = torch.addmm(hidden, x, weight).add_(bias)
        return hidden.view(rows, length, -1)
