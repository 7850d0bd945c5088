"""Simulated raters vote on a file of pairs, as people would elsewhere:

    musicgen pairs --models base -n 100 -o pairs.jsonl
    python -m prefs.simulated_votes pairs.jsonl --taste busy -o votes.jsonl
    musicgen votes import votes.jsonl

The raters' noise is fixed on tunes of the bundled base model unless --tunes gives others. Every
vote names its rater "simulated-TASTE": no person is behind it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import tyro

from abc_tools import AbcError, passes_gate
from musicgen.checkpoint import CheckpointError, find_model, load_checkpoint
from musicgen.corpus import CorpusError
from musicgen.evaluate import read_tunes
from prefs.json_files import entries, readable, write_json_lines
from prefs.json_records import FormatError, Json, an_object, text, vote_json
from prefs.raters import Rater, RaterError, simulated_raters
from prefs.records import Vote
from prefs.rollout import roll_out

RATED_TUNES = 256  # of the base model, drawn where no tunes are given


@dataclass(frozen=True)
class VotesCommand:
    """Let a simulated rater vote on pairs."""

    pairs: tyro.conf.Positional[Path]  # JSON Lines, as `musicgen pairs` writes them
    output: Path = Path("votes.jsonl")
    taste: str = "busy"  # a simulated rater's name; "random" votes without listening
    corpus: Path = Path("data/corpus/train.jsonl")  # real tunes, for tastes that are learned
    model: str = "base"  # whose tunes the rater's noise is fixed on
    tunes: Path | None = None  # .abc or .jsonl: tunes of that model, so that none need be drawn
    seed: int = 0


def votes_on(pairs: Path, rater: Rater, *, seed: int = 0) -> Iterator[Json]:
    """A vote on each pair of a file; raises FormatError at the first line that is no pair."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    for line, data in entries(pairs):
        try:
            pair = an_object(readable(data))
            sides = [text(an_object(pair.get(side)), "abc") for side in ("first", "second")]
            name = text(pair, "pair_id")
            choice = rater.choice(name, *sides, seed=seed)
        except (FormatError, AbcError) as error:
            reason = str(error).splitlines()[0]
            raise FormatError(f"{pairs}:{line}: {reason}") from None
        yield vote_json(Vote(name, choice, f"simulated-{rater.name}", at=now))


def main(args: Sequence[str] | None = None) -> int:
    options = tyro.cli(
        VotesCommand, prog="python -m prefs.simulated_votes", args=args, description=__doc__
    )
    try:
        if not options.pairs.is_file():
            raise FormatError(f"{options.pairs}: no such file: `musicgen pairs` writes one")
        real = [abc for abc in read_tunes(options.corpus) if passes_gate(abc)]
        rater = simulated_raters(_base_tunes(options), real, [options.taste])[options.taste]
        votes = list(votes_on(options.pairs, rater, seed=options.seed))
    except (CheckpointError, CorpusError, FormatError, RaterError) as error:
        print(f"simulated_votes: {error}", file=sys.stderr)
        return 2
    write_json_lines(options.output, votes)
    print(f"{len(votes)} simulated votes of {options.taste!r} written to {options.output}")
    return 0


def _base_tunes(options: VotesCommand) -> list[str]:
    if options.tunes is not None:
        return [abc for abc in read_tunes(options.tunes) if passes_gate(abc)]
    base = load_checkpoint(find_model(options.model))
    return roll_out(base.model, base.tokenizer, RATED_TUNES, options.seed).sound_tunes


if __name__ == "__main__":
    sys.exit(main())
