"""The whole app on a port of its own, and how the tests start a browser."""

import gc
import threading
import warnings
from contextlib import contextmanager

import uvicorn

from ui.app import bind, build_app, make_workshop

# A press is needed before sound, as in a browser with a window; nothing is fetched behind our back.
CHROMIUM_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--autoplay-policy=document-user-activation-required",
]  # fmt: skip


@contextmanager
def served(home, jukebox, desk, shop=None):
    """The address of the running app; its threads end with the block."""
    jukebox.preparer.start()
    desk.supply.start()
    listening = bind("127.0.0.1", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        app = build_app(jukebox, desk, shop or make_workshop(home, desk, None))
        gc.collect()  # gradio leaves event loops open, which would warn in a later test
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(timeout=10)
        jukebox.preparer.stop()
        desk.supply.stop()
