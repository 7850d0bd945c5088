"""Command line: `python -m abc_tools check|midi|audio|musicxml ...`; `--help` tells more.

Exit status of `check`: 0 fine or warnings only, 1 errors, 2 something could not be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from abc_tools.book import TuneText, decode_bytes, split_tunes
from abc_tools.checks import RANGES, check_tune
from abc_tools.errors import AbcError, Diagnostic
from abc_tools.midi import MidiOptions, play_seconds, to_midi
from abc_tools.parser import parse_tune
from abc_tools.repetition import Repetition, repetition
from abc_tools.tune import Tune

UNREADABLE = 2
MOST_TUNES = 10_000  # of one file


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; the exit status."""
    options = _arguments(arguments)
    try:
        return options.run(options)
    except (OSError, AbcError, _Refused) as error:
        print(f"abc_tools: {_one_line(error)}", file=sys.stderr)
        return UNREADABLE


class _Refused(Exception):
    """What was asked for cannot be done; the message says why."""


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m abc_tools", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="check|midi|audio|musicxml")

    check = commands.add_parser("check", help="report what is wrong or doubtful, and where")
    check.add_argument("paths", nargs="+", type=Path, metavar="FILE|DIR")
    check.add_argument("--json", action="store_true", help="one JSON object on standard output")
    check.add_argument(
        "--instrument", choices=RANGES, default="fiddle", help="whose range the notes must keep to"
    )
    check.set_defaults(run=_check)

    midi = commands.add_parser("midi", help="write a MIDI file, or one for each .abc of a folder")
    midi.add_argument("input", type=Path, metavar="FILE|DIR")
    midi.add_argument("-o", "--output", type=Path, required=True)
    midi.add_argument("--no-graces", action="store_true", help="leave grace notes out")
    midi.add_argument("--ornaments", action="store_true", help="play rolls, cuts and trills")
    midi.add_argument("--swing", action="store_true", help="swing hornpipes in even notes")
    midi.add_argument("--chords", action="store_true", help="play chord symbols")
    midi.add_argument("--tempo", type=float, help="quarters a minute instead of the tune's tempo")
    midi.set_defaults(run=_midi)

    audio = commands.add_parser("audio", help="render sound: .wav, .mp3, .ogg or .flac")
    audio.add_argument("input", type=Path, metavar="FILE")
    audio.add_argument("-o", "--output", type=Path, required=True)
    audio.add_argument("--instrument", default="fiddle")
    audio.add_argument("--soundfont", type=Path)
    audio.add_argument("--speed", type=float, default=1.0, help="2 plays twice as fast")
    audio.add_argument("--start", type=float, default=0.0, help="seconds to leave out")
    audio.set_defaults(run=_audio)

    musicxml = commands.add_parser("musicxml", help="write MusicXML")
    musicxml.add_argument("input", type=Path, metavar="FILE")
    musicxml.add_argument("-o", "--output", type=Path, required=True)
    musicxml.set_defaults(run=_musicxml)
    return parser.parse_args(arguments)


# --- check ---


@dataclass(frozen=True)
class FileReport:
    """All that `check` says about one file; sums and the worst loop over its tunes."""

    path: str
    diagnostics: list[Diagnostic]
    bars: int
    seconds: float
    loop: Repetition
    unreadable: bool

    def as_json(self) -> dict[str, object]:
        """The shape that the contract fixes (design.md, section 4)."""
        return {
            "path": self.path,
            "diagnostics": [
                {
                    "severity": one.severity,
                    "line": one.line,
                    "column": one.column,
                    "code": one.code,
                    "message": one.message,
                }
                for one in self.diagnostics
            ],
            "bars": self.bars,
            "seconds": round(self.seconds, 3),
            "degenerate": {
                "flag": self.loop.degenerate,
                "score": self.loop.score,
                "where": list(self.loop.where)
                if self.loop.degenerate and self.loop.where
                else None,
            },
        }


def check_file(path: Path, instrument: str = "fiddle") -> FileReport:
    """Read, check and measure every tune of a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        return _unreadable(path, Diagnostic("error", 1, 1, "unreadable", message))
    return check_text(str(path), decode_bytes(data), instrument)


def check_text(path: str, text: str, instrument: str = "fiddle") -> FileReport:
    """The report of a text under the name of its file."""
    found: list[Diagnostic] = []
    loop = Repetition(0.0, False, None)
    bars, seconds, read = 0, 0.0, 0
    tune_texts = split_tunes(text) or [TuneText(text)]
    for tune_text in tune_texts[:MOST_TUNES]:
        try:
            tune = parse_tune(tune_text)
        except AbcError as error:
            found.append(_fatal(error, tune_text))
            continue
        read += 1
        found += check_tune(tune, instrument)
        bars += len(tune.bars)
        seconds += play_seconds(tune)
        loop = max(loop, repetition(tune), key=lambda one: one.score)
    if len(tune_texts) > MOST_TUNES:
        line = tune_texts[MOST_TUNES].line
        message = f"the file has over {MOST_TUNES} tunes; the rest is not read: split the file"
        found.append(Diagnostic("error", line, 1, "too-long", message))
    return FileReport(path, found, bars, seconds, loop, unreadable=not read)


def _fatal(error: AbcError, text: TuneText) -> Diagnostic:
    """The error of a text that is no tune, shown at its first line."""
    first_line = text.text.strip().split("\n")[0][:60]
    return Diagnostic(
        "error", error.line, error.column, error.code, error.message, source_line=first_line
    )


def _unreadable(path: Path, diagnostic: Diagnostic) -> FileReport:
    return FileReport(str(path), [diagnostic], 0, 0.0, Repetition(0.0, False, None), True)


def _check(options: argparse.Namespace) -> int:
    reports = [check_file(path, options.instrument) for path in _abc_files(options.paths)]
    if options.json:
        json.dump({"files": [report.as_json() for report in reports]}, sys.stdout)
        print()
    else:
        for report in reports:
            for diagnostic in report.diagnostics:
                print(diagnostic.format(report.path))
        errors = sum(one.severity == "error" for report in reports for one in report.diagnostics)
        warnings = sum(len(report.diagnostics) for report in reports) - errors
        print(f"{len(reports)} files, {errors} errors, {warnings} warnings")
    if any(report.unreadable for report in reports):
        return UNREADABLE
    return int(any(one.severity == "error" for report in reports for one in report.diagnostics))


def _abc_files(paths: list[Path]) -> list[Path]:
    """Files as named, and every .abc file inside the folders."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(found for found in path.rglob("*.abc") if found.is_file())
            if not inside:
                raise _Refused(f"{path}: no .abc file in this folder")
            files += inside
        else:
            files.append(path)
    return files


# --- other formats ---


def _first_tune(path: Path) -> Tune:
    tunes = split_tunes(decode_bytes(path.read_bytes()))
    if not tunes:
        raise _Refused(f"{path}: no tune here")
    try:
        return parse_tune(tunes[0])
    except AbcError as error:
        raise _Refused(f"{path}:{error}") from None


def _midi(options: argparse.Namespace) -> int:
    if options.tempo is not None and not 5 <= options.tempo <= 1000:
        raise _Refused(f"--tempo {options.tempo:g}: expected 5 to 1000 quarters a minute")
    how = MidiOptions(
        graces=not options.no_graces,
        ornaments=options.ornaments,
        swing=options.swing,
        chords=options.chords,
        tempo=options.tempo,
    )
    if not options.input.is_dir():
        options.output.write_bytes(to_midi(_first_tune(options.input), how).data)
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    failed = 0
    for path in sorted(options.input.glob("*.abc")):
        try:
            data = to_midi(_first_tune(path), how).data
        except (OSError, _Refused) as error:
            print(f"abc_tools: {_one_line(error)}", file=sys.stderr)
            failed += 1
            continue
        (options.output / f"{path.stem}.mid").write_bytes(data)
    return UNREADABLE if failed else 0


def _audio(options: argparse.Namespace) -> int:
    # Audio libraries are loaded only for those who ask for sound.
    from abc_tools.audio import AudioError, AudioOptions, render_audio

    midi = to_midi(_first_tune(options.input), MidiOptions(swing=True, ornaments=True, chords=True))
    try:
        wanted = AudioOptions(
            instrument=options.instrument,
            format=options.output.suffix.lstrip(".").lower(),
            soundfont=options.soundfont,
            tempo_factor=options.speed,
            start_seconds=options.start,
        )
        options.output.write_bytes(render_audio(midi.data, wanted))
    except AudioError as error:
        raise _Refused(str(error)) from None
    return 0


def _musicxml(options: argparse.Namespace) -> int:
    # music21 takes seconds to import.
    from abc_tools.musicxml import to_musicxml

    options.output.write_text(to_musicxml(_first_tune(options.input)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
