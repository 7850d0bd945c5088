"""Which model the app plays: the bundled one, until another is promoted; and what was before.

HOME/promoted.json       {"model": NAME}
HOME/decisions.jsonl     each promotion and each decision to keep two models, the oldest first
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

DEFAULT = "base"
LADDER = "ladder"  # bundled beside it, once it was made: tuned without a vote
_BUNDLED = Path(__file__).parent / "models"


def promoted_model(home: Path) -> str:
    """Name of the model that is played; the default one if none was promoted, or it is gone."""
    try:
        name = str(json.loads((home / "promoted.json").read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT
    return name if name in known_models(home) else DEFAULT


def known_models(home: Path) -> list[str]:
    """Names of all models that can be played: tuned ones, the newest first, then the bundled."""
    return list(dict.fromkeys([*tuned_models(home), *bundled_models()]))


def bundled_models() -> list[str]:
    """Names of the models that come with the app, the default first."""
    ladder = (_BUNDLED / LADDER / "model.safetensors").is_file()
    return [DEFAULT, LADDER] if ladder else [DEFAULT]


def promote(home: Path, name: str) -> None:
    """Play this model from now on. Raises CheckpointError if it is not whole."""
    tuned = name in tuned_models(home)
    if tuned or name not in bundled_models():
        from musicgen.checkpoint import CheckpointError, check_folder  # brings torch

        if not tuned:
            raise CheckpointError(f"no model {name!r} in {home / 'models'}")
        check_folder(home / "models" / name)
    home.mkdir(parents=True, exist_ok=True)
    before = promoted_model(home)
    part = home / "promoted.part"
    part.write_text(json.dumps({"model": name}) + "\n", encoding="utf-8")
    os.replace(part, home / "promoted.json")
    if before != name:
        _decide(home, {"promoted": name, "instead_of": before})


def keep_both(home: Path, name: str) -> None:
    """Note that a tuned model stays beside the one that is played: its trial is over."""
    from musicgen.checkpoint import CheckpointError

    if name not in tuned_models(home):
        raise CheckpointError(f"no model {name!r} in {home / 'models'}")
    _decide(home, {"kept": name, "beside": promoted_model(home)})


def roll_back(home: Path) -> str:
    """Play what was played before the last promotion; returns its name."""
    before = model_before(home)
    promote(home, before)
    return before


def model_before(home: Path) -> str:
    """What was played before the model of now was promoted; the default if that is gone."""
    playing = promoted_model(home)
    for decision in reversed(decisions(home)):
        if decision.get("promoted") == playing:
            name = str(decision.get("instead_of"))
            return name if name in known_models(home) else DEFAULT
    return DEFAULT


def decisions(home: Path) -> list[dict[str, str]]:
    """All of decisions.jsonl; a line that a power cut left half written is passed over."""
    try:
        lines = (home / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [each for each in found if isinstance(each, dict)]


def tuned_models(home: Path) -> list[str]:
    """Names of the models in `home`, the newest first."""
    try:
        folders = [path for path in (home / "models").iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    whole = [path for path in folders if (path / "model.safetensors").is_file()]
    return [path.name for path in sorted(whole, key=lambda path: -path.stat().st_mtime)]


def rival_of(home: Path, name: str) -> str | None:
    """The model that `name` is compared with: the one tuned last, base and ladder before there is.

    None if there is nothing to compare it with.
    """
    tuned = tuned_models(home)
    if not tuned:
        pair = {DEFAULT: LADDER, LADDER: DEFAULT}
        other = pair.get(name)
        return other if other in bundled_models() else None
    other = DEFAULT if tuned[0] == name else tuned[0]
    return None if other == name else other


def _decide(home: Path, decision: dict[str, str]) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with open(home / "decisions.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({**decision, "at": at}) + "\n")
