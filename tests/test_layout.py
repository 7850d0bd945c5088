"""The shape of the repository: who imports whom, what is declared, what may be committed."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OURS = ("soundfonts", "abc_tools", "musicgen", "prefs", "ui")
MAY_IMPORT = {
    "soundfonts": set(),
    "abc_tools": {"soundfonts"},
    "musicgen": {"soundfonts", "abc_tools"},
    "prefs": {"soundfonts", "abc_tools", "musicgen"},
    "ui": {"soundfonts", "abc_tools", "musicgen", "prefs"},
}
MODEL_AND_PAGE = {"torch", "transformers", "tokenizers", "gradio", "fastapi", "starlette"}
# Each costs tens of milliseconds or more, which `import abc_tools` cannot afford.
SLOW_TO_IMPORT = MODEL_AND_PAGE | {
    "fluidsynth", "matplotlib", "midirenderer", "music21", "numpy", "pandas", "pretty_midi",
    "pyloudnorm", "scipy", "soundfile", "tyro",
}  # fmt: skip
LONGEST_FILE = 600
NEVER_COMMITTED = {
    ".sf2", ".sf3", ".js", ".mid", ".midi", ".wav", ".mp3", ".ogg", ".flac", ".pt", ".pth", ".bin",
    ".pkl", ".db", ".whl", ".zip", ".log",
}  # fmt: skip
# Small pieces of the page's own script are ours; what stands here was written in this repository.
OWN_SCRIPTS = re.compile(r"^ui/(static|player)/[a-z_]+\.js$")


def project_table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no Python files in {package}/: was it moved?"
    return found


def imported_names(path: Path) -> Iterator[tuple[int, str]]:
    """(line, top-level module) of every import in a file, the ones inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def committed_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [name for name in listed.stdout.split("\0") if name]
    assert "pyproject.toml" in files
    return files


@pytest.mark.parametrize("package", OURS)
def test_imports_flow_one_way(package):
    forbidden = (set(OURS) - MAY_IMPORT[package] - {package}) | {"tests", "benchmarks"}
    if package in ("soundfonts", "abc_tools"):
        forbidden |= MODEL_AND_PAGE
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(package)
        for line, name in imported_names(path)
        if name in forbidden
    ]
    assert wrong == []


def test_importing_abc_tools_loads_nothing_slow():
    script = "import sys, abc_tools; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert "abc_tools" in loaded
    assert loaded & SLOW_TO_IMPORT == set()


def test_every_third_party_import_is_a_declared_dependency():
    project = project_table()
    declared = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    distributions = importlib.metadata.packages_distributions()
    undeclared = []
    for package in OURS:
        for path in sources(package):
            for line, name in imported_names(path):
                if name in sys.stdlib_module_names or name in OURS:
                    continue
                if not declared & set(map(canonicalize_name, distributions.get(name, [name]))):
                    undeclared.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert undeclared == []


def test_no_python_file_is_too_long():
    lengths = {
        name: len((ROOT / name).read_text(encoding="utf-8").splitlines())
        for name in committed_files()
        if name.endswith(".py") and (ROOT / name).exists()
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_sound_library_or_build_output_is_committed():
    wrong = [
        name
        for name in committed_files()
        if Path(name).suffix.lower() in NEVER_COMMITTED and not OWN_SCRIPTS.match(name)
    ]
    assert wrong == []


def test_no_committed_file_is_larger_than_a_bundled_model_may_be():
    limit = 25 * 2**20
    sizes = {
        name: (ROOT / name).stat().st_size for name in committed_files() if (ROOT / name).is_file()
    }
    assert {name: size for name, size in sizes.items() if size > limit} == {}


def test_every_requirement_is_pinned_inside_its_range():
    project = project_table()
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[canonicalize_name(name)] = version
    pins["torch"] = re.search(r"^torch_pin=torch==(\S+)$", (ROOT / "run").read_text(), re.M)[1]
    texts = project["dependencies"] + project["optional-dependencies"]["dev"]
    ranges = {canonicalize_name(Requirement(text).name): Requirement(text) for text in texts}
    assert set(pins) == set(ranges)
    assert [name for name in pins if pins[name] not in ranges[name].specifier] == []
