"""Rendered tunes on disk, named by what they were made from.

Two processes or threads may use one folder: a file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from abc_tools.audio_options import AudioError, AudioOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

# To be raised when the same input would come out as other sound: level, tail, encoding, downmix.
RENDERER_VERSION = 1
ABANDONED_SECONDS = 3600.0


class AudioCache:
    """A folder of rendered tunes, the least recently used deleted above `limit_bytes`.

    Two gigabytes hold about 5,000 tunes as mp3, 1,000 as flac.
    """

    def __init__(self, folder: str | Path, limit_bytes: int = 2_000_000_000) -> None:
        self.folder = Path(folder)
        self.limit_bytes = limit_bytes
        self._guard = threading.Lock()
        self._in_work: dict[str, threading.Lock] = {}

    def get(self, midi: bytes, options: AudioOptions | None = None) -> Path:
        """The file with this tune's sound, rendered now if it is not there yet.

        A second thread that asks for a tune in work waits for it. Raises AudioError as render_audio
        does, and if the folder cannot be written.
        """
        options = options or AudioOptions()
        path = self.path(midi, options)
        with self._one_at_a_time(path.name):
            try:
                if path.stat().st_size > 0:
                    os.utime(path)
                    return path
            except FileNotFoundError:
                pass
            except OSError as error:
                raise AudioError(f"{path}: {error.strerror}") from None
            from abc_tools.audio import render_audio

            data = render_audio(midi, options)
            try:
                self._store(path, data)
                self._forget_oldest(keep=path)
            except OSError as error:
                raise AudioError(
                    f"{self.folder}: cannot keep rendered audio here ({error.strerror})"
                ) from None
        return path

    def path(self, midi: bytes, options: AudioOptions) -> Path:
        """Where this tune's sound is or will be; the name is a hash of all that it depends on."""
        from abc_tools.audio import find_soundfont
        from abc_tools.synth import load_synth

        renderer = load_synth()
        font = find_soundfont(options, renderer)
        stat = font.stat()
        made_from = {
            "midi": hashlib.sha256(midi).hexdigest(),
            "font": _font_digest(str(font), stat.st_size, stat.st_mtime_ns),
            "instrument": options.instrument,
            "format": options.format,
            "tempo_factor": float(options.tempo_factor),
            "start_seconds": float(options.start_seconds),
            "renderer": [RENDERER_VERSION, renderer.name, renderer.version],
        }
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{key}.{options.format}"

    @contextlib.contextmanager
    def _one_at_a_time(self, name: str) -> Iterator[None]:
        with self._guard:
            lock = self._in_work.setdefault(name, threading.Lock())
        with lock:
            yield
        with self._guard:
            self._in_work.pop(name, None)

    def _store(self, path: Path, data: bytes) -> None:
        """Write under another name, then rename: nobody ever reads half a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise

    def _forget_oldest(self, keep: Path) -> None:
        """Delete the least recently used files above the limit, and parts that a crash left."""
        files = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                stat = entry.stat()
                if entry.name.endswith(".part"):
                    if time.time() - stat.st_mtime > ABANDONED_SECONDS:
                        os.unlink(entry.path)
                elif entry.name != keep.name:
                    files.append((stat.st_mtime, stat.st_size, entry.path))
        total = keep.stat().st_size + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.limit_bytes:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size


@functools.lru_cache(maxsize=16)
def _font_digest(path: str, size: int, mtime_ns: int) -> str:
    """The font's sha256, worked out again only when the file's size or time changes."""
    import soundfonts

    return soundfonts.sha256(Path(path))
