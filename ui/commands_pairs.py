"""`musicgen pairs`: blind pairs in a file, to be rated anywhere; they are stored here as well."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ui.home import default_home

if TYPE_CHECKING:
    import numpy as np

    from prefs.pair_maker import NewPair
    from prefs.store import Store


@dataclass(frozen=True)
class PairsOptions:
    """Draw pairs of tunes to vote on; the file names no model.

    One model (or the same twice): learning pairs, which begin alike. Two models: evaluation pairs.
    """

    models: list[str]  # one or two names or folders
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 10  # how many pairs
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None  # default: the terminal
    learning: bool = False  # of two models: learning pairs
    informative: bool = False  # draw four times as many and take those that teach most
    adversarial: str | None = None  # a retraining: tunes that its reward model may be wrong about
    seed: int | None = None  # for the same pairs again; default: new ones
    home: Path = field(default_factory=default_home)


CANDIDATES = 4  # drawn for each informative pair


def pairs(args: Sequence[str]) -> int:
    """Runs `musicgen pairs`; raises errors whose message is written for the user, or OSError."""
    options = tyro.cli(PairsOptions, prog="musicgen pairs", args=args)
    if not 1 <= len(options.models) <= 2:
        print("musicgen pairs: give one or two models", file=sys.stderr)
        return 2
    if options.informative and len(options.models) == 2 and not options.learning:
        print(
            "musicgen pairs: evaluation pairs are drawn uniformly, or the comparison would be "
            "biased: leave --informative out, or add --learning",
            file=sys.stderr,
        )
        return 2
    if options.adversarial and (len(options.models) == 2 or options.informative):
        print("musicgen pairs: --adversarial takes one model, drawn anyhow", file=sys.stderr)
        return 2
    import numpy as np
    from tqdm import tqdm

    from musicgen.checkpoint import find_model
    from musicgen.sample import TuneSampler
    from prefs.database import database_url
    from prefs.json_files import write_json_lines
    from prefs.json_records import pair_json
    from prefs.pair_maker import PairMaker, new_pairs
    from prefs.store import open_store

    rng = np.random.default_rng(options.seed)
    makers = [
        PairMaker(TuneSampler.load(find_model(name, options.home)), name, rng)
        for name in dict.fromkeys(options.models)
    ]
    options.home.mkdir(parents=True, exist_ok=True)
    store = open_store(database_url(options.home))
    lines = []
    try:
        other = makers[1] if len(makers) == 2 else None
        drawn = options.n * (CANDIDATES if options.informative else 1)
        found = (
            _adversarial(options, drawn, rng)
            if options.adversarial
            else new_pairs(makers[0], other, drawn, learning=options.learning)
        )
        bar = tqdm(found, total=drawn, unit="pair", disable=drawn < 2 or None)
        for new in _informative(store, bar, options.n) if options.informative else bar:
            _add(store, new)
            lines.append(pair_json(new.pair, new.first, new.second))
    finally:
        store.close()
        if options.output is not None:
            write_json_lines(options.output, lines)
    if options.output is None:
        print("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    return 0


def _adversarial(options: PairsOptions, count: int, rng: np.random.Generator) -> Iterator[NewPair]:
    from musicgen.checkpoint import find_model, load_checkpoint
    from prefs.adversarial import adversarial_pairs
    from prefs.reward_model import RewardModel

    reward = RewardModel.load(options.home / "runs" / str(options.adversarial))
    base = load_checkpoint(find_model(options.models[0], options.home))
    return adversarial_pairs(base, reward, count, rng)


def _add(store: Store, new: NewPair) -> None:
    store.add_tunes([new.first, new.second])
    store.add_pairs([new.pair])


def _informative(store: Store, drawn: Iterable[NewPair], count: int) -> Iterator[NewPair]:
    """Those whose votes would teach most; all are stored, for the Rate page."""
    from prefs.informative import Informative

    candidates = list(drawn)
    for new in candidates:
        _add(store, new)
    chooser = Informative()
    while count and candidates:
        yield candidates.pop(chooser.choose(store, [new.pair for new in candidates]))
        count -= 1
