"""What a retraining keeps on disk, so that one that is killed goes on where it was.

    options.json    what was asked for; a run is only taken up with the same options
    votes.json      the votes that it learns from, as they were at its start
    rollouts/       the tunes drawn so far, a file for each pool: by far the longest work
    log.jsonl       what happened, one record a line; written anew when the run is taken up
    reward.*        the reward model; reward_report.json: how far it can be trusted
    report.json     the end

Everything else follows from these by computing, the same way each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from prefs.probe import Comparisons
from prefs.rollout import Rollouts, roll_out
from prefs.training_votes import TrainingVotes

CHUNK = 64  # tunes that a kill may cost


class RunError(Exception):
    """A run folder that cannot be taken up; the message says why and what to do."""


class RunFolder:
    """The folder of one run; `options` are what it must have been started with."""

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        """Begin a run, or take up the one that is there. Raises RunError if it is another one."""
        self.path = path
        self.path.mkdir(parents=True, exist_ok=True)
        wanted = dict(options)
        known = _read(path / "options.json")
        if known is not None and known != wanted:
            changed = sorted(key for key in wanted if known.get(key) != wanted[key])
            raise RunError(
                f"{path} was begun with another {', '.join(changed)}: finish it as it was begun, "
                "or choose another --name"
            )
        if known is None:
            _write(path / "options.json", wanted)
        (path / "log.jsonl").write_text("", encoding="utf-8")

    def votes(self, now: Callable[[], TrainingVotes]) -> TrainingVotes:
        """The votes at the start of the run; those cast since then are for the next one."""
        place = self.path / "votes.json"
        data = _read(place)
        if data is None:
            found = now()
            _write(place, _votes_json(found))
            return found
        first, second, outcome = (np.array(data[name]) for name in ("first", "second", "outcome"))
        comparisons = Comparisons(
            first.astype(np.int64), second.astype(np.int64), outcome.astype(np.float64)
        )
        return TrainingVotes(tuple(data["tunes"]), comparisons, data["agreement"], data["repeats"])

    def log(self, record: Mapping[str, Any]) -> None:
        with open(self.path / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps({**record, "at": round(time.time(), 1)}) + "\n")

    def roll_out(
        self, model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, n: int, seed: int
    ) -> Rollouts:
        """As rollout.roll_out, but tunes that this model has drawn already are read, not drawn."""
        place = self.path / "rollouts" / f"{seed}-{fingerprint(model)}.jsonl"
        place.parent.mkdir(exist_ok=True)
        drawn = _whole_lines(place)[:n]
        with open(place, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in drawn)
            while len(drawn) < n:
                self.log({"kind": "drawing", "seed": seed, "done": len(drawn), "of": n})
                count = min(CHUNK, n - len(drawn))
                fresh = roll_out(model, tokenizer, count, seed, first_row=len(drawn))
                lines = [json.dumps(row) for row in fresh.rows()]
                file.writelines(line + "\n" for line in lines)
                file.flush()
                drawn += lines
        self.log({"kind": "drawing", "seed": seed, "done": n, "of": n})
        return Rollouts.of_rows(json.loads(line) for line in drawn)


def _votes_json(votes: TrainingVotes) -> dict[str, Any]:
    return {
        "tunes": list(votes.tunes),
        "first": votes.comparisons.first.tolist(),
        "second": votes.comparisons.second.tolist(),
        "outcome": votes.comparisons.outcome.tolist(),
        "agreement": votes.agreement,
        "repeats": votes.repeats,
    }


def fingerprint(model: GPT2LMHeadModel) -> str:
    """Names the weights: rollouts of other weights are not this model's."""
    digest = hashlib.sha256()
    for _, weights in sorted(model.state_dict().items()):
        digest.update(weights.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()[:16]


def _whole_lines(place: Path) -> list[str]:
    """The lines of a file that were written to their end."""
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return text.split("\n")[:-1]


def _read(place: Path) -> Any:
    try:
        return json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _write(place: Path, data: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    part = place.with_suffix(".part")
    part.write_text(json.dumps(data) + "\n", encoding="utf-8")
    os.replace(part, place)
