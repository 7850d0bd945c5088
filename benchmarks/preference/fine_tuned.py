"""Would a fine-tuned reward model know tastes that the probe does not? A negative result so far.

    python -m benchmarks.preference.fine_tuned        about five minutes of one core for each taste

The upper half of the base model with a scalar head, the lower half frozen, learns the pairwise
Bradley-Terry loss: from 600 simulated votes alone, and after the synthetic ladder's pairs. Beside
it stands the usual reward model, from the same votes. Accuracy is against the noiseless taste, on
fresh pairs. The tastes are of development: two that lie near no statistic, and one that lies near
some. The material is that of benchmarks.preference.final, which has to have run.

Only homely has been measured: usual 52.4%, fine-tuned 53.2%, after the ladder 53.2%, where chance
is 50%. So nothing of it is in the reward model.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import nn
from torch.nn import functional

from benchmarks.preference.final import FinalOptions, Material, prepare
from benchmarks.preference.protocol import cast_votes, votes_from_files
from benchmarks.preference.reward_accuracy import agreement, agreement_with
from musicgen.checkpoint import Checkpoint
from musicgen.evaluate import read_tunes
from musicgen.tokenizer import encode_tune
from prefs.json_files import write_whole
from prefs.ladder import build_ladder
from prefs.probe import Comparisons
from prefs.reward_model import Features, fit_reward_model

FROZEN = 2  # blocks below, of the four
PAIRS = 16  # a batch
LR = 2e-4
CENTRING = 0.01  # weight of (r_first + r_second)^2, which fixes the zero of the rewards


@dataclass(frozen=True)
class FineTunedOptions:
    """Print the table, and write it as JSON."""

    tastes: tuple[str, ...] = ("homely", "likeness", "rhyming")
    votes: int = 600
    epochs: int = 2  # over the votes; the ladder is read once
    ladder: int = 300  # printed tunes that the ladder stands on
    corpus: Path = Path("data/corpus/train.jsonl")
    work: Path = Path("runs/preference-final")
    results: Path = Path("benchmarks/preference/results/fine_tuned.json")
    seed: int = 0


class Rewarder(nn.Module):
    """The upper blocks of a base model and a scalar head, read at a tune's last token."""

    def __init__(self, base: Checkpoint) -> None:
        super().__init__()
        body = base.model.transformer
        self.blocks = copy.deepcopy(nn.ModuleList(list(body.h)[FROZEN:]))
        self.norm = copy.deepcopy(body.ln_f)
        width = base.model.config.n_embd
        self.head = nn.Linear(width, 1)
        nn.init.normal_(self.head.weight, std=1 / np.sqrt(width + 1))
        nn.init.zeros_(self.head.bias)

    def forward(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T, width) behind the frozen blocks, right-padded, and lengths (B,) -> rewards (B,).

        Padding stands behind every token that is read, so causal attention never sees it.
        """
        for block in self.blocks:
            out = block(hidden)
            hidden = out[0] if isinstance(out, tuple) else out
        last = hidden[torch.arange(len(hidden)), lengths - 1]
        return self.head(self.norm(last)).squeeze(-1)


def frozen_states(base: Checkpoint, tunes: Sequence[str]) -> list[torch.Tensor]:
    """(T, width) of each tune behind the frozen blocks; computed once, as they do not change."""
    found = []
    with torch.inference_mode():
        for abc in tunes:
            ids = torch.tensor([encode_tune(base.tokenizer, abc)[: base.model.config.n_positions]])
            out = base.model.transformer(ids, use_cache=False, output_hidden_states=True)
            found.append(out.hidden_states[FROZEN][0].clone())
    return found


def _padded(states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(state) for state in states])
    return nn.utils.rnn.pad_sequence(list(states), batch_first=True).clone(), lengths


def learn(
    model: Rewarder,
    states: Sequence[torch.Tensor],
    votes: Comparisons,
    epochs: int,
    rng: np.random.Generator,
) -> None:
    """Bradley-Terry loss, ties as 0.5; the learning rate falls linearly to 0."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)
    batches = [rows for _ in range(epochs) for rows in _batches(len(votes), rng)]
    for number, rows in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = LR * (1 - number / len(batches))
        chosen = [*votes.first[rows], *votes.second[rows]]
        rewards = model(*_padded([states[index] for index in chosen]))
        first, second = rewards.chunk(2)
        outcome = torch.tensor(votes.outcome[rows], dtype=torch.float32)
        loss = functional.binary_cross_entropy_with_logits(first - second, outcome)
        loss = loss + CENTRING * ((first + second) ** 2).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def _batches(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(count)
    for start in range(0, count, PAIRS):
        yield order[start : start + PAIRS]


def predicted(model: Rewarder, states: Sequence[torch.Tensor]) -> np.ndarray:
    """Rewards (N,)."""
    with torch.inference_mode():
        groups = [states[start : start + 64] for start in range(0, len(states), 64)]
        return torch.cat([model(*_padded(group)) for group in groups]).numpy()


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(
        FineTunedOptions, prog="python -m benchmarks.preference.fine_tuned", args=args
    )
    material = prepare(
        FinalOptions(tastes=options.tastes, work=options.work, corpus=options.corpus)
    )
    base = material.base
    printed = read_tunes(options.corpus)
    rng = np.random.default_rng(options.seed)
    ladder = build_ladder(printed, material.templates, options.ladder, rng)
    torch.manual_seed(options.seed)
    taught = Rewarder(base)
    learn(taught, frozen_states(base, ladder.tunes), ladder.comparisons, 1, rng)
    print(f"the ladder: {len(ladder.comparisons)} pairs", flush=True)
    fresh = frozen_states(base, material.fresh)
    references = Features.of(base.model, base.tokenizer, material.templates)
    rows = []
    for taste in options.tastes:
        rows.append(_row(options, material, taste, taught, fresh, references))
        found = {"votes": options.votes, "seed": options.seed, "rows": rows}
        write_whole(options.results, json.dumps(found, indent=2) + "\n")
    return 0


def _row(
    options: FineTunedOptions,
    material: Material,
    taste: str,
    taught: Rewarder,
    fresh: Sequence[torch.Tensor],
    references: Features,
) -> dict[str, Any]:
    """Accuracies of the usual reward model and of both fine-tuned ones for a taste."""
    base, rater = material.base, material.raters[taste]
    file = cast_votes(rater, material.pairs, options.work / "votes" / f"{taste}.jsonl")
    votes = votes_from_files(material.pairs, file, options.votes)
    utilities = rater.utilities(material.fresh)
    pairs = np.random.default_rng(options.seed).choice(len(fresh), (4_000, 2))
    states = frozen_states(base, votes.tunes)
    row: dict[str, Any] = {"taste": taste}
    voted = Features.of(base.model, base.tokenizer, votes.tunes)
    usual = fit_reward_model(voted, votes.comparisons, references)
    row["usual"] = agreement_with(rater, usual, material.features, material.fresh)["noiseless"]
    torch.manual_seed(options.seed)
    beginnings = {"fine-tuned": Rewarder(base), "after the ladder": copy.deepcopy(taught)}
    for name, model in beginnings.items():
        rng = np.random.default_rng(options.seed)
        learn(model, states, votes.comparisons, options.epochs, rng)
        found = agreement(rater, utilities, predicted(model, fresh), pairs)
        row[name] = found["noiseless"]
    print(
        " ".join(
            f"{name} {value if name == 'taste' else f'{value:.1%}'}," for name, value in row.items()
        ),
        flush=True,
    )
    return row


if __name__ == "__main__":
    raise SystemExit(main())
