"""Where a tuned model comes from, written into its folder as lineage.json."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prefs.training_votes import TrainingVotes

LINEAGE = "lineage.json"
_SOURCE = Path(__file__).parent.parent


def lineage(
    name: str, parent: str, weights: str, votes: TrainingVotes, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What a model was made from; `weights` names those of the parent, `options` make it again."""
    return {
        "name": name,
        "parent": parent,
        "parent_weights": weights,
        "votes": len(votes),
        "votes_sha256": votes_hash(votes),
        "options": dict(options),
        "commit": commit(),
        "version": _version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def votes_hash(votes: TrainingVotes) -> str:
    """SHA-256 over the tunes and what was said of them; the same votes always get the same one."""
    compared = votes.comparisons
    said = {
        "tunes": list(votes.tunes),
        "first": compared.first.tolist(),
        "second": compared.second.tolist(),
        "outcome": compared.outcome.tolist(),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_lineage(folder: Path) -> dict[str, Any]:
    """What a model folder says of itself; empty where it says nothing that can be read."""
    try:
        found = json.loads((folder / LINEAGE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def commit(source: Path = _SOURCE) -> str | None:
    """The commit that the code stands at, "-dirty" if files differ; None outside a clone."""
    if not (source / ".git").exists():
        return None
    words = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None


def _version() -> str | None:
    try:
        return version("musicgen")
    except PackageNotFoundError:
        return None
