"""The reward: how much a rater would like a tune, in standard deviations over the base model's.

A probe on musical statistics says how good a tune is and how sure it is; each family of statistics
has a prior of its own, whose width the votes choose. Two more members join
where votes held out by cross-validation are more likely with them: the base model's mid-layer
activations, and the reward that was learned from the synthetic ladder (ladder.py).
The reward is that mean less one standard deviation, scaled to mean 0 and deviation 1 over sound
tunes of the base model, and clipped. What is not sound is never shown to the probe: it gets a
fixed, low reward, so validity is not learned from votes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from abc_tools import passes_gate
from musicgen.checkpoint import Checkpoint
from prefs.activations import activations
from prefs.probe import Comparisons, Probe, ProbeError, Projection, fit_probe
from prefs.statistics import STATISTICS, WIDTHS, statistics

Array = NDArray[np.float64]

COMPONENTS = 24  # principal components of the activations
WORTH = 0.003  # nats a held-out vote that a member must bring to join: noise brings up to 0.002
CLIP = 5.0
UNSOUND = -3.0  # the reward of a tune that does not pass the gate
PESSIMISM = 1.0  # standard deviations taken off the mean
FEWEST_REFERENCES = 64
LADDER_FOLDER = "ladder"


@dataclass(frozen=True)
class Features:
    """Both kinds of features of the same tunes, as they come."""

    statistics: Array  # (N, len(STATISTICS))
    activations: Array  # (N, width + 1)

    @classmethod
    def of(
        cls, model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, tunes: Sequence[str]
    ) -> Features:
        """Of tunes as ABC text; `model` is the frozen base model."""
        rows = [statistics(abc) for abc in tunes]
        table = np.array(rows).reshape(len(tunes), len(STATISTICS))
        return cls(table, activations(model, tokenizer, tunes))


@dataclass(frozen=True)
class RewardModel:
    """A probe, how features become its inputs, and the scale of its rewards."""

    probe: Probe
    of_statistics: Projection
    of_activations: Projection
    center: Array  # (K,) projected features of the mean base tune
    mean: float = 0.0
    std: float = 1.0
    reads_activations: bool = True
    ladder: RewardModel | None = None

    def project(self, features: Features) -> Array:
        """Inputs of the probe, (N, K)."""
        return _projected(
            self.of_statistics,
            self.of_activations if self.reads_activations else None,
            self.ladder,
            features,
        )

    @property
    def members(self) -> tuple[str, ...]:
        """What the reward is made of."""
        joined = ("activations", self.reads_activations), ("ladder", self.ladder is not None)
        return ("statistics", *(name for name, there in joined if there))

    def raw(self, features: Features) -> Array:
        """Mean utility less its uncertainty, (N,), in logits, before scaling.

        The uncertainty is that of the difference from the mean base tune.
        """
        mean, std = self.probe.utility(self.project(features) - self.center)
        return mean - PESSIMISM * std

    def rewards(self, features: Features, sound: Sequence[bool]) -> Array:
        """Rewards (N,), clipped; UNSOUND where the gate was not passed."""
        scaled = (self.raw(features) - self.mean) / self.std
        return np.where(np.asarray(sound), np.clip(scaled, -CLIP, CLIP), UNSOUND)

    def statistics_followed(self, features: Features) -> dict[str, float]:
        """Correlation of the reward with each plain statistic over these tunes."""
        raw = self.raw(features)
        result = {}
        for column, name in zip(features.statistics.T, STATISTICS, strict=True):
            if column.std() > 1e-9 and raw.std() > 1e-9:
                result[name] = float(np.corrcoef(column, raw)[0, 1])
        return result

    def save(self, folder: Path) -> None:
        """Write reward.safetensors and reward.json into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            "weights": self.probe.weights,
            "covariance": self.probe.covariance,
            "center": self.center,
            **_arrays("statistics", self.of_statistics),
            **_arrays("activations", self.of_activations),
        }
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            folder / "reward.safetensors",
        )
        if self.ladder is not None:
            self.ladder.save(folder / LADDER_FOLDER)
        figures = {
            "mean": self.mean,
            "std": self.std,
            "first_side": self.probe.first_side,
            "accuracy": self.probe.accuracy,
            "votes": self.probe.votes,
            "likelihood": self.probe.likelihood,
            "families": list(self.probe.sizes),
            "members": list(self.members),
            "statistics": list(STATISTICS),
        }
        (folder / "reward.json").write_text(json.dumps(figures, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> RewardModel:
        """Read what `save` wrote; ProbeError if it is missing or of another version."""
        try:
            figures = json.loads((folder / "reward.json").read_text(encoding="utf-8"))
            arrays = load_file(folder / "reward.safetensors")
        except FileNotFoundError:
            raise ProbeError(f"no reward model in {folder}: train one from votes") from None
        if figures["statistics"] != list(STATISTICS) or "families" not in figures:
            raise ProbeError(f"the reward model in {folder} reads other statistics: train it again")
        return cls(
            probe=Probe(
                weights=arrays["weights"],
                covariance=arrays["covariance"],
                first_side=figures["first_side"],
                ridge=float("nan"),
                accuracy=figures["accuracy"],
                votes=figures["votes"],
                likelihood=figures["likelihood"],
                sizes=tuple(figures["families"]),
            ),
            of_statistics=_projection("statistics", arrays),
            of_activations=_projection("activations", arrays),
            center=arrays["center"],
            mean=figures["mean"],
            std=figures["std"],
            reads_activations="activations" in figures["members"],
            ladder=cls.load(folder / LADDER_FOLDER) if "ladder" in figures["members"] else None,
        )


def fit_reward_model(
    voted: Features,
    votes: Comparisons,
    references: Features,
    *,
    components: int = COMPONENTS,
    reads_activations: Sequence[bool] = (False, True),
    ladder: RewardModel | None = None,
) -> RewardModel:
    """Learn from `votes` on the tunes of `voted`; `references` are sound tunes of the base model.

    `ladder` is a reward learned from the synthetic ladder with activations of the same base model.
    What is read of `reads_activations` and the ladder, held-out votes decide, being likelier so.
    Raises ProbeError for votes that nothing can be learned from, or too few reference tunes.
    """
    if len(references.statistics) < FEWEST_REFERENCES:
        raise ProbeError(
            f"{len(references.statistics)} sound tunes of the base model are too few to scale the "
            f"reward by: {FEWEST_REFERENCES} are needed"
        )
    both = Features(
        np.vstack([voted.statistics, references.statistics]),
        np.vstack([voted.activations, references.activations]),
    )
    of_statistics = Projection.of_families(both.statistics, WIDTHS)
    of_activations = Projection.of_families(
        both.activations, both.activations.shape[1:], components
    )
    candidates = []
    for reads in reads_activations:
        for member in (None, ladder) if ladder is not None else (None,):
            added = of_activations if reads else None
            inputs = _projected(of_statistics, added, member, voted)
            sizes = (
                *of_statistics.sizes,
                *(of_activations.sizes if reads else ()),
                *((1,) if member is not None else ()),
            )
            candidates.append((fit_probe(inputs, votes, sizes=sizes), reads, member))
    probe, reads, member = max(
        candidates,
        key=lambda found: found[0].likelihood - WORTH * (found[1] + (found[2] is not None)),
    )
    blank = RewardModel(
        probe, of_statistics, of_activations, np.zeros(0), reads_activations=reads, ladder=member
    )
    model = replace(blank, center=blank.project(references).mean(0))
    raw = model.raw(references)
    return replace(model, mean=float(raw.mean()), std=float(max(raw.std(), 1e-6)))


def rewards_of(
    reward: RewardModel,
    base: Checkpoint,
    tunes: Sequence[str],
    sound: Sequence[bool],
    *,
    unsound: float = UNSOUND,
) -> Array:
    """Rewards (N,) of tunes as ABC text; those that are not `sound` are not even read."""
    places = np.flatnonzero(np.asarray(sound, dtype=bool))
    rewards = np.full(len(tunes), unsound)
    if len(places):
        features = Features.of(
            base.model, base.tokenizer, [tunes[place] for place in places.tolist()]
        )
        rewards[places] = reward.rewards(features, [True] * len(places))
    return rewards


def are_sound(tunes: Sequence[str], finished: Sequence[bool]) -> list[bool]:
    """Which tunes pass the gate."""
    return [bool(passes_gate(abc, end)) for abc, end in zip(tunes, finished, strict=True)]


def _projected(
    of_statistics: Projection,
    of_activations: Projection | None,
    ladder: RewardModel | None,
    features: Features,
) -> Array:
    columns = [of_statistics(features.statistics)]
    if of_activations is not None:
        columns.append(of_activations(features.activations))
    if ladder is not None:
        rewards = ladder.rewards(features, [True] * len(features.statistics))
        columns.append(rewards[:, None])
    return np.hstack(columns)


def _arrays(prefix: str, projection: Projection) -> dict[str, Array]:
    return {
        f"{prefix}.mean": projection.mean,
        f"{prefix}.scale": projection.scale,
        f"{prefix}.axes": projection.axes,
    }


def _projection(prefix: str, arrays: dict[str, Array]) -> Projection:
    mean, scale, axes = (arrays[f"{prefix}.{name}"] for name in ("mean", "scale", "axes"))
    return Projection(mean, scale, axes)
