"""A language model's activations over a tune: what a reward model reads beside the statistics.

With a few hundred votes a linear probe on both learns more than fine-tuning a whole model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from musicgen.tokenizer import encode_tune


def activations(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    tunes: Sequence[str],
    *,
    batch: int = 32,
) -> NDArray[np.float64]:
    """Activations of the middle layer, mean-pooled over each tune, (len(tunes), width + 1).

    The last column is the tune's mean log-probability in nats a token. Padding does not count: a
    tune has the same features alone and in a batch. A tune beyond the context counts up to there.
    """
    context = model.config.n_positions
    rows = [encode_tune(tokenizer, abc)[:context] for abc in tunes]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    features = np.zeros((len(rows), model.config.n_embd + 1))
    middle = model.config.n_layer // 2
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            features[chosen] = _pooled(model, [rows[index] for index in chosen], middle)
    model.train(was_training)
    return features


def _pooled(model: GPT2LMHeadModel, rows: list[list[int]], layer: int) -> Any:
    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    real = torch.zeros((len(rows), longest), dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        real[index, : len(row)] = True
    ids, real = ids.to(model.device), real.to(model.device)
    # attention is causal and padding comes last, so no real position sees it
    out = model(ids, attention_mask=real.long(), output_hidden_states=True, use_cache=False)
    hidden = out.hidden_states[layer].float()
    weights = real.float().unsqueeze(-1)
    means = (hidden * weights).sum(1) / weights.sum(1)
    logprobs = torch.log_softmax(out.logits[:, :-1].float(), -1)
    taken = logprobs.gather(-1, ids[:, 1:, None]).squeeze(-1) * real[:, 1:]
    likelihood = taken.sum(1) / real[:, 1:].sum(1)
    return torch.cat([means, likelihood.unsqueeze(-1)], 1).double().cpu().numpy()
