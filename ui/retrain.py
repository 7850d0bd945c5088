"""The Retrain page: its markup, and the plain HTTP routes that its script talks to.

    GET  /api/retrain                   votes at hand, the run, the trial, the models
    GET  /api/retrain/teaches           what the votes teach, from a learning curve
    GET  /api/retrain/choices           methods and strengths that a run can have
    POST /api/retrain/start             {method, strength}: begin a run; its model is called
                                        tuned-1, tuned-2, ...
    POST /api/retrain/NAME/ACTION       pause, go-on or cancel a run

What a run lets one hear is in retrain_tunes.py, what is done with models in retrain_models.py.
Refusals are {"error": one sentence} with status 404, 409 or 503.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from fastapi import APIRouter, Body, FastAPI
from fastapi.responses import JSONResponse, Response

from prefs.jobs import JobError, Jobs
from prefs.store import Store
from ui.commands_retrain import RetrainCommand
from ui.player import page_component
from ui.retrain_state import FEWEST_VOTES, Counted, job_state, page_state
from ui.theme import STATIC, top_bar

if TYPE_CHECKING:
    import gradio

USUAL = "usual"
# How long a run listens: tunes that it draws a round, and what the page says of it.
STRENGTHS: dict[str, tuple[int, str]] = {
    "light": (RetrainCommand.pool // 3, "light: few tunes a round, done in a third of the time"),
    USUAL: (RetrainCommand.pool, "usual"),
    "thorough": (2 * RetrainCommand.pool, "thorough: twice as many tunes, twice the time"),
}
METHOD_WORDS = {
    "expert": "expert iteration: it learns from the best of its own tunes, twice",
    "best-of-n": "best of n: it learns from the best of its own tunes, once",
    "rloo": "RLOO: every tune counts, the good ones for and the bad ones against",
    "ppo": "PPO: small steps along the reward, with a critic",
    "dpo": "DPO: straight from pairs of its own tunes, the better one against the worse",
}


class UnknownModel(Exception):
    """A name that no model or run has."""


@dataclass(frozen=True)
class Workshop:
    """What the routes need: votes, runs, and where the models are."""

    store: Callable[[], Store]
    jobs: Jobs
    home: Path
    fixed: str | None = None  # the model that the app was told to play, which nothing changes


def retrain_command(home: Path, *more: str) -> Callable[[str], Sequence[str]]:
    """The words that begin or take up the run of a name."""
    code = "from ui.cli import main; raise SystemExit(main())"

    def words(name: str) -> Sequence[str]:
        return [
            sys.executable, "-c", code, "retrain", "--name", name, "--home", str(home), "--resume",
            *more,
        ]  # fmt: skip

    return words


def build_retrain_page() -> gradio.Blocks:
    """The page as Gradio blocks: one component, brought to life by ui/static/retrain.js."""
    import gradio

    html = (STATIC / "retrain.html").read_text(encoding="utf-8")
    html = html.replace("${top}", top_bar("Retrain"))
    with gradio.Blocks(title="Teach the model your taste", analytics_enabled=False) as page:
        page_component(html, "/page/retrain.js")
    return page


def retrain_routes(shop: Workshop) -> APIRouter:
    """The routes above, over one workshop."""
    routes = APIRouter(prefix="/api")
    counted = Counted(shop.store)

    @routes.get("/retrain")
    def state() -> dict[str, Any]:
        return page_state(shop, counted)

    @routes.get("/retrain/teaches")
    def teaches() -> dict[str, Any]:
        return counted.teaching()

    @routes.get("/retrain/choices")
    def choices() -> dict[str, Any]:
        return {
            "methods": [
                {"name": name, "label": METHOD_WORDS.get(name, name)} for name in methods()
            ],
            "strengths": [{"name": name, "label": said} for name, (_, said) in STRENGTHS.items()],
            "method": usual_method(),
            "strength": USUAL,
        }

    @routes.post("/retrain/start")
    def start(wish: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
        words = run_words(wish or {})
        if (missing := FEWEST_VOTES - len(counted.votes())) > 0:
            raise JobError(f"{missing} more votes are needed: cast them on the Rate page")
        return job_state(shop.jobs.start(next_name(shop.home), words))

    @routes.post("/retrain/{name}/{action}")
    def change(name: str, action: str) -> dict[str, Any]:
        actions = {
            "pause": shop.jobs.pause, "go-on": shop.jobs.take_up, "cancel": shop.jobs.cancel,
        }  # fmt: skip
        if action not in actions:
            raise JobError(f"a run can be paused, taken up (go-on) or cancelled, not {action!r}")
        return job_state(actions[action](name))

    return routes


def methods() -> tuple[str, ...]:
    """Those that `musicgen retrain` takes."""
    return get_args(get_type_hints(RetrainCommand)["method"])


def usual_method() -> str:
    return str(RetrainCommand.method)


def run_words(wish: dict[str, Any]) -> list[str]:
    """What `musicgen retrain` is given for a wish of the page; raises JobError for no such thing.

    >>> run_words({})
    []
    >>> run_words({"method": "best-of-n", "strength": "light"})
    ['--method', 'best-of-n', '--pool', '512']
    """
    method, strength = wish.get("method"), wish.get("strength")
    if method is not None and method not in methods():
        raise JobError(f"there is no method {method!r}: choose one of {', '.join(methods())}")
    if strength is not None and strength not in STRENGTHS:
        raise JobError(f"there is no strength {strength!r}: choose one of {', '.join(STRENGTHS)}")
    words = [] if method is None else ["--method", str(method)]
    if strength is not None and strength != USUAL:
        words += ["--pool", str(STRENGTHS[strength][0])]
    return words


def next_name(home: Path) -> str:
    """tuned-1, tuned-2, ...: the first number after all that were used.

    >>> next_name(Path("/nowhere"))
    'tuned-1'
    """
    used = [
        int(match[1])
        for folder in ("models", "runs")
        for path in (home / folder).glob("tuned-*")
        if (match := re.fullmatch(r"tuned-(\d+)", path.name))
    ]
    return f"tuned-{max(used, default=0) + 1}"


def add_retrain_refusals(app: FastAPI) -> None:
    """Our errors as {"error": sentence}: the page shows the sentence as it is."""
    from ui.listen import sentence

    app.add_exception_handler(
        JobError,
        lambda _request, error: JSONResponse({"error": sentence(str(error))}, status_code=409),
    )

    def unknown(_request: Any, error: Exception) -> Response:
        return JSONResponse({"error": f"There is no model named {error}."}, status_code=404)

    app.add_exception_handler(UnknownModel, unknown)
