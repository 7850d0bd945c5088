"""From MIDI bytes to a file with sound: in process, beside the `fluidsynth -F` command.

Both render the same 45 s reel, played by the fiddle, with the same soundfont and library, one after
the other in each round, so that a busy machine is busy for both. Ours also measures and evens out
the loudness; the command adds reverb and chorus. The promise: at least three times faster by the
clock, to the same kind of file. Processor time tells more where other programs are running.
"""

import io
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import mido

import soundfonts
from abc_tools import encode, loudness, midi_events, synth
from abc_tools.audio import INSTRUMENTS, AudioOptions, render_audio

ROUNDS = 15
PROMISED_RATIO = 3.0
REEL_SECONDS = 45.0
EIGHTH_SECONDS = 0.15
RISE_AND_FALL = (62, 66, 69, 74, 76, 78, 76, 74, 73, 71, 69, 67, 66, 64, 62, 69)


def reel() -> bytes:
    """A MIDI file of eighth notes, its program that of the fiddle."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    tempo = mido.bpm2tempo(60 / (2 * EIGHTH_SECONDS))
    track.append(mido.MetaMessage("set_tempo", tempo=tempo))
    track.append(mido.Message("program_change", program=INSTRUMENTS["fiddle"]))
    for number in range(round(REEL_SECONDS / EIGHTH_SECONDS)):
        pitch = RISE_AND_FALL[number % len(RISE_AND_FALL)]
        track.append(mido.Message("note_on", note=pitch, velocity=90))
        track.append(mido.Message("note_off", note=pitch, time=240))
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


class Cost(NamedTuple):
    """Milliseconds by the clock, and of processor time, child processes included."""

    wall: float
    processor: float


def cost(work: Callable[[], object]) -> Cost:
    """Of one call."""
    processor, wall = _processor_seconds(), time.perf_counter()
    work()
    wall, processor = time.perf_counter() - wall, _processor_seconds() - processor
    return Cost(wall * 1000, processor * 1000)


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def medians(works: dict[str, Callable[[], object]]) -> dict[str, Cost]:
    """Median cost of each, measured in turn; the first round only warms up.

    Each round starts with another one, so that none always follows the same neighbour.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    names = list(works)
    for number in range(ROUNDS + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            costs[name].append(cost(works[name]))
    return {
        name: Cost(*(statistics.median(column) for column in zip(*measured[1:], strict=True)))
        for name, measured in costs.items()
    }


def main() -> None:
    """Prints both tables: beside the command, and where our time goes."""
    midi, font = reel(), soundfonts.find()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "reel.mid"), Path(folder, "reel.wav")
        source.write_bytes(midi)
        command = ["fluidsynth", "-ni", "-r", "44100", "-F", str(target), str(font), str(source)]
        works: dict[str, Callable[[], object]] = {
            f"render_audio, {format}": partial(
                render_audio, midi, AudioOptions(format=format, soundfont=font)
            )
            for format in ("wav", "flac", "ogg", "mp3")
        }
        if shutil.which("fluidsynth"):
            works["fluidsynth -F, wav"] = partial(
                subprocess.run, command, check=True, capture_output=True
            )
        found = medians(works)
    print(f"audio: {REEL_SECONDS:.0f} s of reel, {font.name}, median of {ROUNDS} rounds")
    for name, (wall, processor) in found.items():
        faster = REEL_SECONDS * 1000 / wall
        print(
            f"  {name:<20} {wall:6.0f} ms {faster:6.0f} x real time {processor:6.0f} ms processor"
        )
    ours, theirs = found["render_audio, wav"], found.get("fluidsynth -F, wav")
    if theirs:
        ratio = theirs.wall / ours.wall
        verdict = "kept" if ratio >= PROMISED_RATIO else "MISSED"
        print(
            f"  ratio of the two wav rows: {ratio:.1f} by the clock,"
            f" {theirs.processor / ours.processor:.1f} in processor time"
            f" (promised: {PROMISED_RATIO} by the clock): {verdict}"
        )
    else:
        print("  the fluidsynth command is not installed: sudo apt-get install fluidsynth")
    print_stages(midi, font)


def print_stages(midi: bytes, font: Path) -> None:
    """Processor time of each stage, for the page's format and for downloads."""
    renderer, program = synth.load_synth(), INSTRUMENTS["fiddle"]
    events = midi_events.read_events(midi)
    for format in ("flac", "mp3"):
        wanted_hz = encode.preferred_rate_hz(format)
        frames, rate_hz = renderer.render(events, program, font, wanted_hz)
        found = medians(
            {
                "read": partial(midi_events.read_events, midi),
                renderer.name: partial(renderer.render, events, program, font, wanted_hz),
                "loudness": partial(loudness.normalising_gain, frames, rate_hz),
                "encode": partial(encode.encode, frames, rate_hz, format),
            }
        )
        stages = ", ".join(f"{name} {one.processor:.0f}" for name, one in found.items())
        print(f"  {format} at {rate_hz} Hz, processor ms: {stages}")


if __name__ == "__main__":
    main()
