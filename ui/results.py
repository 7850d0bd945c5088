"""The Results page: its markup, and the one plain HTTP route that its script talks to.

GET /api/results            verdict, leaderboard of models, best and worst tunes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from prefs.compare import ModelComparison
from prefs.results import RankedTune, Results
from prefs.store import Store
from ui.library import Library, StoredTune, tune_id
from ui.playback import headline, with_title
from ui.player import page_component
from ui.theme import STATIC, top_bar

if TYPE_CHECKING:
    import gradio


def build_results_page() -> gradio.Blocks:
    """The page as Gradio blocks: one component, brought to life by ui/static/results.js."""
    import gradio

    html = (STATIC / "results.html").read_text(encoding="utf-8")
    html = html.replace("${top}", top_bar("Results"))
    with gradio.Blocks(title="What the votes say", analytics_enabled=False) as page:
        page_component(html, "/page/results.js")
    return page


def results_routes(store: Callable[[], Store], library: Library) -> APIRouter:
    """The route above. Tunes that it names are put into `library`, so that they can be played."""
    routes = APIRouter(prefix="/api")

    @routes.get("/results")
    def results() -> dict[str, Any]:
        found = Results.of(store())
        return {
            "verdict": verdict(found),
            "votes": found.votes,
            "models": [
                {
                    "name": str(rating.item),
                    "strength": round(rating.strength, 3),
                    "low": round(rating.low, 3),
                    "high": round(rating.high, 3),
                    "votes": rating.votes,
                }
                for rating in found.models
            ],
            "details": details(found.trial),
            "best": [_row(ranked, library) for ranked in found.best],
            "worst": [_row(ranked, library) for ranked in found.worst],
        }

    return routes


def verdict(found: Results) -> str:
    """One sentence, spoken by the sequential test alone."""
    if found.trial is None:
        if not found.votes:
            return "No votes yet."
        return "No blind votes between two models yet."
    line = found.trial.trial.line()
    return f"{found.trial.a} against {found.trial.b}: {line[:1].lower()}{line[1:]}"


def details(trial: ModelComparison | None) -> list[str]:
    """What stands behind the verdict, a sentence each."""
    if trial is None:
        return []
    low, high = trial.interval
    said = [
        f"{trial.a} won {trial.wins}, lost {trial.losses}, and {trial.ties} were equal.",
        f"If the number of votes had been fixed beforehand, its win rate would lie between "
        f"{low:.0%} and {high:.0%}.",
    ]
    if trial.detectable is not None:
        said.append(
            f"{trial.votes} votes find a true win rate of {trial.detectable:.0%} four times in "
            "five; a smaller lead needs more."
        )
    if trial.gate_a is not None and trial.gate_b is not None:
        said.append(
            f"Of the first draws {trial.gate_a:.0%} ({trial.a}) and {trial.gate_b:.0%} "
            f"({trial.b}) were sound."
        )
    return said


def _row(ranked: RankedTune, library: Library) -> dict[str, Any]:
    tune = ranked.tune
    abc = with_title(tune.abc)
    stored = StoredTune(
        tune_id(tune.abc), abc, tune.model, tune.seed, dict(tune.options), tune.created
    )
    library.add(stored)
    return {
        "id": stored.id,
        "model": tune.model,
        "strength": round(ranked.rating.strength, 2),
        "votes": ranked.rating.votes,
        **headline(abc),
    }
