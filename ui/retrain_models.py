"""What the Retrain page does with models: the plain HTTP routes.

POST /api/models/NAME/promote       let the app play this model
POST /api/models/NAME/keep          its trial is over: it stays beside the one that plays
POST /api/models/back               play what was played before
GET  /api/models/NAME/file.zip      a model as one file
POST /api/models/import?name=NAME   take in such a file, sent as application/zip
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from musicgen.promoted import (
    keep_both,
    known_models,
    promote,
    promoted_model,
    roll_back,
    tuned_models,
)
from prefs.jobs import JobError
from ui.retrain import UnknownModel, Workshop

ZIP = "application/zip"  # a form of another site cannot send this, so it cannot bring a model in
MOST_BYTES = 4_000_000_000
Done = TypeVar("Done")


def model_routes(shop: Workshop) -> APIRouter:
    """The routes above, over one workshop."""
    routes = APIRouter(prefix="/api/models")

    def check(name: str) -> None:
        if name not in known_models(shop.home):
            raise UnknownModel(name)

    def check_free() -> None:
        if shop.fixed is not None:
            raise JobError(
                f"the app was started with --model {shop.fixed}: start it without, to change models"
            )

    @routes.post("/{name}/promote")
    def promote_model(name: str) -> dict[str, Any]:
        check_free()
        check(name)
        _whole(lambda: promote(shop.home, name))
        return {"playing": name}

    @routes.post("/{name}/keep")
    def keep(name: str) -> dict[str, Any]:
        check(name)
        keep_both(shop.home, name)
        return {"playing": shop.fixed or promoted_model(shop.home)}

    @routes.post("/back")
    def back() -> dict[str, Any]:
        check_free()
        return {"playing": _whole(lambda: roll_back(shop.home))}

    @routes.get("/{name}/file.zip")
    def download(name: str) -> Response:
        from musicgen.model_archive import export_model

        if name not in tuned_models(shop.home):
            raise UnknownModel(name)
        folder = tempfile.TemporaryDirectory(prefix="musicgen-")
        place = Path(folder.name) / f"{name}.zip"
        file = _whole(lambda: export_model(shop.home / "models" / name, place))
        return FileResponse(
            file, media_type=ZIP, filename=file.name, background=BackgroundTask(folder.cleanup)
        )

    @routes.post("/import")
    async def take_in(request: Request, name: str = "") -> dict[str, Any]:
        if request.headers.get("content-type") != ZIP:
            raise JobError("a model comes as a zip file, as the page writes it")
        with tempfile.TemporaryDirectory(prefix="musicgen-") as folder:
            file = Path(folder) / "model.zip"
            size = 0
            with open(file, "wb") as target:
                async for block in request.stream():
                    size += len(block)
                    if size > MOST_BYTES:
                        raise JobError(f"the file is larger than {MOST_BYTES // 10**9} GB")
                    target.write(block)
            return {"name": await run_in_threadpool(_import, file, shop.home, name)}

    return routes


def _import(file: Path, home: Path, name: str) -> str:
    from musicgen.model_archive import import_model

    try:
        return _whole(lambda: import_model(file, home, name))
    except JobError as error:
        raise JobError(str(error).replace(str(file), "the file")) from None


def _whole(work: Callable[[], Done]) -> Done:
    """What `work` returns; a model that is not whole becomes a refusal of the page."""
    from musicgen.checkpoint import CheckpointError  # brings torch

    try:
        return work()
    except CheckpointError as error:
        raise JobError(str(error)) from None
