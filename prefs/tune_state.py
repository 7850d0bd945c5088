"""The state of a tuning in one file, so that a run that was killed goes on to the same numbers."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from prefs.arm import Arm, Array, Begun
from prefs.guards import Health
from prefs.prompted import PromptedRollouts
from prefs.rollout import Rollouts
from prefs.tuning import TuneError, TuneOptions, TuneStep
from prefs.watch import Best, Watch


@dataclass
class TuneState:
    """Where a tuning stands: what the next round learns from, and the records so far."""

    begun: Begun
    rollouts: Rollouts
    rewards: Array
    number: int = 1  # of the next round
    tries: int = 0  # rounds taken back so far
    steps: list[TuneStep] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)  # as read from the file

    def put_back(self, model: GPT2LMHeadModel, arm: Arm, watch: Watch, pool: Rollouts) -> None:
        """Make model, arm and watch what they were when this state was saved."""
        arm.resume(pool)
        model.load_state_dict(self.saved["model"])
        arm.restore(self.saved["arm"])
        best = dict(self.saved["best"])
        best["rollouts"] = _rollouts(best["rollouts"])
        best["rewards"] = np.array(best["rewards"])
        watch.restore(self.saved["watch"], Best(**best))
        self.saved = {}


def save_state(
    place: Path,
    options: TuneOptions,
    state: TuneState,
    model: GPT2LMHeadModel,
    arm: Arm,
    watch: Watch,
) -> None:
    """Write everything to `place`, whole or not at all."""
    best = watch.best
    begun = state.begun
    data = {
        "options": repr(options),
        "begun": {
            "rollouts": _plain(begun.rollouts),
            "rewards": begun.rewards.tolist(),
            "health": asdict(begun.health),
            "reward": begun.reward,
        },
        "rollouts": _plain(state.rollouts),
        "rewards": state.rewards.tolist(),
        "number": state.number,
        "tries": state.tries,
        "steps": [asdict(step) for step in state.steps],
        "model": model.state_dict(),
        "arm": arm.state(),
        "watch": watch.state(),
        "best": {
            "reward": best.reward,
            "number": best.number,
            "weights": dict(best.weights),
            "arm": best.arm,
            "rollouts": _plain(best.rollouts),
            "rewards": best.rewards.tolist(),
        },
    }
    part = place.with_suffix(".part")
    torch.save(data, part)
    os.replace(part, place)


def load_state(place: Path, options: TuneOptions) -> TuneState | None:
    """What `save_state` wrote; None if it did not. Raises TuneError if it was another run."""
    if not place.is_file():
        return None
    data: dict[str, Any] = torch.load(place, map_location="cpu", weights_only=True)
    if data["options"] != repr(options):
        raise TuneError(f"{place} was written with other options: finish that run as it was begun")
    begun = data["begun"]
    return TuneState(
        begun=Begun(
            _rollouts(begun["rollouts"]),
            np.array(begun["rewards"]),
            Health(**begun["health"]),
            begun["reward"],
        ),
        rollouts=_rollouts(data["rollouts"]),
        rewards=np.array(data["rewards"]),
        number=data["number"],
        tries=data["tries"],
        steps=[_step(values) for values in data["steps"]],
        saved={name: data[name] for name in ("model", "arm", "watch", "best")},
    )


def rounds_saved(place: Path) -> int:
    """How many records a run that is taken up gives again before it goes on."""
    if not place.is_file():
        return 0
    return len(torch.load(place, map_location="cpu", weights_only=True)["steps"])


def _plain(rollouts: Rollouts) -> dict[str, Any]:
    return {one.name: getattr(rollouts, one.name) for one in fields(rollouts)}


def _rollouts(columns: dict[str, Any]) -> Rollouts:
    kind = PromptedRollouts if "ids" in columns else Rollouts
    return kind(**columns)


def _step(values: dict[str, Any]) -> TuneStep:
    healths = {name: Health(**values[name]) for name in ("health", "base_health")}
    return TuneStep(**{**values, **healths})
