"""Rendered tunes on disk: found again, never half written, never too many."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from audio_signals import reel

import soundfonts
from abc_tools import audio
from abc_tools.audio import AudioCache, AudioError, AudioOptions, render_audio

FONT = soundfonts.pretty_midi_font()
ROOT = Path(__file__).resolve().parent.parent
OPTIONS = AudioOptions("fiddle", "flac", FONT)


@pytest.fixture
def renderings(monkeypatch):
    """The options of each rendering, which returns quickly and takes a moment."""
    seen = []

    def render(midi, options):
        seen.append(options)
        time.sleep(0.05)
        return b"sound of " + midi

    monkeypatch.setattr(audio, "render_audio", render)
    return seen


def test_the_file_holds_what_render_audio_makes_and_its_name_ends_with_the_format(tmp_path):
    midi = reel(1.0)
    path = AudioCache(tmp_path / "new" / "folder").get(midi, OPTIONS)
    assert path.suffix == ".flac"
    assert path.read_bytes() == render_audio(midi, OPTIONS)


def test_the_second_time_nothing_is_rendered(tmp_path, renderings):
    first = AudioCache(tmp_path).get(b"midi", OPTIONS)
    assert AudioCache(tmp_path).get(b"midi", OPTIONS) == first
    assert renderings == [OPTIONS]


def test_whatever_changes_the_sound_changes_the_name(tmp_path, monkeypatch):
    cache = AudioCache(tmp_path)
    other_font = tmp_path / "other.sf2"
    other_font.write_bytes(FONT.read_bytes() + b"one more byte")
    copy = tmp_path / "copy.sf2"
    copy.write_bytes(FONT.read_bytes())
    paths = [
        cache.path(b"midi", OPTIONS),
        cache.path(b"MIDI", OPTIONS),
        cache.path(b"midi", AudioOptions("flute", "flac", FONT)),
        cache.path(b"midi", AudioOptions("fiddle", "mp3", FONT)),
        cache.path(b"midi", AudioOptions("fiddle", "flac", other_font)),
        cache.path(b"midi", AudioOptions("fiddle", "flac", FONT, tempo_factor=1.1)),
        cache.path(b"midi", AudioOptions("fiddle", "flac", FONT, start_seconds=1.0)),
    ]
    assert len(set(paths)) == len(paths)
    assert cache.path(b"midi", AudioOptions("fiddle", "flac", copy)) == paths[0]
    monkeypatch.setattr("abc_tools.audio_cache.RENDERER_VERSION", 0)
    assert cache.path(b"midi", OPTIONS) not in paths


def test_threads_that_want_the_same_tune_wait_for_one_rendering(tmp_path, renderings):
    cache = AudioCache(tmp_path)
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(cache.get(b"midi", OPTIONS))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 8
    assert len(set(paths)) == 1
    assert len(renderings) == 1


def test_processes_that_want_the_same_tune_end_with_one_whole_file(tmp_path):
    midi = tmp_path / "reel.mid"
    midi.write_bytes(reel(2.0))
    code = (
        "import sys; from pathlib import Path\n"
        "from abc_tools.audio import AudioCache, AudioOptions\n"
        "options = AudioOptions('fiddle', 'flac', sys.argv[2])\n"
        "print(AudioCache(sys.argv[3]).get(Path(sys.argv[1]).read_bytes(), options))\n"
    )
    command = [sys.executable, "-c", code, str(midi), str(FONT), str(tmp_path / "cache")]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    printed = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(printed) == 1
    path = Path(printed.pop())
    assert list((tmp_path / "cache").iterdir()) == [path]
    assert path.read_bytes() == render_audio(midi.read_bytes(), OPTIONS)


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, renderings, monkeypatch):
    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(AudioError) as caught:
        AudioCache(tmp_path).get(b"midi", OPTIONS)
    assert str(caught.value) == (
        f"{tmp_path}: cannot keep rendered audio here (No space left on device)"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_left_by_a_power_cut_is_rendered_again(tmp_path, renderings):
    cache = AudioCache(tmp_path)
    cache.path(b"midi", OPTIONS).touch()
    assert cache.get(b"midi", OPTIONS).read_bytes() == b"sound of midi"


def test_the_least_recently_used_files_make_room(tmp_path, renderings):
    cache = AudioCache(tmp_path, limit_bytes=30)
    old, used = cache.get(b"1", OPTIONS), cache.get(b"2", OPTIONS)  # 10 bytes each
    os.utime(old, (1, 1))
    os.utime(used, (0, 0))
    cache.get(b"2", OPTIONS)
    abandoned = tmp_path / ".abc.part"
    abandoned.touch()
    os.utime(abandoned, (0, 0))
    third = cache.get(b"3", OPTIONS)
    assert set(tmp_path.iterdir()) == {old, used, third}
    fourth = cache.get(b"4", OPTIONS)
    assert set(tmp_path.iterdir()) == {used, third, fourth}


def test_a_folder_that_cannot_be_written_is_named(tmp_path, renderings):
    (tmp_path / "file").touch()
    with pytest.raises(AudioError) as caught:
        AudioCache(tmp_path / "file").get(b"midi", OPTIONS)
    assert str(caught.value).startswith(f"{tmp_path / 'file'}")
    assert "\n" not in str(caught.value)
