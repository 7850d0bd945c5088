"""What a run lets one hear and see: tunes of the moment, and its report. Plain HTTP routes.

    GET /api/retrain/NAME/moments/NUMBER   two tunes with one beginning: the base model's, the tuned
                                           one's at that moment; null for one that was not sound
    GET /api/retrain/NAME/report           what was learned, and tunes that show it

Tunes that are named here are put into the library, so that the player can sound them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from abc_tools import parse_tune
from musicgen.promoted import DEFAULT
from prefs.history import run_report
from ui.library import StoredTune, tune_id
from ui.listen import Jukebox
from ui.playback import Rendition, with_title
from ui.retrain import UnknownModel, Workshop


def run_tune_routes(shop: Workshop, jukebox: Jukebox) -> APIRouter:
    """The routes above, over one workshop and the library of the app."""
    routes = APIRouter(prefix="/api/retrain")

    def playable(abc: str | None, model: str) -> dict[str, Any] | None:
        if abc is None:
            return None
        text = with_title(abc)
        # the library's name of a tune is that of its text: one that is there already is the same
        tune = StoredTune(tune_id(abc), text, model, 0, {}, "")
        jukebox.library.add(tune)
        return jukebox.playback.payload(tune, Rendition())

    def pair(found: dict[str, Any], name: str, parent: str) -> dict[str, Any]:
        return {
            "base": playable(found["base"], parent),
            "tuned": playable(found["tuned"], name),
        }

    @routes.get("/{name}/moments/{number}")
    def moment(name: str, number: int) -> dict[str, Any]:
        moments = [r for r in shop.jobs.job(name).records if r["kind"] == "moment"]
        if not 0 <= number < len(moments):
            raise UnknownModel(name)
        parent = Path(shop.fixed or DEFAULT).name
        return {"step": moments[number]["step"], **pair(moments[number], name, parent)}

    @routes.get("/{name}/report")
    def report(name: str) -> dict[str, Any]:
        found = run_report(shop.home, name) if re.fullmatch(r"[\w.-]+", name) else {}
        if not found:
            raise UnknownModel(name)
        parent = str(found.get("parent", "base"))
        return {
            **found,
            "tunes": [
                marked(tune, playable(tune["abc"], parent)) for tune in _list(found, "tunes")
            ],
            "samples": [pair(sample, name, parent) for sample in _list(found, "samples")],
        }

    return routes


def marked(tune: dict[str, Any], playable: dict[str, Any] | None) -> dict[str, Any]:
    """A tune of the report with where its best and worst bars stand in the text that is drawn."""
    spans = bar_spans(playable["abc"]) if playable else []
    return {
        "which": tune["which"],
        "reward": tune["reward"],
        "tune": playable,
        "best_numbers": [bar + 1 for bar in tune["best_bars"]],
        "worst_numbers": [bar + 1 for bar in tune["worst_bars"]],
        **{
            which: [spans[bar] for bar in tune[which] if bar < len(spans)]
            for which in ("best_bars", "worst_bars")
        },
    }


def bar_spans(abc: str) -> list[tuple[int, int]]:
    """Offsets of each written bar in the text.

    >>> bar_spans("X:1\\nM:2/4\\nL:1/8\\nK:D\\nA2B2|d4|\\n")
    [(20, 24), (25, 27)]
    """
    return [(bar.start, bar.end) for bar in parse_tune(abc).bars]


def _list(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = found.get(name)
    return value if isinstance(value, list) else []
