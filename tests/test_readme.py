"""The README is true: its tree is the disk's, its commands exist, its Python runs."""

import contextlib
import importlib.util
import io
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ui import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for kind, text in BLOCKS
    if kind == "sh"
    for line in text.splitlines()
    if line.split("#")[0].strip()
]
# Each Python block is followed by a block of what it prints.
PYTHON = [
    (text, printed) for (kind, text), (_, printed) in itertools.pairwise(BLOCKS) if kind == "python"
]
PACKAGES = ("abc_tools", "soundfonts", "musicgen", "prefs", "ui")
# Words before the first option or file name: the command and its sub-commands.
SUBCOMMAND = re.compile(r"[a-z]+(-[a-z]+)*")


def help_of(words: list[str]) -> tuple[str, int]:
    """(command, exit code and text) of `words` with --help in place of its options and files."""
    if words[0] == "./run":
        command, rest = [str(ROOT / "run")], []
    elif words[0] == "musicgen":
        command, rest = [], words[1:]
    else:
        assert words[:3] == ["python", "-m", "abc_tools"], f"an unknown program: {words[0]}"
        command, rest = [sys.executable, "-m", "abc_tools"], words[3:]
    for word in rest:
        if not SUBCOMMAND.fullmatch(word):
            break
        command.append(word)
    command.append("--help")
    if words[0] == "musicgen":  # in this process: it starts nothing and saves importing torch
        return call_cli(command)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.stdout, done.returncode


def call_cli(arguments: list[str]) -> tuple[str, int]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            code = cli.main(arguments)
        except SystemExit as stop:
            code = stop.code or 0
    return out.getvalue(), code


def test_the_readme_has_commands_python_and_a_tree():
    assert len(COMMANDS) > 10
    assert PYTHON
    assert [kind for kind, _ in BLOCKS].count("text") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_the_readme_answers_help_and_knows_its_options(command):
    words = shlex.split(command)
    text, code = help_of(words)
    assert code == 0
    if words[0] == "./run" and len(words) > 1:
        assert f"./run {words[1]}" in text
    if words[:2] == ["./run", "app"]:
        text, _ = call_cli(["app", "--help"])
    options = [word for word in words[1:] if word.startswith("-") and word != "-m"]
    assert [option for option in options if not re.search(rf"(?<![\w-]){option}\b", text)] == []


def test_every_command_that_exists_is_in_the_readme():
    for name in cli.COMMANDS:
        assert re.search(rf"`?musicgen {name}\b", README), f"musicgen {name} is not in the README"
    text, _ = help_of(["./run"])
    for name in re.findall(r"\./run ([a-z]+)", text):
        assert f"./run {name}" in README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("code", "printed"), PYTHON)
def test_python_in_the_readme_prints_what_it_says(code, printed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out == printed


def test_the_tree_in_the_readme_is_the_tree_on_the_disk():
    (tree,) = (text for kind, text in BLOCKS if kind == "text")
    entries: dict[str, set[str]] = {}
    folder = ""
    for line in tree.splitlines():
        if line.startswith(" "):  # what is inside the folder above
            entries[folder] |= set(line.split())
        else:
            folder = line.split()[0]
            entries[folder] = set()
    files = [Path(name) for name in files_here() if not name.startswith(".")]
    top = {f"{path.parts[0]}/" if len(path.parts) > 1 else path.name for path in files}
    assert set(entries) == top
    for folder in PACKAGES:
        inside = {
            f"{path.parts[1]}/" if len(path.parts) > 2 else path.stem
            for path in files
            if path.parts[0] == folder
            and (len(path.parts) > 2 or path.suffix == ".py")
            and path.name != "__init__.py"
        }
        assert entries[f"{folder}/"] == inside, f"in the README's tree: {' '.join(sorted(inside))}"


def files_here() -> list[str]:
    """Every committed file, and what git would add inside the packages."""
    names = []
    for options in (["--cached"], ["--others", "--exclude-standard", *PACKAGES]):
        words = ["git", "ls-files", *options]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        names += [name for name in done.stdout.splitlines() if (ROOT / name).exists()]
    return names


def test_every_file_that_the_readme_names_exists():
    named = re.findall(r"(?<![\w/.-])((?:tests|musicgen|ui|abc_tools)/[\w./-]*\w)", README)
    assert len(named) > 3
    missing = [name for name in named if not (ROOT / name).exists()]
    assert [name for name in missing if not name.startswith("ui/static/vendor")] == []


def test_every_package_says_in_its_first_line_what_it_is():
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        text = Path(spec.origin).read_text(encoding="utf-8")
        assert text.startswith(('"""', 'r"""')), f"{package}/__init__.py has no docstring"
