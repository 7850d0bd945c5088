"""abc2midi as a second opinion, on hundreds of printed tunes.

Both get the same notes to read: what says nothing about written pitch and rhythm is taken out, and
so are the tunes on which abc2midi is known to differ from the standard (see `known_difference`).
"""

import io
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import mido
import pytest
from test_abc_corpus import corpus_tunes

from abc_tools import parse_tune, unfold
from abc_tools.structure import sections
from abc_tools.tune import Tune

STEP = 20
A_MOMENT = Fraction(1, 14)  # of a quarter: abc2midi sets the notes of a chord off one by one


def bare(text: str) -> str:
    """The tune without titles, decorations, graces, slurs and texts, its folded lines joined."""
    lines = []
    in_body = False
    for line in text.split("\n"):
        line = re.sub(r"(?<!\\)%.*", "", line)
        if not line.strip():
            continue
        field = re.match(r"\s*([A-Za-z])\s*:(?![|:])", line)
        if field:
            if field[1] in "XMLKPV" and not (field[1] == "X" and in_body):
                lines.append(f"{field[1]}:{line.partition(':')[2].strip()}")
            in_body = in_body or field[1] == "K"
            continue
        line = re.sub(r'"[^"]*"|![^!|\s]*!|\{[^}]*\}', "", line)
        line = re.sub(
            r"\[[A-Za-z]:[^\]]*\]|[`~.HTuvkMLOPSRJ!]",
            lambda match: match[0] if match[0][0] == "[" else "",
            line,
        )
        lines.append(re.sub(r"\((?!\d)|\)", "", line))
    return re.sub(r"\\\s*\n\s*", "", "\n".join(lines)) + "\n"


def known_difference(tune: Tune, text: str) -> str:
    """Why abc2midi plays a tune otherwise than the standard, or "" if no reason is known."""
    body = text.partition("\nK:")[2]
    closed_twice = any(
        len(section.endings) > 1 and tune.bars[section.end - 1].closes
        for section in sections(tune.bars)
    )
    reasons = {
        "several voices": len(tune.voices) > 1,
        "faulty text": any(
            one.severity == "error" or "stray" in one.code for one in tune.diagnostics
        ),
        "broken rhythm of unequal notes is refused": unequal_broken_rhythm(body),
        "(5 (7 (9 count three beats in three-four time": (
            tune.meter.numerator == 3 and re.search(r"\([579]", body)
        ),
        "a second ending closed by :| gets a third pass": closed_twice,
        "repeats inside parts that P: orders": tune.part_order,
        "[|] is no barline, ||: no repeat": re.search(r"\[\|\]|\|\|:|\|:\|", body),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def unequal_broken_rhythm(body: str) -> bool:
    """Broken rhythm between notes of different lengths, or one sign after another."""
    pairs = re.findall(
        r"[A-Ga-gz][',]*([\d/]*)[)-]* *[<>]+ *[(]*[_^=]*[A-Ga-gz][',]*([\d/]*)", body
    )
    chain = re.search(r"[<>]+ *[_^=]*[A-Ga-gz][',\d/]* *[<>]", body)
    return bool(chain) or any(first != second for first, second in pairs)


def heard(path: Path) -> list[tuple[Fraction, int]]:
    """(onset in quarter notes, pitch) of all notes of a MIDI file."""
    file = mido.MidiFile(file=io.BytesIO(path.read_bytes()))
    notes = []
    for track in file.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity and message.channel != 9:
                notes.append((Fraction(now, file.ticks_per_beat), message.note))
    return together(notes)


def together(notes: list[tuple[Fraction, int]]) -> list[tuple[Fraction, int]]:
    """Notes that begin within a moment begin together; in order of onset and pitch."""
    start = Fraction(-1)
    found = []
    for onset, pitch in sorted(notes):
        if onset - start >= A_MOMENT:
            start = onset
        found.append((start, pitch))
    return sorted(found)


def test_abc2midi_hears_the_same_notes(abc2midi, tmp_path):
    compared = []
    for place, text in enumerate(corpus_tunes(STEP)):
        source = bare(text.text)
        tune = parse_tune(source)
        if not known_difference(parse_tune(text), source):
            path = tmp_path / f"{place}.abc"
            path.write_text(source, encoding="utf-8")
            compared.append((path, tune))
    assert len(compared) > 180

    def listen(path: Path) -> None:
        subprocess.run(
            [abc2midi, str(path), "-o", str(path.with_suffix(".mid"))],
            capture_output=True,
            timeout=60,
            check=False,
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(listen, [path for path, _ in compared]))
    differing = []
    for path, tune in compared:
        midi = path.with_suffix(".mid")
        theirs = heard(midi) if midi.exists() else []
        mine = together([(note.onset * 4, note.pitch) for note in unfold(tune).notes])
        same = len(mine) == len(theirs) and all(
            one[1] == other[1] and abs(one[0] - other[0]) < A_MOMENT
            for one, other in zip(mine, theirs, strict=True)
        )
        if not same:
            differing.append((tune.source[:40], len(mine), len(theirs)))
    assert differing == []


@pytest.mark.parametrize(
    "body",
    [
        "|:A|1B:|2c|]", "A||B:|c|", "A:|B||c:|", "|:A::B:|", "|:A|[1,3B:|[2,4c:|",
        "A|1B:|2c||d|1e:|2f|]", "A|1B:|2c||d:|", "|:A:|B|1c:|2d||e:|f:|",
        "^F4 f4 F8|F16|", "A8-|A8|", "A2>B2 c2<d2|", "(3ABc (5ABcde z2|", "[K:Dmix]c8 [M:6/8]f6|",
    ],
)  # fmt: skip
def test_abc2midi_agrees_on_small_things(abc2midi, tmp_path, body):
    source = f"X:1\nT:t\nM:4/4\nL:1/8\nK:C\n{body}\n"
    path = tmp_path / "x.abc"
    path.write_text(source, encoding="utf-8")
    subprocess.run(
        [abc2midi, str(path), "-o", str(tmp_path / "x.mid")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    theirs = heard(tmp_path / "x.mid")
    mine = [(note.onset * 4, note.pitch) for note in unfold(parse_tune(source)).notes]
    assert [pitch for _, pitch in mine] == [pitch for _, pitch in theirs]
    for (one, _), (other, _) in zip(mine, theirs, strict=True):
        assert abs(one - other) < Fraction(1, 30)
