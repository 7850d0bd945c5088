"""Pairs without a model, for the tests of the Rate page: printed tunes with a few notes changed."""

import random
import re
import secrets
import threading

from fake_source import BOOK

from abc_tools import canonical_text, parse_tune, split_tunes
from prefs.pair_maker import NewPair
from prefs.records import Pair, TuneRecord
from ui.source import SourceError

TUNES = [canonical_text(parse_tune(tune), plain=True) for tune in split_tunes(BOOK)][:2]


def changed(abc: str, rng: random.Random) -> str:
    """The tune with notes changed after its second bar line; titles stay, to be hidden."""
    text = list(abc)
    body = re.search(r"(?m)^K:.*$", abc).end()
    bars = [match.end() for match in re.finditer(r"\|", abc) if match.start() > body]
    notes = [place for place in range(bars[3], len(text)) if text[place] in "ABFG"]
    for place in rng.sample(notes, min(6, len(notes))):
        text[place] = rng.choice("ABFG")
    return "".join(text)


class BookPairs:
    """Implements ui.pair_source.PairSource. `held`: nothing is drawn until `gate.set()`."""

    def __init__(self, rivals: tuple[str, str] | None = None, held: bool = False) -> None:
        self.rivals = rivals
        self.error: SourceError | None = None
        self.rng = random.Random(7)
        self.gate = threading.Event()
        self.drawn = 0
        if not held:
            self.gate.set()

    def learning_pair(self) -> NewPair:
        return self.pair("learning", ("base", "base"))

    def evaluation_pair(self) -> NewPair:
        models = list(self.rivals)
        self.rng.shuffle(models)
        return self.pair("evaluation", models)

    def pair(self, kind, models) -> NewPair:
        assert self.gate.wait(timeout=20)
        if self.error is not None:
            raise self.error
        self.drawn += 1
        abc = self.rng.choice(TUNES)
        tunes = [
            TuneRecord(
                id=secrets.token_hex(6),
                abc=changed(abc, self.rng).replace("T:", f"T:{model} {kind} {self.drawn} "),
                model=model,
                seed=self.drawn,
                created=f"2026-11-24T10:00:{self.drawn:06}",
            )
            for model in models
        ]
        pair = Pair(
            id=secrets.token_hex(8),
            first=tunes[0].id,
            second=tunes[1].id,
            kind=kind,
            options={"first_draw_sound": [True, True]},
            created=f"2026-11-24T10:00:{self.drawn:06}",
        )
        return NewPair(pair, *tunes)
