"""The Results page: its markup, and the one plain HTTP route that its script talks to.

GET /api/results            verdict, win rate, leaderboard of models, best and worst tunes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from prefs.compare import ModelComparison
from prefs.ranking import Effect
from prefs.results import RankedTune, Results
from prefs.store import Store
from ui.library import Library, StoredTune, tune_id
from ui.playback import headline, with_title
from ui.player import page_component
from ui.theme import STATIC, top_bar

if TYPE_CHECKING:
    import gradio


FEWEST_FOR_HABITS = 20  # votes


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
            "win_rate": win_rate(found.trial),
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
            "details": [*details(found.trial), *habits(found)],
            "best": [_row(ranked, library) for ranked in found.best],
            "worst": [_row(ranked, library) for ranked in found.worst],
        }

    return routes


def verdict(found: Results) -> str:
    """One sentence, spoken by the sequential test alone."""
    if found.trial is None:
        if not found.votes:
            return "No votes yet: rate some tunes, and this page says what you like."
        return "No blind votes between two models yet."
    line = found.trial.trial.line()
    return f"{found.trial.a} against {found.trial.b}: {line[:1].lower()}{line[1:]}"


def win_rate(trial: ModelComparison | None) -> dict[str, Any] | None:
    """The share of votes that the judged model won, and the interval that the test allows."""
    if trial is None:
        return None
    low, high = trial.trial.interval
    return {"name": trial.a, "share": round(trial.win_rate, 4), "low": low, "high": high}


def habits(found: Results) -> list[str]:
    """How raters lean whatever they hear; the ranking of tunes takes both out."""
    if found.votes < FEWEST_FOR_HABITS:
        return []
    return [
        f"Of two equally good tunes the one heard first is chosen {_chance(found.side)}, and one "
        f"twice as long as the other {_chance(found.length)}; the ranking of tunes takes both out."
    ]


def _chance(effect: Effect) -> str:
    low, high = (Effect(value, 0).chance for value in (effect.low, effect.high))
    return f"{effect.chance:.0%} of the time (between {low:.0%} and {high:.0%})"


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
