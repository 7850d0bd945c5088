"""Which model the app plays: the bundled one, until another is promoted."""

from __future__ import annotations

import json
import os
from pathlib import Path

DEFAULT = "base"


def promoted_model(home: Path) -> str:
    """Name of the model that is played; the default one if none was promoted, or it is gone."""
    try:
        name = str(json.loads((home / "promoted.json").read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT
    return name if (home / "models" / name / "model.safetensors").is_file() else DEFAULT


def promote(home: Path, name: str) -> None:
    """Play this model from now on. Raises CheckpointError if it is not whole."""
    if name != DEFAULT:
        from musicgen.checkpoint import CheckpointError, check_folder  # brings torch

        if name not in tuned_models(home):
            raise CheckpointError(f"no model {name!r} in {home / 'models'}")
        check_folder(home / "models" / name)
    home.mkdir(parents=True, exist_ok=True)
    part = home / "promoted.part"
    part.write_text(json.dumps({"model": name}) + "\n", encoding="utf-8")
    os.replace(part, home / "promoted.json")


def tuned_models(home: Path) -> list[str]:
    """Names of the models in `home`, the newest first."""
    try:
        folders = [path for path in (home / "models").iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    whole = [path for path in folders if (path / "model.safetensors").is_file()]
    return [path.name for path in sorted(whole, key=lambda path: -path.stat().st_mtime)]
