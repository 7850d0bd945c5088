"""A model as a zip file and back; a zip from elsewhere can bring a model in and nothing else."""

import json
import zipfile

import pytest

from musicgen import model_archive
from musicgen.checkpoint import BUNDLED, CheckpointError, check_folder
from musicgen.model_archive import export_model, import_model
from ui.cli import main

BASE = BUNDLED / "base"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bundled model as a file."""
    return export_model(BASE, tmp_path_factory.mktemp("zip") / "base.zip")


def zipped(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def repacked(whole, path, change):
    """The whole model with `change(name, data) -> (name, data)` for each of its files."""
    with zipfile.ZipFile(whole) as archive:
        return zipped(path, dict(change(name, archive.read(name)) for name in archive.namelist()))


def nothing_but(home):
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_what_is_written_and_taken_in_again_is_the_same_model(whole, tmp_path):
    assert import_model(whole, tmp_path, "friend") == "friend"
    folder = tmp_path / "models" / "friend"
    check_folder(folder)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        assert (folder / name).read_bytes() == (BASE / name).read_bytes()


def test_the_name_of_the_folder_in_the_file_is_the_default(whole, tmp_path):
    other = repacked(whole, tmp_path / "x.zip", lambda n, d: (n.replace("base/", "theirs/"), d))
    assert import_model(other, tmp_path) == "theirs"
    with pytest.raises(CheckpointError, match="there is a model 'theirs' already"):
        import_model(other, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../config.json", "/config.json", "a/../../config.json", "..\\config.json", "a/b/config.json",
     "base/run.py", "base/pytorch_model.bin", "base/../x/config.json", "C:/x/config.json"],
)  # fmt: skip
def test_a_file_that_lies_elsewhere_or_is_no_part_of_a_model_is_refused(name, whole, tmp_path):
    home = tmp_path / "deep" / "home"
    bad = zipped(tmp_path / "bad.zip", {name: "{}"})
    with pytest.raises(CheckpointError, match="nothing was unpacked"):
        import_model(bad, home, "friend")
    assert nothing_but(tmp_path) == ["bad.zip"]


def test_a_damaged_model_leaves_nothing_behind(whole, tmp_path):
    def halved(name, data):
        return name, data[: len(data) // 2] if name.endswith(".safetensors") else data

    bad = repacked(whole, tmp_path / "bad.zip", halved)
    with pytest.raises(CheckpointError, match="holds no whole model"):
        import_model(bad, tmp_path, "friend")
    assert list((tmp_path / "models").iterdir()) == []


def test_weights_of_other_sizes_than_the_config_says_are_refused(whole, tmp_path):
    def narrower(name, data):
        if name.endswith("/config.json"):
            return name, json.dumps({**json.loads(data), "vocab_size": 7}).encode()
        return name, data

    bad = repacked(whole, tmp_path / "bad.zip", narrower)
    with pytest.raises(CheckpointError, match="holds no whole model"):
        import_model(bad, tmp_path, "friend")
    assert list((tmp_path / "models").iterdir()) == []


def test_more_than_fits_is_not_unpacked(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(model_archive, "MOST_BYTES", 1_000)
    with pytest.raises(CheckpointError, match="would take more than"):
        import_model(whole, tmp_path, "friend")


@pytest.mark.parametrize("name", ["base", "../x", ".hidden", "a b", ""])
def test_a_name_that_cannot_be_one_is_refused(name, whole, tmp_path):
    with pytest.raises(CheckpointError, match=r"no name for a model|there is a model"):
        import_model(whole, tmp_path, name or "-")


def test_what_is_no_zip_says_so_in_one_line(tmp_path, capsys):
    (tmp_path / "x.zip").write_text("not a zip")
    assert main(["models", "import", str(tmp_path / "x.zip"), "--home", str(tmp_path)]) == 1
    assert main(["models", "import", str(tmp_path / "none.zip"), "--home", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "is no zip" in said[0] and "no file" in said[1]


def test_the_command_writes_takes_in_and_lists(tmp_path, capsys):
    home = ["--home", str(tmp_path)]
    file = tmp_path / "out.zip"
    assert main(["models", "export", "base", "-o", str(file), *home]) == 0
    assert main(["models", "import", str(file), "--name", "friend", *home]) == 0
    assert main(["models", "history", *home]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("friend ")
