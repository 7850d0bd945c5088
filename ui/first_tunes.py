"""The tunes that play while the model loads on the very first visit; they come with the package.

python -m ui.first_tunes        write them anew, after the bundled model has changed
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path

from ui.choices import Choices
from ui.home import default_home
from ui.library import StoredTune, now, tune_id
from ui.playback import score, with_title
from ui.source import ModelSource, TuneSource
from ui.theme import STATIC

FIRST_TUNES = STATIC / "first_tunes.jsonl"
COUNT = 6
DANCES = {"reel", "jig", "slip jig", "hornpipe", "polka", "waltz"}


def first_tunes(path: Path = FIRST_TUNES) -> list[StoredTune]:
    """The tunes in the file, with titles; none if it is not there."""
    if not path.is_file():
        return []
    tunes = [StoredTune(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    return [replace(tune, abc=with_title(tune.abc)) for tune in tunes]


def write_first_tunes(source: TuneSource, path: Path = FIRST_TUNES, count: int = COUNT) -> None:
    """`count` tunes of the default choices, seeds from 0 on: dances, no two of a kind in a row."""
    rows: list[StoredTune] = []
    last = None
    for seed in itertools.count():
        abc = source.write(Choices(), seed)
        rhythm = score(abc).rhythm
        if rhythm in DANCES and rhythm != last:
            rows.append(StoredTune(tune_id(abc), abc, source.name, seed, {}, now()))
            last = rhythm
        if len(rows) == count:
            break
    text = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_first_tunes(ModelSource("base", default_home()))
