"""From votes to a tuned model: `for event in retrain(...)`, used by the command and the page.

    musicgen retrain --name NAME

Every retraining starts from the base model and uses all learning votes ever cast. It writes
HOME/models/NAME (a model folder with its card) and HOME/runs/NAME (run_folder.py, reward model).
The model folder appears whole at the end, or not at all. A run that was killed is taken up by
calling it again with the same options.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musicgen.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from prefs.bar_contributions import telling_tunes
from prefs.ladder import bundled_reward
from prefs.lineage import LINEAGE, lineage
from prefs.moments import Moments
from prefs.optimise import Method, TuneError, TuneOptions, TuneStep, tune, what_happened
from prefs.preflight import check_votes
from prefs.probe import FEWEST_VOTES, LADDER_HINT, ProbeError
from prefs.reward_model import (
    FEWEST_REFERENCES,
    Features,
    RewardModel,
    fit_reward_model,
    rewards_of,
)
from prefs.reward_report import reward_report
from prefs.rollout import Rollouts
from prefs.run_folder import RunFolder, fingerprint
from prefs.statistics import STATISTICS
from prefs.training_votes import TrainingVotes
from prefs.tune_state import rounds_saved

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class RetrainError(Exception):
    """A retraining that cannot start or brought no model; the message says why and what to do."""


@dataclass(frozen=True)
class RetrainOptions:
    """What a retraining makes."""

    name: str  # of the new model
    home: Path
    method: Method = "expert"
    pool: int = TuneOptions.pool  # tunes drawn a round
    seed: int = 0


@dataclass(frozen=True)
class RewardEvent:
    """The reward model is ready."""

    votes: int
    accuracy: float  # on votes held out by cross-validation
    agreement: float | None  # of raters with themselves, on repeated pairs
    follows: dict[str, float]  # correlation of the reward with plain statistics

    def line(self) -> str:
        strongest = sorted(self.follows, key=lambda name: -abs(self.follows[name]))[:4]
        follows = ", ".join(f"{name} {self.follows[name]:+.2f}" for name in strongest)
        agreement = "" if self.agreement is None else f", self-agreement {self.agreement:.0%}"
        return (
            f"reward model from {self.votes} votes: predicts {self.accuracy:.0%} of unseen votes"
            f"{agreement}; it follows {follows}"
        )


def check_start(options: RetrainOptions, votes: TrainingVotes) -> None:
    """Raise RetrainError if this cannot begin, before any work is done."""
    _check_name(options)
    if len(votes) < FEWEST_VOTES:
        raise RetrainError(
            f"{len(votes)} votes on learning pairs are too few: cast at least {FEWEST_VOTES} "
            f"on the Rate page; a few hundred teach much more; {LADDER_HINT}"
        )
    try:
        check_votes(votes)
    except TuneError as error:
        raise RetrainError(str(error)) from None


def _check_name(options: RetrainOptions) -> None:
    if not _NAME.fullmatch(options.name):
        raise RetrainError(
            f"{options.name!r} is no name for a model: letters, digits, dot, - and _ only"
        )
    folder = options.home / "models" / options.name
    if options.name == "base" or folder.exists():
        raise RetrainError(f"there is a model {options.name!r} already: choose another --name")


def retrain(
    base: Checkpoint, votes: TrainingVotes, options: RetrainOptions
) -> Iterator[RewardEvent | TuneStep]:
    """Fit a reward model, tune a copy of `base`, and save it with its report.

    If the run was begun before, its own votes count and not `votes`.
    """
    _check_name(options)
    run = RunFolder(
        options.home / "runs" / options.name,
        {
            "base": base.name,
            "method": options.method,
            "pool": options.pool,
            "seed": options.seed,
        },
    )
    votes = run.votes(lambda: votes)
    check_start(options, votes)
    base.model.to("cuda" if torch.cuda.is_available() else "cpu")
    pool = run.roll_out(base.model, base.tokenizer, options.pool, options.seed)
    model, event = _reward_model(base, votes, pool, run.path)
    run.log({"kind": "reward", **asdict(event)})
    yield event

    def score(rollouts: Rollouts) -> Any:
        return rewards_of(model, base, rollouts.tunes, rollouts.sound)

    def reward_of(tunes: Sequence[str], sound: Sequence[bool]) -> Any:
        return rewards_of(model, base, tunes, sound)

    tuned = load_checkpoint(base.folder).model.to(base.model.device)
    moments = Moments(base, pool, options.seed)
    how = TuneOptions(method=options.method, pool=options.pool, seed=options.seed)
    steps: list[TuneStep] = []
    state = run.path / "state.pt"
    told_again = rounds_saved(state)
    try:
        for step in tune(tuned, base.tokenizer, score, how, run.roll_out, state):
            steps.append(step)
            run.log({"kind": "round", **asdict(step)})
            # of an earlier round the model of now says nothing
            if len(steps) > told_again and (moment := moments.record(tuned, step.round)):
                run.log(moment)
            yield step
    except TuneError as error:
        raise RetrainError(str(error)) from None
    kept = [step for step in steps if not step.taken_back]
    if not kept:
        raise RetrainError(
            f"every round was taken back, so there is no new model: {steps[-1].taken_back[0]}"
        )
    report = {
        **_report(base, options, event, steps),
        "tunes": telling_tunes(pool, reward_of),
        "samples": moments.samples(tuned),
    }
    (run.path / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    card = _card(base, options, event, steps)
    made = {name: value for name, value in asdict(options).items() if name not in ("name", "home")}
    origin = lineage(options.name, base.name, fingerprint(base.model), votes, made)
    (run.path / LINEAGE).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    # last of all: a model that is there is a run that is done
    save_checkpoint(
        options.home / "models" / options.name,
        tuned,
        base.tokenizer,
        card=card,
        titles=base.titles,
        files={LINEAGE: json.dumps(origin, indent=2) + "\n"},
    )
    state.unlink(missing_ok=True)


def _reward_model(
    base: Checkpoint, votes: TrainingVotes, pool: Rollouts, folder: Path
) -> tuple[RewardModel, RewardEvent]:
    """Fitted, and written into the run's folder together with reward_report.json."""
    if len(pool.sound_tunes) < FEWEST_REFERENCES:
        raise RetrainError(
            f"only {len(pool.sound_tunes)} of {len(pool)} tunes of {base.name!r} are sound: "
            "start from a better base model"
        )
    voted = Features.of(base.model, base.tokenizer, votes.tunes)
    references = Features.of(base.model, base.tokenizer, pool.sound_tunes)
    try:
        model = fit_reward_model(voted, votes.comparisons, references, ladder=bundled_reward(base))
    except ProbeError as error:
        raise RetrainError(str(error)) from None
    model.save(folder)
    inputs = model.project(voted)
    report = reward_report(
        inputs,
        votes.comparisons,
        votes.tunes,
        model.probe.utility(inputs)[0],
        model.probe.ridge,
        sizes=model.probe.sizes,
        self_agreement=votes.agreement,
    )
    (folder / "reward_report.json").write_text(
        json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8"
    )
    return model, RewardEvent(
        votes=len(votes),
        accuracy=model.probe.accuracy,
        agreement=votes.agreement,
        follows=model.statistics_followed(references),
    )


def _report(
    base: Checkpoint, options: RetrainOptions, event: RewardEvent, steps: list[TuneStep]
) -> dict[str, Any]:
    last = [step for step in steps if not step.taken_back][-1]
    return {
        "model": options.name,
        "parent": base.name,
        "method": options.method,
        "votes": event.votes,
        "reward_accuracy": event.accuracy,
        "self_agreement": event.agreement,
        "follows": {name: event.follows.get(name, 0.0) for name in STATISTICS},
        "reward_gain": last.reward - last.base_reward,
        "kl": last.health.kl,
        "what_happened": what_happened(steps),
        "rounds": [asdict(step) for step in steps],
    }


def _card(
    base: Checkpoint, options: RetrainOptions, event: RewardEvent, steps: list[TuneStep]
) -> str:
    step = [step for step in steps if not step.taken_back][-1]
    accuracy = "not known" if np.isnan(event.accuracy) else f"{event.accuracy:.0%}"
    return f"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
tags: [music, abc-notation, folk]
---

# {options.name}: {base.name}, tuned to {event.votes} votes

Method: {options.method}, seed {options.seed}. The reward model predicts {accuracy} of unseen votes.
On its own {step.health.tunes} tunes at temperature 1: {step.health.validity:.0%} pass the gate
(base {step.base_health.validity:.0%}), {step.health.variety:.3f} different 4-grams
(base {step.base_health.variety:.3f}), KL to the base {step.health.kl:.1f} nats a tune.

{what_happened(steps)}

Whether people prefer it is not said by these figures: `musicgen compare` counts blind votes.
"""
