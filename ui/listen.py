"""The Listen page: its markup, and the plain HTTP routes that its script talks to.

    GET  /api/listen/options            menus, instruments, what is kept
    POST /api/listen/next               the next tune for {rhythm, meter, key, temperature, seed,
                                        opening, parts, bars, instrument, tempo}, each optional
    POST /api/tunes/ID/tweak            a new tune like this one, some bars of it written anew
    GET  /api/tunes/ID                  a tune again, by another instrument or at another tempo
    GET  /api/tunes/ID/audio.flac       its sound (byte ranges are answered)
    GET  /api/tunes/ID/file.FORMAT      as a download: abc, mid, mp3, musicxml
    GET  /api/kept, PUT /api/kept/ID    kept tunes; /api/kept/tunebook.abc all of them as one file

Refusals are {"error": one sentence} with status 404, 422 or 503.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from abc_tools import AbcError, canonical_text, parse_tune
from ui.choices import (
    CALMEST,
    KEYS,
    METERS,
    RHYTHMS,
    WILDEST,
    ChoiceError,
    Choices,
    menu,
    offered,
)  # fmt: skip
from ui.library import Library, LibraryError, StoredTune
from ui.playback import (
    INSTRUMENTS,
    PAGE_FORMAT,
    TEMPOS,
    AudioError,
    Playback,
    PlaybackError,
    Rendition,
    file_writers,
    headline,
    score,
)  # fmt: skip
from ui.player import page_component
from ui.prepare import Preparer
from ui.source import SourceError
from ui.theme import STATIC, top_bar

if TYPE_CHECKING:
    import gradio

FORMAT_LABELS = {"abc": "ABC", "mid": "MIDI", "musicxml": "MusicXML", "mp3": "MP3"}
MEDIA_TYPES = {
    "abc": "text/vnd.abc; charset=utf-8",
    "mid": "audio/midi",
    "musicxml": "application/vnd.recordare.musicxml+xml",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
}
KEPT_LINK = '<a href="#kept">Kept <span class="kept-count"></span></a>'


@dataclass(frozen=True)
class Jukebox:
    """What the routes need: where tunes come from, are kept, and become sound."""

    library: Library
    playback: Playback
    preparer: Preparer


def read_rendition(instrument: Any = None, tempo: Any = None) -> Rendition:
    """From what a page sent; raises PlaybackError for what does not exist."""
    try:
        percent = int(tempo or 100)
    except (TypeError, ValueError):
        raise PlaybackError(f"The tempo {tempo!r} is not a number of percent.") from None
    return Rendition(str(instrument or "fiddle"), percent)


def queried(instrument: str | None = None, tempo: str | None = None) -> Rendition:
    """`?instrument=...&tempo=...`, both optional."""
    return read_rendition(instrument, tempo)


Queried = Annotated[Rendition, Depends(queried)]


class UnknownTune(Exception):
    """An address that names no tune of this library."""


def build_listen_page() -> gradio.Blocks:
    """The page as Gradio blocks: one component, brought to life by ui/static/listen.js."""
    import gradio

    html = (STATIC / "listen.html").read_text(encoding="utf-8")
    html = html.replace("${top}", top_bar("Listen", KEPT_LINK))
    with gradio.Blocks(title="New folk tunes", analytics_enabled=False) as page:
        page_component(html, "/page/listen.js")
    return page


def listen_routes(jukebox: Jukebox) -> APIRouter:
    """The routes above, over one jukebox."""
    routes = APIRouter(prefix="/api")
    library, playback, preparer = jukebox.library, jukebox.playback, jukebox.preparer
    writers = file_writers()

    def stored(id: str) -> StoredTune:
        tune = library.get(id)
        if tune is None:
            raise UnknownTune(id)
        return tune

    def kept_rows() -> list[dict[str, str]]:
        return [{"id": tune.id, **headline(tune.abc)} for tune in library.kept()]

    @routes.get("/listen/options")
    def options() -> dict[str, Any]:
        known = preparer.source.known
        return {
            "complete": bool(known.rhythms),
            "fault": preparer.fault,
            "menus": menu(
                offered(RHYTHMS, known.rhythms), offered(METERS, known.meters),
                offered(KEYS, known.keys),
            ),
            "temperature": {"least": CALMEST, "most": WILDEST, "usual": known.temperature},
            "instruments": [{"name": name, "label": name} for name in INSTRUMENTS],
            "tempos": [
                {"percent": tempo, "label": "full tempo" if tempo == 100 else f"{tempo}% tempo"}
                for tempo in TEMPOS
            ],
            "formats": [
                {"name": name, "label": FORMAT_LABELS[name]}
                for name in FORMAT_LABELS
                if name in writers or name == "mp3"
            ],
            "kept": kept_rows(),
        }  # fmt: skip

    @routes.post("/listen/next")
    def next_tune(wish: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        choices = Choices.read(wish)
        check_opening(choices)
        playback.recent = read_rendition(wish.get("instrument"), wish.get("tempo"))
        return playback.payload(preparer.next(choices), playback.recent)

    @routes.get("/tunes/{id}")
    def tune(id: str, rendition: Queried) -> dict[str, Any]:
        return playback.payload(stored(id), rendition)

    @routes.post("/tunes/{id}/tweak")
    def tweak(id: str, rendition: Queried) -> dict[str, Any]:
        return playback.payload(preparer.tweak(stored(id)), rendition)

    @routes.get("/tunes/{id}/audio.{format}")
    def audio(id: str, format: str, rendition: Queried) -> Response:
        if format != PAGE_FORMAT:
            raise PlaybackError(f"There is no sound in the format {format!r} here.")
        path = playback.audio(stored(id), rendition)
        headers = {"Cache-Control": "private, max-age=86400"}
        return FileResponse(path, media_type=MEDIA_TYPES[format], headers=headers)

    @routes.get("/tunes/{id}/file.{format}")
    def download(id: str, format: str, rendition: Queried) -> Response:
        found = stored(id)
        name = f"{file_name(score(found.abc).title)}.{format}"
        if format == "mp3":
            path = playback.audio(found, rendition, "mp3")
            return FileResponse(path, media_type=MEDIA_TYPES["mp3"], filename=name)
        if format not in writers:
            known = ", ".join([*writers, "mp3"])
            raise PlaybackError(f"There is no download in the format {format!r}; choose {known}.")
        content = writers[format](found, rendition)
        return attachment(content, MEDIA_TYPES[format], name)

    @routes.get("/kept")
    def kept() -> list[dict[str, str]]:
        return kept_rows()

    @routes.put("/kept/{id}")
    def keep(id: str, kept: Annotated[bool, Body(embed=True)]) -> list[dict[str, str]]:
        stored(id)
        library.keep(id, kept)
        return kept_rows()

    @routes.get("/kept/tunebook.abc")
    def tune_book() -> Response:
        tunes = [canonical_text(parse_tune(tune.abc), tempo=True) for tune in library.kept()]
        numbered = [
            re.sub(r"^X:.*$", f"X:{number}", text, count=1, flags=re.MULTILINE)
            for number, text in enumerate(tunes, start=1)
        ]
        return attachment("\n".join(numbered).encode(), MEDIA_TYPES["abc"], "kept-tunes.abc")

    return routes


def check_opening(choices: Choices) -> None:
    """Raises ChoiceError where the opening is not music that a tune can begin with."""
    if not choices.opening:
        return
    if choices.key is None or choices.meter is None:
        raise ChoiceError("Choose a key and a meter for your opening bars.")
    if re.search(r"^[A-Za-z]:", choices.opening, re.MULTILINE):
        raise ChoiceError("The opening holds header lines; give its bars only.")
    header = f"X:1\nM:{choices.meter}\nL:1/8\nK:{choices.key}\n"
    try:
        tune = parse_tune(header + choices.opening + "\n")
    except AbcError as error:
        raise ChoiceError(f"The opening cannot be read: {error}") from None
    if not any(bar.ticks for bar in tune.bars):
        raise ChoiceError("The opening holds no notes; write bars such as |:F2AF DFAF|")
    for found in tune.diagnostics:
        if found.severity == "error":
            raise ChoiceError(f"The opening, column {found.column}: {found.message}.")


def file_name(title: str) -> str:
    """A title as a file name that every system takes.

    >>> file_name("The Miller's Second Kettle"), file_name("Été / 3"), file_name("")
    ('the-millers-second-kettle', 'ete-3', 'tune')
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain.replace("'", ""))) or "tune"


def attachment(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def add_refusals(app: FastAPI) -> None:
    """Our errors as {"error": sentence}: the page shows the sentence as it is."""

    def refuse(status: int) -> Callable[[Request, Exception], Response]:
        def handler(_request: Request, error: Exception) -> Response:
            return JSONResponse({"error": sentence(str(error))}, status_code=status)

        return handler

    for kind, status in (
        (ChoiceError, 422), (PlaybackError, 422), (SourceError, 503), (AudioError, 503),
        (LibraryError, 503),
    ):  # fmt: skip
        app.add_exception_handler(kind, refuse(status))

    def unknown(_request: Request, _error: Exception) -> Response:
        message = "This tune is not in the library of this app; start listening to hear others."
        return JSONResponse({"error": message}, status_code=404)

    app.add_exception_handler(UnknownTune, unknown)


def sentence(message: str) -> str:
    """With a capital letter and a full stop, unless it ends in a command or an address."""
    message = message[:1].upper() + message[1:]
    return message if re.search(r"[.!?`)'\"]$", message) else message + "."
