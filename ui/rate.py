"""The Rate page: its markup, and the plain HTTP routes that its script talks to.

    GET  /api/rate/options?rater=R          instruments, and how far this rater has come
    POST /api/rate/next                     {rater, holding: [ids], instrument, trial} -> a pair
    GET  /api/rate/PAIR/first.flac          sound of one side, or second.flac; ?instrument=
    POST /api/rate/votes                    {pair_id, choice, rater, listened_ms, token} -> on disk
    POST /api/rate/undo                     {pair_id, rater} -> the pair again
    GET  /api/rate/PAIR/reveal?rater=R      which models wrote the two, after the vote
    GET  /api/rate/lessons?rater=R          what this rater's votes have taught so far

Before the vote nothing that is sent tells one side's model from the other's: no name, title, seed,
id, time of writing or file name. Refusals are {"error": one sentence} with status 404, 422, 503.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, FastAPI
from fastapi.responses import JSONResponse, Response

from abc_tools import canonical_text, parse_tune
from abc_tools.audio import INSTRUMENTS, AudioOptions
from prefs.lessons import lessons
from prefs.records import CHOICES, Pair, Vote
from prefs.sitting import Progress
from prefs.store import Store, StoreError, UnknownPair
from ui.excerpt import EVALUATION_BARS, LEARNING_BARS, excerpt_ms, parting
from ui.pair_supply import PairSupply
from ui.playback import PAGE_FORMAT, Playback, Rendition, Score, score
from ui.player import page_component
from ui.theme import STATIC, top_bar

if TYPE_CHECKING:
    import gradio

SIDES = ("first", "second")
MEDIA_TYPE = "audio/flac"
NOT_STORED = {"Cache-Control": "no-store"}
LONGEST_NAME = 80


class RateError(Exception):
    """Something that a page may not ask for; the message is one sentence."""


@dataclass(frozen=True)
class RatingDesk:
    """What the routes need: where votes are kept, where pairs come from and become sound."""

    store: Callable[[], Store]
    supply: PairSupply
    playback: Playback


def build_rate_page() -> gradio.Blocks:
    """The page as Gradio blocks: one component, brought to life by ui/static/rate.js."""
    import gradio

    html = (STATIC / "rate.html").read_text(encoding="utf-8")
    html = html.replace("${top}", top_bar("Rate"))
    with gradio.Blocks(title="Which would you rather play?", analytics_enabled=False) as page:
        page_component(html, "/page/rate.js")
    return page


def rate_routes(desk: RatingDesk) -> APIRouter:
    """The routes above, over one desk."""
    routes = APIRouter(prefix="/api/rate")

    @routes.get("/options")
    def options(rater: str) -> dict[str, Any]:
        return {
            "instruments": [{"name": name, "label": name} for name in INSTRUMENTS],
            "progress": progress(desk.store(), named(rater)),
        }

    @routes.get("/lessons")
    def taught(rater: str) -> dict[str, Any]:
        return {"leanings": lessons(desk.store(), named(rater))}

    @routes.post("/next")
    def next_pair(wish: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        rater = named(wish.get("rater"))
        rendition = read_instrument(wish.get("instrument"))
        pair = desk.supply.next(
            rater,
            holding=[str(id) for id in wish.get("holding") or ()],
            trial=bool(wish.get("trial")),
        )
        return blind(desk.store(), pair, rendition)

    @routes.get("/{pair_id}/{side}.flac")
    def sound(pair_id: str, side: str, instrument: str | None = None) -> Response:
        if side not in SIDES:
            raise RateError("A pair has a first and a second side.")
        store = desk.store()
        pair = store.pair(pair_id)
        tune = store.tune(pair.first if side == "first" else pair.second)
        options = AudioOptions(
            instrument=read_instrument(instrument).instrument,
            format=PAGE_FORMAT,
            soundfont=desk.playback.soundfont,
        )
        path = desk.playback.cache.get(printed(tune.abc).midi, options)
        # bytes and not the file: its date and tag would tell which side was rendered first
        return Response(path.read_bytes(), media_type=MEDIA_TYPE, headers=NOT_STORED)

    @routes.post("/votes")
    def vote(said: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        store = desk.store()
        token = str(said.get("token") or "") or None
        new = store.cast(read_vote(said), token=token)
        return {"saved": True, "new": new, "progress": progress(store, named(said.get("rater")))}

    @routes.post("/undo")
    def undo(said: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        store, rater = desk.store(), named(said.get("rater"))
        pair = store.pair(str(said.get("pair_id")))
        undone = store.undo(pair.id, rater, at=now())
        rendition = read_instrument(said.get("instrument"))
        return {
            "undone": undone,
            "pair": blind(store, pair, rendition),
            "progress": progress(store, rater),
        }

    @routes.get("/{pair_id}/reveal")
    def reveal(pair_id: str, rater: str) -> dict[str, Any]:
        store = desk.store()
        pair = store.pair(pair_id)
        if not any(vote.pair_id == pair_id for vote in store.votes(named(rater))):
            raise RateError("Vote first; then you may see who wrote them.")
        first, second = store.tunes([pair.first, pair.second])
        return {"first": first.model, "second": second.model}

    return routes


def blind(store: Store, pair: Pair, rendition: Rendition) -> dict[str, Any]:
    """What a page gets of a pair before the vote."""
    tunes = store.tunes([pair.first, pair.second])
    scores = [printed(tune.abc) for tune in tunes]
    note, bars = 0, EVALUATION_BARS
    if pair.kind == "learning":
        note, bars = parting(*scores), LEARNING_BARS
    return {
        "pair_id": pair.id,
        "alike": bool(note),  # whether the two begin with the same music
        "sides": [
            {
                "id": f"{pair.id}-{side}",
                "audio_url": f"/api/rate/{pair.id}/{side}.{PAGE_FORMAT}?{rendition.query}",
                **_playable(found, note, bars),
            }
            for side, found in zip(SIDES, scores, strict=True)
        ],
    }


def printed(abc: str) -> Score:
    """A tune as a rater sees and hears it: title, book and other header texts are left out, and
    so is its tempo, which is that of the rhythm on both sides."""
    return score(canonical_text(parse_tune(abc), title=False))


def progress(store: Store, rater: str) -> dict[str, Any]:
    found = Progress.of(store, rater)
    return {
        "votes": found.votes,
        "an_hour": found.an_hour,
        "agreement": found.agreement,
        "repeats": found.repeats,
    }


def read_vote(said: dict[str, Any]) -> Vote:
    """From what a page sent; raises RateError for what no page would send."""
    listened = said.get("listened_ms")
    if not (
        isinstance(listened, list)
        and len(listened) == 2
        and all(isinstance(ms, int | float) and 0 <= ms < 86_400_000 for ms in listened)
    ):
        raise RateError("The vote does not say how long each tune was heard.")
    if said.get("choice") not in CHOICES:
        raise RateError(f"A vote is one of {', '.join(CHOICES)}.")
    return Vote(
        pair_id=str(said.get("pair_id")),
        choice=said["choice"],
        rater=named(said.get("rater")),
        listened_ms=(round(listened[0]), round(listened[1])),
        at=now(),
    )


def read_instrument(name: Any = None) -> Rendition:
    return Rendition(str(name or "fiddle"))


def named(rater: Any) -> str:
    """The rater's name; raises RateError if there is none or it is no name."""
    name = " ".join(str(rater or "").split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise RateError(f"A rater needs a name of 1 to {LONGEST_NAME} letters.")
    return name


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def add_rate_refusals(app: FastAPI) -> None:
    """Our errors as {"error": sentence}: the page shows the sentence as it is."""
    from ui.listen import sentence

    def handler(status: int) -> Callable[[Any, Exception], Response]:
        return lambda _request, error: JSONResponse(
            {"error": sentence(str(error))}, status_code=status
        )

    app.add_exception_handler(RateError, handler(422))
    app.add_exception_handler(UnknownPair, handler(404))
    app.add_exception_handler(StoreError, handler(503))


def _playable(found: Score, note: int, bars: int) -> dict[str, Any]:
    begin, end = excerpt_ms(found, note, bars)
    return {
        "abc": found.abc,
        "onsets_ms": found.onsets_ms,
        "spans": found.spans,
        "seconds": round(found.seconds, 2),
        "from_ms": begin,
        "until_ms": end,
    }
