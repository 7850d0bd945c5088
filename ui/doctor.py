"""`musicgen doctor`: one line for each thing the app needs; a failing one ends with its repair."""

from __future__ import annotations

import errno
import importlib.metadata
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfonts
from abc_tools.audio_options import AudioError
from abc_tools.synth import load_synth
from ui.assets import ABCJS_FILE, ABCJS_VERSION, abcjs_fault

HOST = "127.0.0.1"
# Room for some hundred tunes as MP3 and one tuned model with its optimiser state.
WANTED_FREE_MB = 500
SOUND_LIBRARY_LINES = (
    "sudo apt-get install libfluidsynth3 | sudo dnf install fluidsynth-libs | "
    "brew install fluid-synth"
)
REINSTALL = "pip install --force-reinstall --no-deps musicgen"


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, or what is wrong and the command that repairs it."""

    name: str
    fine: bool
    found: str
    repair: str = ""

    def line(self) -> str:
        """`ok` or `FAIL`, the name, what was found, and the repair last."""
        text = f"{'ok  ' if self.fine else 'FAIL'}  {self.name:<13}  {self.found}"
        return f"{text}: {self.repair}" if self.repair else text


def run_doctor(home: Path, port: int, model: str) -> int:
    """Prints every check as it is done; 0 if all are fine, 1 otherwise.

    `home` need not exist yet. `model` is a model's name or folder.
    """
    failed = 0
    for check in checks(home, port, model):
        print(check.line(), flush=True)
        failed += not check.fine
    print(f"{failed} failed" if failed else "everything is in place: musicgen app")
    return 1 if failed else 0


def checks(home: Path, port: int, model: str) -> Iterator[Check]:
    """Every check, the quick ones first."""
    yield check_packages()
    yield check_sound_library()
    yield check_soundfont()
    yield check_score()
    yield check_port(port)
    yield check_home(home)
    yield check_disk(home)
    yield check_model(model, home)


def check_packages(distribution: str = "musicgen") -> Check:
    """Are the declared dependencies installed? Versions are pip's business."""
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", False, f"{distribution} is not installed", "./run setup")
    missing = []
    names = [re.split(r"[\s<>=!~;\[]", text)[0] for text in requirements if "extra ==" not in text]
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        what = f"not installed: {', '.join(missing)}"
        return Check("packages", False, what, f"pip install {' '.join(missing)}")
    return Check("packages", True, f"{len(names)} found")


def check_sound_library() -> Check:
    """libfluidsynth, or the slower renderer that pip installed."""
    try:
        synth = load_synth()
    except AudioError as error:
        return Check("sound library", False, str(error))  # ends with what to install
    found = f"{synth.name} {synth.version}"
    if synth.name != "fluidsynth":
        found += f"; libfluidsynth is faster: {SOUND_LIBRARY_LINES}"
    return Check("sound library", True, found)


def check_soundfont() -> Check:
    """The font that audio is rendered with."""
    try:
        path = soundfonts.find()
    except soundfonts.SoundfontError as error:
        return Check("soundfont", False, str(error))  # ends with what to install
    known = soundfonts.identify(path)
    return Check("soundfont", True, f"{path}" + (f" ({known.licence})" if known else ""))


def check_score(path: Path = ABCJS_FILE) -> Check:
    """The script that draws the score."""
    fault = abcjs_fault(path)
    if fault is None:
        return Check("score", True, f"abcjs {ABCJS_VERSION}")
    in_a_clone = (path.parents[3] / "run").is_file()
    return Check("score", False, fault, "./run assets" if in_a_clone else REINSTALL)


def check_port(port: int) -> Check:
    """Can the app listen there? If not, the repair names the next port that is free."""
    if (fault := _port_fault(port)) is None:
        return Check("port", True, f"{port} is free")
    free = next((p for p in range(max(port, 1023) + 1, 65536) if _port_fault(p) is None), 0)
    return Check("port", False, f"{port} {fault}", f"musicgen app --port {free}")


def check_home(home: Path) -> Check:
    """Can files be written to the home folder, or to the place where it will be made?"""
    try:
        with tempfile.TemporaryFile(dir=_existing(home)):
            pass
    except OSError as error:
        what = f"{home} cannot be written to ({error.strerror})"
        return Check("home", False, what, "musicgen app --home ANOTHER_FOLDER")
    return Check("home", True, str(home))


def check_disk(home: Path, wanted_mb: int = WANTED_FREE_MB) -> Check:
    """Is there room for audio and models where the home folder lies?"""
    free_mb = shutil.disk_usage(_existing(home)).free // 2**20
    if free_mb < wanted_mb:
        what = f"{free_mb} MB free at {home}, {wanted_mb} MB wanted"
        return Check("disk", False, what, "musicgen app --home FOLDER_ON_ANOTHER_DISK")
    return Check("disk", True, f"{free_mb / 1024:.0f} GB free")


def check_model(model: str, home: Path) -> Check:
    """Is the model folder whole: readable JSON, a complete safetensors file?"""
    try:
        from musicgen import checkpoint  # brings torch: seconds, so not before it is needed
    except ImportError as error:
        return Check("model", False, f"torch or transformers is broken ({error})", "./run setup")
    try:
        folder = checkpoint.find_model(model, home)
    except checkpoint.CheckpointError as error:
        return Check("model", False, str(error))  # ends with what to do
    try:
        checkpoint.check_folder(folder)
    except checkpoint.CheckpointError as error:
        repair = ""  # the message ends with what to do for a model of one's own
        if checkpoint.BUNDLED in folder.parents:
            in_a_clone = (checkpoint.BUNDLED.parents[1] / "run").is_file()
            repair = f"git checkout -- {folder}" if in_a_clone else REINSTALL
        return Check("model", False, str(error), repair)
    return Check("model", True, str(folder))


def _port_fault(port: int) -> str | None:
    with socket.socket() as listener:
        # As servers do: a connection that was closed a minute ago does not hold the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OverflowError:
            return "is not a port (0 to 65535)"
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            return "is in use" if in_use else f"cannot be opened ({error.strerror})"
    return None


def _existing(folder: Path) -> Path:
    """The folder itself, or its nearest ancestor that exists."""
    folder = folder.expanduser().absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())
