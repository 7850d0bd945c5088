"""The Retrain page: its markup, and the plain HTTP routes that its script talks to.

    GET  /api/retrain                   votes at hand, the run, the models and their verdicts
    POST /api/retrain/start             begin a run; its model is called tuned-1, tuned-2, ...
    POST /api/retrain/NAME/ACTION       pause, go-on or cancel a run
    GET  /api/retrain/NAME/report       what was learned
    POST /api/models/NAME/promote       let the app play this model

Refusals are {"error": one sentence} with status 404, 409 or 503.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, Response

from musicgen.promoted import DEFAULT, promote, promoted_model, tuned_models
from prefs.jobs import Job, JobError, Jobs
from prefs.store import Store
from ui.player import page_component
from ui.theme import STATIC, top_bar

if TYPE_CHECKING:
    import gradio

FEWEST_VOTES = 20  # as prefs.probe has it, which would bring torch
ROUNDS = 2  # of expert iteration, each after a pool of its own


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

    @routes.get("/retrain")
    def state() -> dict[str, Any]:
        store = shop.store()
        job = shop.jobs.current()
        return {
            "votes": votes_at_hand(store),
            "job": None if job is None else job_state(job),
            "playing": shop.fixed or promoted_model(shop.home),
            "fixed": shop.fixed is not None,
            "models": [model_row(shop, store, name) for name in tuned_models(shop.home)],
        }

    @routes.post("/retrain/start")
    def start() -> dict[str, Any]:
        at_hand = votes_at_hand(shop.store())
        if at_hand["learning"] < FEWEST_VOTES:
            missing = FEWEST_VOTES - at_hand["learning"]
            raise JobError(f"{missing} more votes are needed: cast them on the Rate page")
        return job_state(shop.jobs.start(next_name(shop.home)))

    @routes.post("/retrain/{name}/{action}")
    def change(name: str, action: str) -> dict[str, Any]:
        actions = {
            "pause": shop.jobs.pause, "go-on": shop.jobs.take_up, "cancel": shop.jobs.cancel,
        }  # fmt: skip
        if action not in actions:
            raise JobError(f"a run can be paused, taken up (go-on) or cancelled, not {action!r}")
        return job_state(actions[action](name))

    @routes.get("/retrain/{name}/report")
    def report(name: str) -> dict[str, Any]:
        found = report_of(shop.home, name)
        if not found:
            raise UnknownModel(name)
        return found

    @routes.post("/models/{name}/promote")
    def promote_model(name: str) -> dict[str, Any]:
        if shop.fixed is not None:
            raise JobError(
                f"the app was started with --model {shop.fixed}: start it without, to change models"
            )
        if name != DEFAULT and name not in tuned_models(shop.home):
            raise UnknownModel(name)
        promote(shop.home, name)
        return {"playing": name}

    return routes


def votes_at_hand(store: Store) -> dict[str, Any]:
    """How many votes teach, and how well raters agree with themselves."""
    from prefs.training_votes import training_votes

    found = training_votes(store)
    return {
        "learning": len(found),
        "needed": FEWEST_VOTES,
        "agreement": found.agreement,
        "repeats": found.repeats,
    }


def job_state(job: Job) -> dict[str, Any]:
    """A run as the page shows it: what it does, how far it is, and its figures so far."""
    pools: dict[int, dict[str, Any]] = {}
    for record in job.records:
        if record["kind"] == "drawing":
            pools[record["seed"]] = record
    share = 0.0
    if pools:
        last = list(pools.values())[-1]
        share = (len(pools) - 1 + last["done"] / last["of"]) / (ROUNDS + 1)
    reward = next((record for record in job.records if record["kind"] == "reward"), None)
    return {
        "name": job.name,
        "state": job.state,
        "fault": job.fault,
        "stage": _stage(job, pools),
        "share": 1.0 if job.state == "done" else round(min(share, 0.99), 3),
        "minutes_left": _minutes_left(job, share),
        "reward": reward,
        "rounds": [record for record in job.records if record["kind"] == "round"],
    }


def model_row(shop: Workshop, store: Store, name: str) -> dict[str, Any]:
    """A tuned model with what blind votes say of it against the model that it came from."""
    from prefs.compare import compare

    report = report_of(shop.home, name)
    parent = report.get("parent", DEFAULT)
    found = compare(store, name, parent)
    return {
        "name": name,
        "parent": parent,
        "votes": report.get("votes"),
        "verdict": found.trial.line(),
        "blind_votes": found.votes,
    }


def report_of(home: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((home / "runs" / name / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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


def _stage(job: Job, pools: dict[int, dict[str, Any]]) -> str:
    if not job.records:
        return "getting ready"
    last = job.records[-1]
    if last["kind"] == "drawing":
        whose = "the model" if len(pools) == 1 else f"round {len(pools) - 1}"
        if last["done"] < last["of"]:
            return f"hearing what {whose} writes: {last['done']} of {last['of']} tunes"
        return "learning your taste" if len(pools) == 1 else "measuring the new model"
    return "learning from the tunes you would like best"


def _minutes_left(job: Job, share: float) -> float | None:
    """By the pace so far; None while there is none."""
    times = [record["at"] for record in job.records if "at" in record]
    if job.state != "running" or share < 0.03 or len(times) < 2 or times[-1] - times[0] < 5:
        return None
    return round((times[-1] - times[0]) / share * (1 - share) / 60, 1)
