"""`musicgen tweak`: a given tune with some of its bars drawn anew."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ui.home import default_home


@dataclass(frozen=True)
class TweakOptions:
    """Vary each tune of a file: some bars are written anew, the others stay note for note."""

    file: tyro.conf.Positional[Path]  # an .abc file
    bars: str | None = None  # which, as written, the pick-up bar being one: 5-8 or 3,4,7
    share: float = 0.25  # of the bars, where --bars does not say which
    model: str = "base"  # name or folder
    temperature: float | None = None  # default: the serving default
    seed: int = 0  # the same seed gives the same bars
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    home: Path = field(default_factory=default_home)


def tweak(args: Sequence[str]) -> int:
    options = tyro.cli(TweakOptions, prog="musicgen tweak", args=args)
    from abc_tools import decode_bytes, parse_tune, split_tunes
    from musicgen.checkpoint import find_model
    from musicgen.sample import TEMPERATURE, SampleOptions, TuneSampler
    from musicgen.tweak import read_bars
    from musicgen.tweak import tweak as vary

    texts = split_tunes(decode_bytes(options.file.read_bytes()))
    tunes = [parse_tune(text) for text in texts]
    bars = read_bars(options.bars) if options.bars is not None else ()
    temperature = TEMPERATURE if options.temperature is None else options.temperature
    how = SampleOptions(temperature=temperature, seed=options.seed)
    sampler = TuneSampler.load(find_model(options.model, options.home))
    found = [vary(sampler, tune, how, bars=bars, share=options.share).abc for tune in tunes]
    text = "\n".join(
        abc.replace("X:1\n", f"X:{number}\n", 1) for number, abc in enumerate(found, start=1)
    )
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    return 0
