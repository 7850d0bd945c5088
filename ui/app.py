"""The app: plain routes for tunes and sound, Gradio for the pages, on one port.

run_app("127.0.0.1", 7860, home, open_browser=True, model="base") -> exit code
"""

from __future__ import annotations

import functools
import logging
import os
import re
import socket
import sys
import threading
import webbrowser
from pathlib import Path

# Before anything imports gradio or transformers: neither may look for a network.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from abc_tools.audio import AudioCache
from prefs.database import database_url
from prefs.informative import Informative
from prefs.jobs import JobError, Jobs
from prefs.store import Store, open_store
from ui.first_tunes import first_tunes
from ui.library import Library, LibraryError
from ui.listen import Jukebox, add_refusals, build_listen_page, listen_routes
from ui.pair_source import ModelPairs, PairSource
from ui.pair_supply import PairSupply
from ui.playback import Playback, with_title
from ui.prepare import Preparer
from ui.rate import RatingDesk, add_rate_refusals, build_rate_page, rate_routes
from ui.results import build_results_page, results_routes
from ui.retrain import (
    Workshop,
    add_retrain_refusals,
    build_retrain_page,
    retrain_command,
    retrain_routes,
)
from ui.retrain_models import model_routes
from ui.retrain_tunes import run_tune_routes
from ui.source import ModelSource, TuneSource
from ui.theme import PLAYER, STATIC, gradio_theme, head

log = logging.getLogger("musicgen")


def run_app(host: str, port: int, home: str | Path, open_browser: bool, model: str | None) -> int:
    """Serve the pages until Ctrl+C; returns the exit code. Faults are one line on stderr."""
    import uvicorn

    logging.basicConfig(format="%(message)s")  # unless the caller has set it up
    log.setLevel(logging.INFO)  # which tunes were written, how many were discarded
    try:
        source = ModelSource(model, Path(home))
        source.builds_index = True
        jukebox = make_jukebox(Path(home), source)
        listening = bind(host, port)
    except (OSError, LibraryError) as error:
        print(f"musicgen app: {error}", file=sys.stderr)
        return 1
    desk = make_desk(Path(home), ModelPairs(model, Path(home)), jukebox.playback)
    shop = make_workshop(Path(home), desk, model)
    app = build_app(jukebox, desk, shop)
    go_on_with_cut_off_run(shop)
    desk.supply.start()
    jukebox.preparer.start()  # the page first: a tune is ready, the model can come later
    here = "127.0.0.1" if host in ("", "0.0.0.0") else host
    address = f"http://{here}:{listening.getsockname()[1]}"
    print(f"Listen at {address}   (Ctrl+C stops)", flush=True)
    if open_browser and has_display():
        threading.Timer(0.2, webbrowser.open, [address]).start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        jukebox.preparer.stop()
        desk.supply.stop()
    return 0


def has_display() -> bool:
    """Whether a browser window can open; without one a text browser would take the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError, one line, for a busy port or an address not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(64)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(
            f"port {port} on {host}: {reason.lower()}; choose another: musicgen app --port "
            f"{port + 1 if 1023 < port < 65535 else 7861}"
        ) from None
    return listening


def make_jukebox(home: Path, source: TuneSource) -> Jukebox:
    """Library, sound cache and the tunes to come, in and for one home folder."""
    library = Library(home / "library")
    playback = Playback(AudioCache(home / "audio"))
    preparer = Preparer(
        source,
        library,
        finish=with_title,
        render=lambda tune: playback.audio(tune, playback.recent),
        ready_file=home / "library" / "ready.jsonl",
        bundled=first_tunes(),
    )
    return Jukebox(library, playback, preparer)


def make_desk(home: Path, source: PairSource, playback: Playback) -> RatingDesk:
    """The votes' database, opened with the first page that needs it, and the pairs to come."""

    @functools.cache
    def store() -> Store:
        home.mkdir(parents=True, exist_ok=True)
        return open_store(database_url(home))

    guard = threading.Lock()  # else two first requests would open it twice

    def opened() -> Store:
        with guard:
            return store()

    supply = PairSupply(source, opened, choose=Informative().choose)
    return RatingDesk(opened, supply, playback)


def make_workshop(home: Path, desk: RatingDesk, model: str | None) -> Workshop:
    """Runs of one home folder, on the votes of the desk."""
    more = () if model is None else ("--model", model)  # what plays is what learns
    return Workshop(desk.store, Jobs(home, retrain_command(home, *more)), home, fixed=model)


def go_on_with_cut_off_run(shop: Workshop) -> None:
    """A retraining that ended with the machine goes on when the app is opened again."""
    try:
        job = shop.jobs.take_up_cut_off()
    except JobError as error:
        log.warning("retraining: %s", error)
    else:
        if job is not None:
            log.info("going on with the retraining of %s", job.name)


def build_app(jukebox: Jukebox, desk: RatingDesk, shop: Workshop) -> FastAPI:
    """Routes, files and pages; preparer and pair supply are the caller's to start and stop."""
    import gradio

    app = FastAPI(title="musicgen", docs_url=None, redoc_url=None, openapi_url=None)
    add_refusals(app)
    add_rate_refusals(app)
    app.include_router(listen_routes(jukebox))
    add_retrain_refusals(app)
    app.include_router(rate_routes(desk))
    app.include_router(results_routes(desk.store, jukebox.library))
    app.include_router(run_tune_routes(shop, jukebox))
    app.include_router(model_routes(shop))
    app.include_router(retrain_routes(shop))
    app.mount("/page", Revalidated(directory=STATIC))
    app.mount("/player", Revalidated(directory=PLAYER))
    # what is mounted at / answers everything else, so it comes last
    pages = {
        "/rate": build_rate_page(),
        "/results": build_results_page(),
        "/retrain": build_retrain_page(),
        "/": build_listen_page(),
    }
    for path, page in pages.items():
        gradio.mount_gradio_app(
            app,
            page,
            path=path,
            theme=gradio_theme(),
            footer_links=[],
            run_history=False,
            ssr_mode=False,
        )
    app.add_middleware(PageHead, heads=PAGE_HEADS)
    return app


# Address of a page -> the address that Gradio has it under, and its head.
PAGE_HEADS = {
    re.compile(r"/(tune/[^/]+/?)?"): ("/", head("listen")),
    re.compile(r"/rate/?"): ("/rate/", head("rate", "/rate/")),
    re.compile(r"/results/?"): ("/results/", head("results", "/results/")),
    re.compile(r"/retrain/?"): ("/retrain/", head("retrain", "/retrain/")),
}


class PageHead:
    """Puts our head first into Gradio's pages, and serves the Listen page for /tune/ID too.

    Gradio adds a head of its own from a script, after the first paint: too late for colours, and
    too late to load the score's code while Gradio loads. The first <base> of a page is the one that
    counts, so the address may become /tune/ID without breaking Gradio's relative addresses.
    """

    def __init__(self, app: ASGIApp, heads: dict[re.Pattern[str], tuple[str, str]]) -> None:
        self.app = app
        self.heads = heads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["type"] == "http" and scope["method"] == "GET":
            fitting = (page for path, page in self.heads.items() if path.fullmatch(scope["path"]))
            found = next(fitting, None)
        if found is None:
            await self.app(scope, receive, send)
            return
        address, head = found
        inserted = b"<head>" + head.encode()
        # Gradio compresses what it may; the head goes into plain text.
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        page = {**scope, "path": address, "raw_path": address.encode(), "headers": plain}
        start: Message = {}
        body = bytearray()

        async def hold(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            whole = bytes(body).replace(b"<head>", inserted, 1)
            headers = MutableHeaders(scope=start)
            headers["content-length"] = str(len(whole))
            headers["cache-control"] = "no-cache"
            await send(start)
            await send({"type": "http.response.body", "body": whole})

        await self.app(page, receive, hold)


class Revalidated(StaticFiles):
    """Static files that a browser asks about each time, so that an update is seen at once."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response
