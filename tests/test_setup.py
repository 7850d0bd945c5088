"""The `run` script, driven with a Python that only writes down what it was asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Stands in for every interpreter, also the one of .venv: answers yes, and fails where told to.
FAKE_PYTHON = """#!/usr/bin/env bash
echo "$*" >>"$CALLS"
case "$*" in
  "-m venv"*) mkdir -p "${*: -1}/bin" && cp "$0" "${*: -1}/bin/python"
              printf '#!/bin/sh\\necho "musicgen $*" >>"$CALLS"\\n' >"${*: -1}/bin/musicgen"
              chmod +x "${*: -1}/bin/musicgen" ;;
  *"$FAIL_ON"*) exit 1 ;;
esac
"""
# Nothing is installed on the machine that runs the tests.
FAKE_APT = '#!/bin/sh\necho "apt-get $*" >>"$CALLS"\ncase "$*" in $APT_FAILS) exit 1;; esac\n'
FAKE_ID = '#!/bin/sh\necho "$USER_ID"\n'
FAKES = {"id": FAKE_ID, "apt-get": FAKE_APT} | {
    name: FAKE_PYTHON for name in ("python3", "python3.11", "python3.12", "python3.13")
}


class Clone:
    """A copy of `run` in a folder of its own."""

    def __init__(self, folder: Path):
        self.root = folder / "clone with a space"
        self.root.mkdir()
        self.log = folder / "calls.txt"
        for name in ("run", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        programs = folder / "bin"
        programs.mkdir()
        for name, text in FAKES.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        path = f"{programs}:/usr/bin:/bin"
        self.environment = {"PATH": path, "HOME": str(folder), "CALLS": str(self.log)}
        self.environment |= {"USER_ID": "1000", "APT_FAILS": ""}

    def run(self, *words: str, fail_on: str = "no call says this"):
        self.log.write_text("")
        return subprocess.run(
            [self.root / "run", *words],
            env={**self.environment, "FAIL_ON": fail_on},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self, word: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if word in line]


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def test_the_first_run_sets_up_with_torch_first_and_then_opens_the_app(clone):
    done = clone.run("--port", "7861", "--no-browser")
    assert done.returncode == 0, done.stderr
    torch, rest = clone.calls("pip install")
    assert torch.endswith("torch==2.13.0")
    assert rest.endswith(f"--constraint {clone.root}/constraints.txt --editable {clone.root}")
    assert clone.calls("musicgen")[-1] == "musicgen app --port 7861 --no-browser"


def test_the_second_run_installs_nothing(clone):
    clone.run("setup")
    done = clone.run("setup")
    assert (done.returncode, done.stderr) == (0, "")
    assert clone.calls("") == []


def test_a_changed_requirement_is_installed_by_the_next_run(clone):
    clone.run("setup")
    with (clone.root / "pyproject.toml").open("a") as file:
        file.write("# one more line\n")
    clone.run("setup")
    assert len(clone.calls("pip install")) == 2


def test_a_folder_that_was_moved_is_set_up_again(clone):
    clone.run("setup")
    clone.root = clone.root.rename(clone.root.with_name("moved"))
    clone.run("setup")
    assert len(clone.calls("pip install")) == 2


def test_tests_add_the_development_tools_and_the_app_needs_no_setup_after_them(clone):
    clone.run("test", "tests/test_one.py", "-q")
    assert clone.calls("pip install")[-1].endswith(f"--editable {clone.root}[dev]")
    assert clone.calls("-m pytest") == ["-m pytest tests/test_one.py -q"]
    clone.run("app")
    assert clone.calls("") == ["musicgen app"]


def test_the_long_tests_do_not_repeat_the_others(clone):
    clone.run("test", "--long", "-x")
    assert clone.calls("-m pytest") == ["-m pytest -m long -x"]


def test_an_interrupted_setup_is_done_again(clone):
    done = clone.run("setup", fail_on="--editable")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "pip could not install the packages above"
    assert clone.run("setup").returncode == 0
    assert len(clone.calls("pip install")) == 2


def test_the_declared_ranges_serve_where_the_tested_versions_are_not_to_be_had(clone):
    done = clone.run("setup", fail_on="--constraint")
    assert done.returncode == 0
    assert clone.calls("pip install")[-1].endswith(f"--editable {clone.root}")
    assert "constraints.txt" in done.stderr


def test_another_torch_serves_where_the_pinned_one_is_not_to_be_had(clone):
    done = clone.run("setup", fail_on="torch==2.13.0")
    assert done.returncode == 0
    assert "pip will choose another version" in done.stderr
    assert len(clone.calls("--editable")) == 1


def test_without_the_sound_library_and_without_root_the_lines_to_type_are_printed(clone):
    done = clone.run("setup", fail_on="fluidsynth")
    assert done.returncode == 0
    indented = [line for line in done.stderr.splitlines() if line.startswith("  ")]
    assert [line.split(":")[1].strip() for line in indented] == [
        "sudo apt-get install libfluidsynth3",
        "sudo dnf install fluidsynth-libs",
        "brew install fluid-synth",
    ]


def test_as_root_the_sound_library_is_installed_and_nothing_is_asked(clone):
    clone.environment["USER_ID"] = "0"
    done = clone.run("setup", fail_on="fluidsynth")
    assert done.returncode == 0
    assert clone.calls("apt-get") == [
        "apt-get install -qq -y --no-install-recommends libfluidsynth3"
    ]
    assert "sudo" not in done.stderr


def test_as_root_the_package_lists_are_fetched_when_an_install_fails(clone):
    clone.environment |= {"USER_ID": "0", "APT_FAILS": "install*"}
    done = clone.run("setup", fail_on="fluidsynth")
    assert done.returncode == 0
    assert [call.split()[1] for call in clone.calls("apt-get")] == ["install", "update", "install"]
    assert "sudo apt-get install libfluidsynth3" in done.stderr


def test_as_root_the_programs_of_the_tests_are_installed(clone):
    clone.environment["USER_ID"] = "0"
    clone.run("test", fail_on=" atomic")
    (call,) = clone.calls("apt-get")
    assert "libatomic1" in call.split()


def test_a_python_that_cannot_make_environments_is_told_apart(clone):
    done = clone.run("setup", fail_on="ensurepip")
    assert done.returncode == 1
    assert "cannot make virtual environments. Run:  sudo apt-get install" in done.stderr


def test_a_python_that_is_too_old_is_refused_in_one_line(clone):
    done = clone.run("setup", fail_on="version_info < (3, 11)")
    assert done.returncode == 1
    assert done.stderr == (
        "Python 3.11 or newer is needed and was not found. "
        "Install it, or name it: PYTHON=/path/to/python3 ./run\n"
    )
    assert clone.calls("-m venv") == []


def test_missing_abcjs_is_said_with_the_command_that_fetches_it(clone):
    assert "run:  ./run assets" in clone.run("setup").stderr
    vendor = clone.root / "ui" / "static" / "vendor"
    vendor.mkdir(parents=True)
    (vendor / "abcjs-basic-min.js").write_text("here")
    assert "abcjs" not in clone.run("assets").stderr
    assert clone.calls("--no-deps")[0].endswith(f"--editable {clone.root}")


def test_help_lists_every_command(clone):
    done = clone.run("--help")
    assert done.returncode == 0
    for command in ("setup", "test", "bench", "lint", "assets", "app"):
        assert f"./run {command}" in done.stdout
    assert clone.calls("") == []


def test_an_unknown_command_is_refused(clone):
    done = clone.run("tset")
    assert done.returncode == 2
    assert done.stderr == "./run: no such command: tset (setup, test, bench, lint, assets or app)\n"


def test_continuous_integration_runs_every_test(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    fake = tmp_path / "run"
    fake.write_text('#!/bin/sh\necho "$*" >>calls\ntest "$*" != "$FAIL_ON"\n')
    fake.chmod(0o755)

    def returncode(fail_on: str) -> int:
        environment = {**os.environ, "FAIL_ON": fail_on}
        return subprocess.run([tmp_path / ".ci" / "run"], env=environment).returncode

    assert returncode("nothing") == 0
    assert (tmp_path / "calls").read_text() == "test\ntest --long\n"
    assert returncode("test") != 0
    assert returncode("test --long") != 0
