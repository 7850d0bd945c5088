"""`python -m abc_tools`: what it prints, what it writes, how it ends."""

import json
import subprocess
import sys
import wave
from pathlib import Path

import mido
import pytest

from abc_tools.__main__ import main
from abc_tools.audio_options import INSTRUMENTS
from abc_tools.checks import RANGES

SOUND = "X:1\nT:t\nM:4/4\nL:1/8\nQ:1/4=120\nK:G\nGABc dedB|G8|]\n"
DOUBTFUL = "X:1\nT:t\nM:4/4\nL:1/8\nQ:1/4=120\nK:G\nGABc dedB|GABc dedBd|G8|]\n"
FAULTY = "X:1\nT:t\nM:4/4\nL:1/8\nQ:1/4=120\nK:G\nGABc] dedB|G8|]\n"
LOOPING = "X:1\nT:t\nM:2/4\nL:1/8\nQ:1/4=120\nK:G\nGABc|" + "G2B2|" * 20 + "\n"


@pytest.fixture
def folder(tmp_path):
    for name, text in (("sound", SOUND), ("doubtful", DOUBTFUL), ("faulty", FAULTY)):
        (tmp_path / f"{name}.abc").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("name", "status"), [("sound", 0), ("doubtful", 0), ("faulty", 1)])
def test_the_exit_status_says_whether_there_are_errors(folder, name, status):
    assert main(["check", str(folder / f"{name}.abc")]) == status


def test_check_prints_path_line_column_message_and_marker(folder, capsys):
    path = folder / "doubtful.abc"
    main(["check", str(path)])
    assert capsys.readouterr().out == (
        f"{path}:7:11: bar 2 lasts 9/8 but the meter is 4/4\n"
        "    GABc dedB|GABc dedBd|G8|]\n"
        "              ~~~~~~~~~~\n"
        "1 files, 0 errors, 1 warnings\n"
    )


def test_check_as_json_has_exactly_this_shape(folder, capsys):
    path = folder / "faulty.abc"
    assert main(["check", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "files": [
            {
                "path": str(path),
                "diagnostics": [
                    {
                        "severity": "error",
                        "line": 7,
                        "column": 5,
                        "code": "stray-bracket",
                        "message": 'a "]" without its "["',
                    }
                ],
                "bars": 2,
                "seconds": 4.0,
                "degenerate": {"flag": False, "score": 0.0, "where": None},
            }
        ]
    }


def test_a_loop_is_reported_with_its_place(tmp_path, capsys):
    path = tmp_path / "loop.abc"
    path.write_text(LOOPING, encoding="utf-8")
    assert main(["check", "--json", str(path)]) == 0
    report = json.loads(capsys.readouterr().out)["files"][0]
    assert report["degenerate"] == {"flag": True, "score": 36.0, "where": [7, 6]}
    assert [one["code"] for one in report["diagnostics"]] == ["degenerate-repetition"]


def test_check_looks_into_folders(folder, capsys):
    assert main(["check", "--json", str(folder)]) == 1
    files = json.loads(capsys.readouterr().out)["files"]
    assert [Path(file["path"]).name for file in files] == [
        "doubtful.abc",
        "faulty.abc",
        "sound.abc",
    ]


def test_check_of_a_book_adds_its_tunes_up(tmp_path, capsys):
    path = tmp_path / "book.abc"
    path.write_text(SOUND + "\n" + DOUBTFUL.replace("X:1", "X:2"), encoding="utf-8")
    main(["check", "--json", str(path)])
    report = json.loads(capsys.readouterr().out)["files"][0]
    assert (report["bars"], report["seconds"]) == (5, 10.25)
    assert [(one["line"], one["code"]) for one in report["diagnostics"]] == [(15, "bar-too-long")]


@pytest.mark.parametrize("data", [b"", b"Dear all,\nno music here.\n", bytes(range(256)) * 4])
def test_a_file_without_a_tune_is_unreadable(tmp_path, capsys, data):
    path = tmp_path / "x.abc"
    path.write_bytes(data)
    assert main(["check", "--json", str(path)]) == 2
    report = json.loads(capsys.readouterr().out)["files"][0]
    assert [(one["severity"], one["code"]) for one in report["diagnostics"]] == [
        ("error", "no-tune")
    ]


def test_a_missing_file_is_unreadable(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nowhere.abc")]) == 2
    assert "nowhere.abc:1:1: cannot be read: No such file" in capsys.readouterr().out


def test_an_empty_folder_is_an_error_of_one_line(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"abc_tools: {tmp_path}: no .abc file in this folder\n"


def test_midi_writes_one_file(folder):
    out = folder / "x.mid"
    assert main(["midi", str(folder / "sound.abc"), "-o", str(out)]) == 0
    assert mido.MidiFile(out).length == pytest.approx(4.0)


def test_midi_writes_a_folder_and_goes_on_after_a_bad_file(folder, capsys):
    (folder / "bad.abc").write_text("no tune", encoding="utf-8")
    assert main(["midi", str(folder), "-o", str(folder / "out")]) == 2
    written = sorted(path.name for path in (folder / "out").iterdir())
    assert written == ["doubtful.mid", "faulty.mid", "sound.mid"]
    assert capsys.readouterr().err == (
        f"abc_tools: {folder / 'bad.abc'}:1:1: no tune here: "
        "expected header fields such as X: and K:\n"
    )


def test_midi_options_are_passed_on(folder):
    out = folder / "x.mid"
    assert main(["midi", str(folder / "sound.abc"), "-o", str(out), "--tempo", "60"]) == 0
    assert mido.MidiFile(out).length == pytest.approx(8.0)
    assert main(["midi", str(folder / "sound.abc"), "-o", str(out), "--tempo", "0"]) == 2


def test_a_folder_that_does_not_exist_gives_one_line(folder, capsys):
    out = folder / "no" / "x.mid"
    assert main(["midi", str(folder / "sound.abc"), "-o", str(out)]) == 2
    assert capsys.readouterr().err == f"abc_tools: {out}: No such file or directory\n"


def test_a_missing_soundfont_is_one_line_that_says_how_to_get_one(folder, capsys):
    words = ["audio", str(folder / "sound.abc"), "-o", str(folder / "x.flac")]
    assert main([*words, "--soundfont", str(folder / "none.sf2")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"abc_tools: {folder / 'none.sf2'}: no such soundfont; install")
    assert told.count("\n") == 1 and not (folder / "x.flac").exists()


@pytest.mark.parametrize("command", ["midi", "audio", "musicxml"])
def test_a_file_that_is_no_abc_is_one_line_whatever_is_asked_of_it(folder, capsys, command):
    file = folder / "photo.abc"
    file.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    suffix = {"midi": "mid", "audio": "flac", "musicxml": "musicxml"}[command]
    assert main([command, str(file), "-o", str(folder / f"x.{suffix}")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"abc_tools: {file}") and told.count("\n") == 1


def test_the_module_runs_and_answers_help():
    for command in ([], ["check"], ["midi"], ["audio"], ["musicxml"]):
        done = subprocess.run(
            [sys.executable, "-m", "abc_tools", *command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("usage: python -m abc_tools")
    done = subprocess.run([sys.executable, "-m", "abc_tools"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_note_below_the_whistle_is_within_the_fiddle(folder, capsys):
    path = folder / "low.abc"
    path.write_text(SOUND.replace("GABc", "CABc"), encoding="utf-8")
    assert main(["check", str(path)]) == 0
    assert "0 warnings" in capsys.readouterr().out
    assert main(["check", "--instrument", "whistle", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"{path}:7:1: this note is below the range of the whistle" in out


def test_sound_can_be_faster_and_begin_later(folder, tmp_path):
    lengths = {}
    for name, words in (("whole", []), ("late", ["--start", "2"]), ("fast", ["--speed", "2"])):
        out = tmp_path / f"{name}.wav"
        assert main(["audio", str(folder / "sound.abc"), "-o", str(out), *words]) == 0
        with wave.open(str(out)) as file:
            lengths[name] = file.getnframes() / file.getframerate()
    # 4 s of music, and the tail of the last note; from 2 s on, 2 s of music; at double speed too.
    assert lengths["whole"] - lengths["late"] == pytest.approx(2, abs=0.1)
    assert lengths["whole"] - lengths["fast"] == pytest.approx(2, abs=0.1)


def test_every_instrument_that_plays_has_a_range():
    assert set(RANGES) == set(INSTRUMENTS)
