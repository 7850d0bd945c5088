"""Tunes without a model, for the tests of the page: printed ones with a few notes changed."""

import random
import re
import threading
from pathlib import Path

from abc_tools import canonical_text, parse_tune, split_tunes
from ui.choices import Choices
from ui.source import Known, NoModel, SourceError

BOOK = (Path(__file__).parent / "tiny_corpus.abc").read_text(encoding="utf-8")
assert "X:5" in BOOK

KNOWN = Known(("reel", "jig", "polka", "waltz"), ("4/4", "6/8", "2/4", "3/4"), ("D", "G", "Ador"))


class BookSource:
    """Implements ui.source.TuneSource. `calls` lists what was asked for; `error` is raised if set.

    With `held` set, every write waits until `gate.set()`.
    """

    name = "book"

    def __init__(self, known: Known = KNOWN, held: bool = False) -> None:
        self.known = known
        self.calls: list[tuple[Choices, int]] = []
        self.error: SourceError | None = None
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def load(self) -> None:
        if isinstance(self.error, NoModel):
            raise self.error

    def write(self, choices: Choices, seed: int) -> str:
        self.calls.append((choices, seed))
        assert self.gate.wait(timeout=20)
        if self.error is not None:
            raise self.error
        rng = random.Random(f"{seed} {choices.without_seed()}")
        tunes = [canonical_text(parse_tune(tune), title=False) for tune in split_tunes(BOOK)]
        fitting = [t for t in tunes if choices.rhythm is None or f"R:{choices.rhythm}\n" in t]
        text = list(rng.choice(fitting or tunes))
        body = re.search("(?m)^K:.*$", "".join(text)).end()
        notes = [place for place in range(body, len(text)) if text[place] in "ABFG"]
        for place in rng.sample(notes, 3):
            text[place] = rng.choice("ABFG")
        return "".join(text)

    def tweak(self, abc: str, seed: int) -> str:
        """One more note is another."""
        if self.error is not None:
            raise self.error
        plain = canonical_text(parse_tune(abc), title=False)
        place = max(plain.rindex(note) for note in "ABFG" if note in plain)
        return plain[:place] + ("A" if plain[place] != "A" else "B") + plain[place + 1 :]
