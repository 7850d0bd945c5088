"""The value head: how much reward a tune is still going to get, told from its beginning.

It has a body of its own, so that learning values disturbs neither the policy nor the reward model,
which reads the frozen base model. It starts as the base model with a head of zeros: at first it
says 0 everywhere, the mean reward of the base model.
"""

from __future__ import annotations

import copy

import torch
from transformers import GPT2LMHeadModel

from prefs import distributed
from prefs.prompted import TokenTable


class Critic(torch.nn.Module):
    """A body like the policy's and a linear head on its last layer."""

    def __init__(self, base: GPT2LMHeadModel) -> None:
        super().__init__()
        self.body = copy.deepcopy(base.transformer)
        self.body.requires_grad_(True)
        self.head = torch.nn.Linear(base.config.n_embd, 1, device=base.device)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, table: TokenTable, rows: torch.Tensor, width: int) -> torch.Tensor:
        """Values (B', W') before each target of some rows is drawn."""
        hidden = self.body(table.inputs[rows, :width], use_cache=False).last_hidden_state
        values: torch.Tensor = self.head(hidden.float()).squeeze(-1)
        return values

    @torch.no_grad()
    def all_values(self, table: TokenTable, batch_tokens: int) -> torch.Tensor:
        """The same of all rows, 0 where nothing counts, (B, W)."""
        result = torch.zeros_like(table.mask)
        for rows, width in distributed.share(table.pieces(batch_tokens)):
            result[rows, :width] = self(table, rows, width)
        return distributed.total(result) * table.mask
