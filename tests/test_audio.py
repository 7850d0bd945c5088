"""From MIDI to the bytes of a file: formats, exactness, repeatability, and what may be missing."""

import ctypes.util
import hashlib
import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_signals import empty_soundfont, onset_delays_ms, peak_dbfs, reel, spaced_notes

import soundfonts
from abc_tools import synth
from abc_tools.__main__ import main
from abc_tools.audio import AudioError, AudioOptions, render_audio
from abc_tools.encode import OGG_SERIAL, TABLE, decode, encode, ogg_checksum
from abc_tools.loudness import integrated_loudness

FONT = soundfonts.pretty_midi_font()
ROOT = Path(__file__).resolve().parent.parent
FORMATS = tuple(TABLE)


@pytest.fixture
def fresh_loader():
    synth.load_synth.cache_clear()
    yield
    synth.load_synth.cache_clear()


@pytest.fixture
def without_fluidsynth(monkeypatch, fresh_loader):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)


def run_python(code, *arguments, **environment):
    path = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=path,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_is_what_its_format_says_with_one_channel_and_half_a_second_more(format):
    data = render_audio(reel(3.0), AudioOptions("fiddle", format, FONT))
    info = soundfile.info(io.BytesIO(data))
    assert info.format == TABLE[format][0]
    assert info.channels == 1
    assert info.duration == pytest.approx(3.5, abs=0.01)
    frames, rate_hz = decode(data)
    assert integrated_loudness(frames, rate_hz) == pytest.approx(-20.0, abs=0.2)
    assert peak_dbfs(frames) <= -1.0


@pytest.mark.parametrize("format", FORMATS)
def test_decoding_moves_a_click_by_less_than_a_millisecond(format):
    rate_hz = TABLE[format][2]
    frames = np.zeros(2 * rate_hz, dtype=np.float32)
    frames[rate_hz : rate_hz + rate_hz // 500] = 0.5
    decoded, decoded_rate_hz = decode(encode(frames, rate_hz, format))
    assert decoded_rate_hz == rate_hz
    first = np.flatnonzero(np.abs(decoded) > 0.25)[0]
    assert abs(first / rate_hz - 1.0) < 0.001


def test_two_processes_make_the_same_bytes_in_every_format(tmp_path):
    midi = tmp_path / "reel.mid"
    midi.write_bytes(reel(2.0))
    code = (
        "import hashlib, sys; from pathlib import Path\n"
        "from abc_tools.audio import AudioOptions, render_audio\n"
        "midi = Path(sys.argv[1]).read_bytes()\n"
        "for name in sys.argv[3:]:\n"
        "    data = render_audio(midi, AudioOptions('harp', name, sys.argv[2]))\n"
        "    print(hashlib.sha256(data).hexdigest())\n"
    )
    done = run_python(code, midi, FONT, *FORMATS)
    assert done.stderr == ""
    here = [
        hashlib.sha256(render_audio(reel(2.0), AudioOptions("harp", name, FONT))).hexdigest()
        for name in FORMATS
    ]
    assert done.stdout.split() == here


def test_an_ogg_stream_has_a_fixed_serial_number_and_right_checksums():
    data = encode(np.zeros(100_000, dtype=np.float32), 44_100, "ogg")
    pages = ["OggS" + part for part in data.decode("latin-1").split("OggS")[1:]]
    assert len(pages) > 2
    for text in pages:
        page = bytearray(text.encode("latin-1"))
        serial, checksum = struct.unpack("<I4xI", page[14:26])
        assert serial == OGG_SERIAL
        page[22:26] = bytes(4)
        assert ogg_checksum(page) == checksum


def test_the_checksum_is_the_one_that_libogg_writes():
    out = io.BytesIO()
    soundfile.write(out, np.zeros(1000), 44_100, format="OGG", subtype="VORBIS")
    first_page = bytearray(out.getvalue()[:58])  # the identification header always has 30 bytes
    written = struct.unpack("<I", first_page[22:26])[0]
    first_page[22:26] = bytes(4)
    assert ogg_checksum(first_page) == written


def test_twice_the_tempo_and_a_later_start_move_the_onsets():
    onsets, midi = spaced_notes(count=6, spacing_seconds=1.0, length_seconds=0.5)
    options = AudioOptions("banjo", "wav", FONT, tempo_factor=2.0, start_seconds=onsets[2])
    frames, rate_hz = decode(render_audio(midi, options))
    assert len(frames) / rate_hz == pytest.approx((5.5 - 2.0) / 2 + 0.5, abs=0.01)
    delays = onset_delays_ms(frames, rate_hz, [0.0, 0.5, 1.0, 1.5])
    assert max(delays) <= 25
    silence_before_second = frames[round(0.47 * rate_hz) : round(0.495 * rate_hz)]
    assert np.abs(silence_before_second).max() < 0.1 * np.abs(frames).max()


def test_the_end_fades_into_silence():
    frames, rate_hz = decode(render_audio(reel(1.0), AudioOptions("harp", "wav", FONT)))
    assert np.abs(frames[-round(0.002 * rate_hz) :]).max() < 0.002


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"instrument": "kazoo"},
            "no instrument 'kazoo'; choose fiddle, flute, accordion, harp, banjo, guitar, pipes,"
            " whistle",
        ),
        ({"format": "mp4"}, "no audio format 'mp4'; choose mp3, ogg, flac, wav"),
        ({"tempo_factor": 0.0}, "tempo factor 0.0; choose one from 0.25 to 4.0"),
        ({"tempo_factor": float("nan")}, "tempo factor nan; choose one from 0.25 to 4.0"),
        ({"start_seconds": -1.0}, "start at -1.0 s; choose 0 or more"),
    ],
)
def test_options_that_do_not_exist_are_refused_with_the_ones_that_do(options, message):
    with pytest.raises(AudioError) as caught:
        AudioOptions(**options)
    assert str(caught.value) == message


def test_a_missing_soundfont_is_named():
    with pytest.raises(AudioError, match=r"^/nowhere/Font\.sf2: no such soundfont; install it"):
        render_audio(reel(1.0), AudioOptions(soundfont="/nowhere/Font.sf2"))


def test_a_soundfont_with_damaged_insides_is_refused_and_nothing_else_is_printed(tmp_path, capfd):
    whole = FONT.read_bytes()
    font = tmp_path / "damaged.sf2"
    font.write_bytes(whole[:200] + bytes(len(whole) - 200))
    with pytest.raises(AudioError) as caught:
        render_audio(reel(1.0), AudioOptions(soundfont=font))
    assert str(caught.value) == (
        f"{font}: damaged soundfont, its lists are not in place;"
        " install it again or name another .sf2 or .sf3"
    )
    assert capfd.readouterr() == ("", "")


def test_a_soundfont_that_only_the_synthesizer_finds_damaged_is_refused_too(tmp_path):
    whole = FONT.read_bytes()
    presets = whole.rindex(b"phdr")
    font = tmp_path / "damaged.sf2"
    font.write_bytes(whole[: presets + 4] + bytes(len(whole) - presets - 4))
    with pytest.raises(AudioError) as caught:
        render_audio(reel(1.0), AudioOptions(soundfont=font))
    assert str(caught.value).startswith(f"{font}: ")
    assert "\n" not in str(caught.value)


def test_without_the_c_library_midirenderer_plays_the_same_tune(without_fluidsynth):
    assert synth.load_synth().name == "midirenderer"
    onsets, midi = spaced_notes()
    for instrument in ("fiddle", "banjo"):
        frames, rate_hz = decode(render_audio(midi, AudioOptions(instrument, "wav", FONT)))
        assert rate_hz == 48_000
        assert len(frames) / rate_hz == pytest.approx(onsets[-1] + 0.75, abs=0.01)
        assert integrated_loudness(frames, rate_hz) == pytest.approx(-20.0, abs=1.0)
        assert peak_dbfs(frames) <= -1.0
        assert max(onset_delays_ms(frames, rate_hz, onsets)) <= 60


@pytest.mark.parametrize("format", FORMATS)
def test_midirenderer_makes_the_same_bytes_each_time(without_fluidsynth, format):
    options = AudioOptions("flute", format, FONT)
    assert render_audio(reel(1.0), options) == render_audio(reel(1.0), options)


def test_midirenderer_refuses_a_compressed_font_in_one_line(without_fluidsynth, tmp_path):
    font = tmp_path / "small.sf3"
    font.write_bytes(empty_soundfont(version=3))
    with pytest.raises(AudioError, match=r"small\.sf3: midirenderer cannot use it \(SoundFont"):
        render_audio(reel(1.0), AudioOptions(soundfont=font))


def test_without_any_synthesizer_the_error_names_the_packages(without_fluidsynth, monkeypatch):
    monkeypatch.setitem(sys.modules, "midirenderer", None)
    with pytest.raises(AudioError) as caught:
        render_audio(reel(1.0), AudioOptions(soundfont=FONT))
    assert str(caught.value) == (
        "no sound library. Install one: sudo apt-get install libfluidsynth3"
        " | sudo dnf install fluidsynth-libs | brew install fluid-synth | pip install midirenderer"
    )


def test_without_any_synthesizer_the_command_ends_with_that_one_line(
    without_fluidsynth, monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(sys.modules, "midirenderer", None)
    tune, out = tmp_path / "tune.abc", tmp_path / "tune.flac"
    tune.write_text("X:1\nT:t\nM:4/4\nL:1/8\nK:G\nGABc dedB|G8|]\n")
    assert main(["audio", str(tune), "-o", str(out)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("abc_tools: no sound library. Install one: sudo apt-get install")
    assert told.count("\n") == 1 and not out.exists()


def test_a_machine_without_libfluidsynth_falls_back():
    # The real pyfluidsynth, where the search of ctypes for the C library finds nothing.
    code = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "from abc_tools.synth import load_synth; print(load_synth().name)"
    )
    assert run_python(code).stdout == "midirenderer\n"


@pytest.mark.skipif(not ctypes.util.find_library("fluidsynth"), reason="no libfluidsynth here")
def test_fluidsynth_is_preferred_and_prints_nothing_even_where_pyfluidsynth_would(tmp_path):
    code = "from abc_tools.synth import load_synth; assert load_synth().name == 'fluidsynth'"
    done = run_python(code, CI="true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_threads_that_begin_at_once_leave_standard_output_as_it_was():
    code = """
import sys, threading
from abc_tools.synth import _import_fluidsynth
before, start = sys.stdout, threading.Barrier(8)
def load():
    start.wait()
    for _ in range(2000):
        try:
            _import_fluidsynth()
        except ImportError:
            pass
threads = [threading.Thread(target=load) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(0 if sys.stdout is before else 1)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_importing_the_audio_module_loads_no_library():
    code = (
        "import sys, abc_tools.audio\n"
        "heavy = {'numpy', 'mido', 'soundfile', 'fluidsynth', 'midirenderer', 'soundfonts'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    assert run_python(code).stdout == "[]\n"
