"""`musicgen doctor`: what it says of a machine in order, and of each thing that can be missing."""

import json
import socket
import struct
import sys
from contextlib import closing

import pytest

from abc_tools.synth import load_synth
from musicgen import checkpoint
from ui import doctor
from ui.assets import ABCJS_FILE


@pytest.fixture
def model(tmp_home):
    """A model folder as whole as the headers can tell: one weight of two 16-bit numbers."""
    folder = tmp_home / "models" / "mine"
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    header = json.dumps({"w": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + bytes(4)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def taken_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_each_check_prints_a_line_and_all_fine_exits_0(tmp_home, monkeypatch, capsys):
    fine = [doctor.Check("score", True, "abcjs 6.7.2"), doctor.Check("port", True, "7860 is free")]
    monkeypatch.setattr(doctor, "checks", lambda home, port, model: iter(fine))
    assert doctor.run_doctor(tmp_home, 7860, "base") == 0
    assert capsys.readouterr().out == (
        "ok    score          abcjs 6.7.2\n"
        "ok    port           7860 is free\n"
        "everything is in place: musicgen app\n"
    )


def test_a_failing_line_ends_with_its_repair_and_exits_1(
    tmp_home, model, taken_port, monkeypatch, capsys
):
    monkeypatch.setattr(doctor, "check_score", lambda: doctor.Check("score", True, "stand-in"))
    assert doctor.run_doctor(tmp_home, taken_port, "mine") == 1
    lines = capsys.readouterr().out.splitlines()
    failing = [line for line in lines if line.startswith("FAIL")]
    assert len(failing) == 1
    assert f"{taken_port} is in use: musicgen app --port " in failing[0]
    assert lines[-1] == "1 failed"
    assert len(lines) == 9


def test_a_port_that_is_free_and_one_that_is_no_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    assert doctor.check_port(port) == doctor.Check("port", True, f"{port} is free")
    assert doctor.check_port(70000).found == "70000 is not a port (0 to 65535)"


def test_the_port_that_is_offered_instead_is_free(taken_port):
    offered = int(doctor.check_port(taken_port).repair.split()[-1])
    assert offered > taken_port
    assert doctor.check_port(offered).fine


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch):
    wanted = ["pytest>=8", "no-such-package>=1", 'absent-tool; extra == "dev"']
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: wanted)
    assert doctor.check_packages().line() == (
        "FAIL  packages       not installed: no-such-package: pip install no-such-package"
    )


@pytest.fixture
def no_fluidsynth(monkeypatch):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    load_synth.cache_clear()
    yield
    load_synth.cache_clear()


def test_without_libfluidsynth_the_built_in_renderer_serves(no_fluidsynth):
    check = doctor.check_sound_library()
    assert check.fine
    assert check.found.startswith("midirenderer ")
    assert "sudo apt-get install libfluidsynth3" in check.found


def test_without_any_renderer_the_sound_library_fails(no_fluidsynth, monkeypatch):
    monkeypatch.setitem(sys.modules, "midirenderer", None)
    check = doctor.check_sound_library()
    assert not check.fine
    assert "Install one: sudo apt-get install libfluidsynth3" in check.line()


def test_a_soundfont_that_was_asked_for_and_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICGEN_SOUNDFONT", str(tmp_path / "none.sf2"))
    check = doctor.check_soundfont()
    assert not check.fine
    assert check.found.startswith(f"{tmp_path}/none.sf2: no such soundfont")


def test_missing_abcjs_is_repaired_by_run_in_a_clone_and_by_pip_elsewhere(tmp_path):
    file = tmp_path / "ui" / "static" / "vendor" / ABCJS_FILE.name
    elsewhere = doctor.check_score(file)
    assert elsewhere.found == f"{file} is missing"
    assert elsewhere.repair == "pip install --force-reinstall --no-deps musicgen"
    (tmp_path / "run").touch()
    assert doctor.check_score(file).repair == "./run assets"


def test_a_home_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    check = doctor.check_home(tmp_path / "file" / "home")
    assert not check.fine
    assert check.line().endswith(": musicgen app --home ANOTHER_FOLDER")


def test_a_home_that_is_not_there_yet_is_fine_and_is_not_made(tmp_path):
    home = tmp_path / "new" / "home"
    assert doctor.check_home(home).fine
    assert doctor.check_disk(home, wanted_mb=0).fine
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_with_both_sizes(tmp_path):
    check = doctor.check_disk(tmp_path, wanted_mb=10**9)
    assert not check.fine
    assert check.found.endswith("1000000000 MB wanted")


def test_a_whole_model_is_found_by_its_name(tmp_home, model):
    assert doctor.check_model("mine", tmp_home) == doctor.Check("model", True, str(model))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_model_file_is_named(tmp_home, model, name):
    file = model / name
    file.write_bytes(file.read_bytes()[:-1])
    check = doctor.check_model("mine", tmp_home)
    assert not check.fine
    assert check.found.startswith(f"{file} is damaged (")
    file.unlink()
    assert f"lacks {name}" in doctor.check_model("mine", tmp_home).found


def test_a_damaged_model_that_came_with_the_code_is_taken_from_git(tmp_home, model, monkeypatch):
    (model / "config.json").unlink()
    monkeypatch.setattr(checkpoint, "BUNDLED", model.parent)
    assert doctor.check_model("mine", tmp_home).repair == doctor.REINSTALL
    (model.parents[2] / "run").touch()
    assert doctor.check_model("mine", tmp_home).line().endswith(f": git checkout -- {model}")


def test_an_unknown_model_is_said(tmp_home):
    check = doctor.check_model("nobody", tmp_home)
    assert not check.fine
    assert check.found.startswith("no model 'nobody'")
