"""Where fonts are found, in which order, and what is said of missing and damaged ones."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from audio_signals import empty_soundfont

import soundfonts
from soundfonts import SoundfontError, registry

ROOT = Path(__file__).resolve().parent.parent
REPAIR = "install it again or name another .sf2 or .sf3"


@pytest.fixture
def font(tmp_path):
    path = tmp_path / "given.sf2"
    path.write_bytes(empty_soundfont())
    return path


def message(function, *arguments, **options):
    with pytest.raises(SoundfontError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_given_font_comes_before_the_one_in_the_environment(font, tmp_path):
    other = tmp_path / "other.sf2"
    other.write_bytes(empty_soundfont())
    environ = {"MUSICGEN_SOUNDFONT": str(other)}
    assert soundfonts.find(environ=environ) == other
    assert soundfonts.find(font, environ=environ) == font
    assert soundfonts.find(str(font), environ=environ) == font


def test_the_name_of_the_font_decides_before_the_folder(tmp_path):
    near, far = tmp_path / "near", tmp_path / "far"
    for folder, name in ((near, "FluidR3_GM.sf2"), (near, "default-GM.sf2"), (far, "TimGM6mb.sf2")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(empty_soundfont())
    found = soundfonts.find(environ={}, folders=[near, far])
    assert found == far / "TimGM6mb.sf2"
    found.unlink()
    assert soundfonts.find(environ={}, folders=[near, far]) == near / "default-GM.sf2"


def test_a_damaged_font_that_nobody_asked_for_is_passed_over(tmp_path):
    (tmp_path / "TimGM6mb.sf2").write_bytes(b"RIFF")
    (tmp_path / "FluidR3_GM.sf2").write_bytes(empty_soundfont())
    assert soundfonts.find(environ={}, folders=[tmp_path]) == tmp_path / "FluidR3_GM.sf2"


def test_fonts_with_ogg_samples_can_be_left_out(tmp_path):
    # On Debian a link named .sf3 may lead to a plain .sf2: the content counts, not the name.
    (tmp_path / "FluidR3Mono_GM.sf3").write_bytes(empty_soundfont(version=3))
    (tmp_path / "default-GM.sf3").write_bytes(empty_soundfont(version=2))
    plain = soundfonts.find(environ={}, folders=[tmp_path], compressed=False)
    assert plain == tmp_path / "default-GM.sf3"
    assert soundfonts.find(environ={}, folders=[tmp_path]) == tmp_path / "FluidR3Mono_GM.sf3"


def test_where_no_font_is_found_the_message_says_how_to_get_one(tmp_path):
    assert message(soundfonts.find, environ={}, folders=[tmp_path]) == (
        "no soundfont found. Install one: sudo apt-get install timgm6mb-soundfont"
        " | sudo dnf install fluid-soundfont-gm | pip install pretty_midi"
        " (or set MUSICGEN_SOUNDFONT to a General MIDI .sf2 file)"
    )


def test_a_missing_font_is_named_with_its_origin():
    missing = "/nowhere/Font.sf2"
    assert message(soundfonts.find, missing) == f"{missing}: no such soundfont; {REPAIR}"
    assert message(soundfonts.find, environ={"MUSICGEN_SOUNDFONT": missing}) == (
        f"{missing}: no such soundfont (from MUSICGEN_SOUNDFONT); {REPAIR}"
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a soundfont (no RIFF sfbk header)"),
        (b"X:1\nT:a tune, not a font\nK:D\n", "not a soundfont (no RIFF sfbk header)"),
        (b"RIFF\x04\x00\x00\x00WAVE", "not a soundfont (no RIFF sfbk header)"),
        (empty_soundfont()[:-7], "damaged soundfont, 53 of 60 bytes"),
        (empty_soundfont().replace(b"pdta", b"atdp"), "damaged soundfont, its lists are not in"),
        (b"RIFF\x04\x00\x00\x00sfbk", "damaged soundfont, its lists are not in place"),
        (b"RIFF\x18\x00\x00\x00sfbk" + b"LIST\xff\xff\xff\xffINFO" + bytes(8), "damaged soundfont"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, content, complaint):
    path = tmp_path / "font.sf2"
    path.write_bytes(content)
    assert message(soundfonts.check, path).startswith(f"{path}: {complaint}")


def test_a_folder_is_no_font(tmp_path):
    assert message(soundfonts.check, tmp_path).startswith(f"{tmp_path}: cannot be read (")


def test_the_font_of_the_pretty_midi_wheel_is_found_without_importing_it():
    code = (
        "import sys, soundfonts; font = soundfonts.pretty_midi_font(); soundfonts.check(font)\n"
        "print(font.name, 'pretty_midi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "TimGM6mb.sf2 False\n", done.stderr
    assert soundfonts.pretty_midi_font() in registry.candidates({})


def test_a_known_font_is_recognised_by_its_bytes_and_a_changed_one_is_not(tmp_path):
    original = soundfonts.pretty_midi_font()
    known = soundfonts.identify(original)
    assert (known.name, known.licence) == ("TimGM6mb", "GPL-2")
    assert known.sha256 == hashlib.sha256(original.read_bytes()).hexdigest()
    changed = tmp_path / "TimGM6mb.sf2"
    changed.write_bytes(original.read_bytes()[:-1] + b"\x01")
    assert soundfonts.identify(changed) is None


def test_the_read_me_lists_every_known_font():
    text = (ROOT / "soundfonts" / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    described = {tuple(cell.strip(" `") for cell in row.strip("|").split("|"))[:5] for row in rows}
    expected = {
        (font.name, font.licence, font.source, f"{font.size_bytes:,}", font.sha256)
        for font in soundfonts.KNOWN_FONTS
    }
    assert described == expected
