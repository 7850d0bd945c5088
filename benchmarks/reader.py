"""From ABC text to MIDI: ours in process, beside abc2midi as a process and music21 in process.

The same 500 tunes of the printed books, 25 in each reader's turn, so a busy machine is busy for
all. Ours also checks each tune. The promises: a median of at most
1,000 microseconds a tune, three times faster than an abc2midi process, a hundred times faster than
music21.
"""

import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from abc_tools import AbcError, check_tune, decode_bytes, parse_tune, split_tunes, to_midi
from musicgen.corpus import CorpusConfig, source_files

TUNES = 500
TURN = 25  # tunes
PROMISED_MICROSECONDS = 1000
PROMISED_RATIOS = {"abc2midi, a process": 3.0, "music21": 100.0}


def tunes(count: int = TUNES) -> list[str]:
    """`count` readable tunes, spread evenly over the default books."""
    texts = [
        part.text
        for _, path in source_files(CorpusConfig(Path()))
        for part in split_tunes(decode_bytes(path.read_bytes()))
    ]
    spread = texts[:: len(texts) // (count + 20)]
    return [text for text in spread if _readable(text)][:count]


def _readable(text: str) -> bool:
    try:
        return bool(parse_tune(text).bars)
    except AbcError:
        return False


def ours(text: str) -> None:
    """Parse, check, write MIDI."""
    tune = parse_tune(text)
    check_tune(tune)
    to_midi(tune)


def abc2midi_reader(folder: Path) -> Callable[[str], None] | None:
    """abc2midi as its users call it: one process a tune, from file to file."""
    program = shutil.which("abc2midi")
    if program is None:
        return None
    source, target = folder / "tune.abc", folder / "tune.mid"

    def read(text: str) -> None:
        source.write_text(text, encoding="utf-8")
        subprocess.run([program, str(source), "-o", str(target)], capture_output=True, check=False)

    return read


def music21_reader(folder: Path) -> Callable[[str], None]:
    """music21's ABC reader and MIDI writer."""
    from music21 import converter

    def read(text: str) -> None:
        score = converter.parse(text, format="abc")
        score.write("midi", fp=folder / "music21.mid")

    return read


def main() -> None:
    """Prints the table; exits with 1 if a promise is broken."""
    texts = tunes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        readers: dict[str, Callable[[str], None]] = {"parse, check, MIDI (ours)": ours}
        if (abc2midi := abc2midi_reader(folder)) is not None:
            readers["abc2midi, a process"] = abc2midi
        readers["music21"] = music21_reader(folder)
        times: dict[str, list[float]] = {name: [] for name in readers}
        failures = dict.fromkeys(readers, 0)
        for text in texts[:5]:  # warm up
            ours(text)
        turns = [texts[first : first + TURN] for first in range(0, len(texts), TURN)]
        jobs = ((n, r, t) for turn in turns for n, r in readers.items() for t in turn)
        with warnings.catch_warnings():  # music21 warns of what it cannot read
            warnings.simplefilter("ignore")
            for name, read, text in jobs:
                start = time.perf_counter()
                try:
                    read(text)
                except Exception:  # a peer's reader fails in ways of its own: counted, not timed
                    if read is ours:
                        raise
                    failures[name] += 1
                    continue
                times[name].append((time.perf_counter() - start) * 1e6)

    medians = {name: statistics.median(values) for name, values in times.items()}
    first = next(iter(medians))
    print(f"{len(texts)} tunes, median microseconds a tune (mean; ratio of medians; failed)")
    kept = medians[first] <= PROMISED_MICROSECONDS
    for name, median in medians.items():
        ratio = median / medians[first]
        kept = kept and ratio >= PROMISED_RATIOS.get(name, 1.0)
        mean = statistics.mean(times[name])
        print(f"  {name:28}{median:>10.0f}  ({mean:.0f}; {ratio:.1f}x; {failures[name]})")
    promise = f"at most {PROMISED_MICROSECONDS} us, 3x abc2midi, 100x music21"
    print(f"promise: {promise} - {'kept' if kept else 'BROKEN'}")
    if not kept:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
