"""The whole app with the bundled model on a port of its own, for measurements in a browser."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import uvicorn

from ui.app import bind, build_app, make_desk, make_jukebox, make_workshop
from ui.pair_source import ModelPairs
from ui.source import ModelSource


@contextmanager
def served(preparing: Literal["tunes", "pairs"]) -> Iterator[str]:
    """The app's address, in a home folder of its own; `preparing` is what is made ahead of time."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        jukebox = make_jukebox(home, ModelSource("base", home))
        desk = make_desk(home, ModelPairs("base", home), jukebox.playback)
        app = build_app(jukebox, desk, make_workshop(home, desk, None))
        ahead = jukebox.preparer if preparing == "tunes" else desk.supply
        ahead.start()
        listening = bind("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
            ahead.stop()
