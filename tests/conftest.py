"""Fixtures shared by the tests; no test reaches the network or the user's own folders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Set before anything imports gradio or transformers.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
# Two test processes share two cores, and the models of the tests are too small for more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

# Timings on a busy machine say nothing; the same examples every time.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def tiny_corpus() -> Path:
    """Five tunes in five rhythms, written for these tests: read them, do not write there.

    Together they hold pick-up bars, endings, triplets, ties, broken rhythm, graces, chord symbols,
    an accidental that lasts to the bar line, and a part whose opening repeat sign is left out.
    """
    return Path(__file__).parent / "tiny_corpus.abc"


@pytest.fixture
def tmp_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for library, votes, models and runs, also set as MUSICGEN_HOME."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("MUSICGEN_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium, for Playwright's `executable_path`."""
    program = _program("chromium", "chromium-browser", package="chromium")
    words = [sys.executable, "-m", "playwright", "--version"]
    driver = subprocess.run(words, capture_output=True, text=True)
    if driver.returncode != 0:
        pytest.skip(f"{driver.stderr.strip()}; to run this test: sudo apt-get install libatomic1")
    return program


@pytest.fixture(scope="session")
def abc2midi() -> str:
    """Path of abc2midi, which some results are compared with."""
    return _program("abc2midi", package="abcmidi")


def _program(*names: str, package: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"no {names[0]} here; to run this test: sudo apt-get install {package}")
