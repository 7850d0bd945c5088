"""From a bare clone and an empty environment, as a newcomer would: setup, doctor, tune, wheel.

Takes minutes and reaches the package registries; `./run test --long`.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ui.assets import ABCJS_SHA256

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A clone of the last commit after `./run setup`; removed at the end, for it holds 1.6 GB."""
    with tempfile.TemporaryDirectory(prefix="musicgen-clone-") as folder:
        clone = Path(folder) / "musicgen"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        done = call(clone, "./run", "setup")
        assert done.returncode == 0, done.stderr[-3000:]
        yield clone


def call(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the clone, with the caller's own Python environment forgotten."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "MUSICGEN_HOME", "MUSICGEN_SOUNDFONT")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment["PATH"] = os.pathsep.join(
        folder
        for folder in environment["PATH"].split(os.pathsep)
        if not folder.startswith(str(ROOT))
    )
    return subprocess.run(
        words,
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1500,
    )


def unplugged() -> list[str]:
    """The words that run a command without any network, where this machine allows it."""
    words = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*words, "true"]).returncode == 0:
        return words
    return []


def test_the_doctor_finds_everything_in_place(clone, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    done = call(
        clone, ".venv/bin/musicgen", "doctor", "--port", port, "--home", str(tmp_path / "home")
    )
    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout


def test_a_tune_is_checked_and_heard(clone, tmp_path):
    tool = (".venv/bin/python", "-m", "abc_tools")
    tune = "tests/tiny_corpus.abc"
    checked = call(clone, *tool, "check", tune)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    sound = tmp_path / "tune.mp3"
    heard = call(clone, *tool, "audio", tune, "-o", str(sound))
    assert heard.returncode == 0, heard.stderr
    assert sound.stat().st_size > 50_000


def test_a_new_tune_is_written_with_the_network_unplugged(clone, tmp_path):
    home = str(tmp_path / "home")
    generate = (".venv/bin/musicgen", "generate", "-n", "1", "--seed", "1", "--home", home)
    done = call(clone, *unplugged(), *generate)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("X:1\n")


def test_the_second_setup_has_nothing_to_do(clone):
    done = call(clone, "./run", "setup")
    assert (done.returncode, done.stderr) == (0, "")


def test_setup_leaves_nothing_that_git_would_commit(clone):
    assert call(clone, "git", "status", "--porcelain").stdout == ""


def test_the_wheel_holds_the_score_script_and_the_model_and_nothing_that_is_not_ours(clone):
    wheels = clone / "dist"
    done = call(
        clone, ".venv/bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps",
        "--wheel-dir", str(wheels), str(clone),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        script = archive.read("ui/static/vendor/abcjs-basic-min.js")
    assert hashlib.sha256(script).hexdigest() == ABCJS_SHA256
    assert "ui/static/vendor/abcjs-LICENSE.md" in names
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        assert f"musicgen/models/base/{name}" in names
    folders = {name.split("/")[0] for name in names}
    ours = {"abc_tools", "musicgen", "prefs", "ui", "soundfonts"}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == ours
    # Soundfonts and the corpus have terms of their own and stay where they come from.
    foreign = {".sf2", ".sf3", ".abc", ".mid", ".mxl"}
    assert [name for name in names if Path(name).suffix.lower() in foreign] == []
    assert [name for name in names if Path(name).name in ("train.jsonl", "test.jsonl")] == []
    sources = call(clone, "git", "ls-files", *sorted(ours)).stdout.splitlines()
    assert [name for name in sources if name not in names] == []
