"""The models of a home folder, the newest first: where each comes from and what became of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicgen.promoted import DEFAULT, decisions, promoted_model, tuned_models
from prefs.lineage import read_lineage


@dataclass(frozen=True)
class ModelHistory:
    """One tuned model; figures that no file tells are None."""

    name: str
    there: bool  # its folder; a model can be removed, its run stays
    playing: bool
    parent: str
    votes: int | None
    votes_sha256: str | None
    options: dict[str, Any]
    commit: str | None
    created: str | None  # ISO 8601
    fate: str  # "promoted", "kept", "replaced", "removed", or "new": nobody has decided yet

    def line(self) -> str:
        """For the terminal."""
        options = " ".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        known = [
            f"from {self.parent}",
            f"{self.votes} votes" if self.votes is not None else "",
            f"votes {self.votes_sha256[:12]}" if self.votes_sha256 else "",
            f"commit {self.commit[:12]}" if self.commit else "",
            options,
        ]
        return f"{self.name:16} {self.created or '-':25} {self.fate:9} " + ", ".join(
            word for word in known if word
        )


def history(home: Path) -> list[ModelHistory]:
    """All models that were ever tuned or taken in here and left a trace."""
    there = tuned_models(home)
    runs = sorted(path.parent.name for path in (home / "runs").glob("*/report.json"))
    found = [_of(home, name, name in there) for name in {*there, *runs}]
    return sorted(found, key=lambda model: (model.created or "", model.name), reverse=True)


def _of(home: Path, name: str, there: bool) -> ModelHistory:
    told = read_lineage(home / "models" / name) or read_lineage(home / "runs" / name)
    report = run_report(home, name)
    playing = promoted_model(home) == name
    return ModelHistory(
        name=name,
        there=there,
        playing=playing,
        parent=str(told.get("parent") or report.get("parent") or DEFAULT),
        votes=told.get("votes", report.get("votes")),
        votes_sha256=told.get("votes_sha256"),
        options=dict(told.get("options") or {}),
        commit=told.get("commit"),
        created=told.get("created"),
        fate=_fate(home, name, there, playing),
    )


def _fate(home: Path, name: str, there: bool, playing: bool) -> str:
    if not there:
        return "removed"
    if playing:
        return "promoted"
    fate = "new"
    for decision in decisions(home):
        if decision.get("kept") == name:
            fate = "kept"
        if decision.get("instead_of") == name:
            fate = "replaced"
    return fate


def run_report(home: Path, name: str) -> dict[str, Any]:
    """report.json of a run; empty before its end."""
    try:
        found = json.loads((home / "runs" / name / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
