"""The gold protocol: learning pairs, simulated votes in files, and the win rate on fresh pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.preference.drawing import Drawn, draw_sound, prompts_of
from musicgen.evaluate import wilson_interval
from musicgen.sample import TuneSampler
from prefs.json_files import entries, readable, write_json_lines
from prefs.json_records import Json, pair_json, vote_from_json
from prefs.pair_maker import OPENING_BARS
from prefs.probe import Comparisons
from prefs.raters import Rater
from prefs.records import Pair, TuneRecord
from prefs.simulated_votes import votes_on
from prefs.training_votes import OUTCOMES, TrainingVotes


@dataclass(frozen=True)
class WinRate:
    """How often a tuned model's tune won over the base model's; a tie is half a win."""

    wins: int
    losses: int
    ties: int
    win_rate: float
    interval: tuple[float, float]  # 95%, Wilson

    @classmethod
    def of(cls, outcomes: Sequence[float]) -> WinRate:
        """From 1, 0 and .5 for each pair."""
        wins, losses = sum(one == 1 for one in outcomes), sum(one == 0 for one in outcomes)
        ties = len(outcomes) - wins - losses
        points = wins + ties / 2
        rate = points / len(outcomes) if outcomes else float("nan")
        return cls(wins, losses, ties, rate, wilson_interval(points, len(outcomes)))


@dataclass(frozen=True)
class Gold:
    """Win rates of a tuned model on the same pairs, and what it costs in fitness."""

    pairs: int
    noiseless: WinRate  # by the rater's utility
    noisy: WinRate  # by one vote on each pair
    gain: float  # mean utility over the base model's, in its standard deviations
    first_draw_sound: tuple[float, float]  # share of first draws that pass the gate: tuned, base

    def json(self) -> Json:
        return asdict(self)


def learning_pairs(
    sampler: TuneSampler, templates: Sequence[str], count: int, seed: int, folder: Path
) -> Path:
    """A file of `count` learning pairs, two fresh ends to each opening, as `musicgen pairs` writes.

    Openings are cut from `templates`. An opening from which two different sound tunes did not come
    is left out, so more openings are tried than pairs are wanted. What was drawn for fewer pairs is
    not drawn again, and the first pairs are the same.
    """
    place = folder / f"{count}.jsonl"
    prompts = prompts_of(sampler.tokenizer, templates, int(1.1 * count) + 1, OPENING_BARS)
    sides = [
        draw_sound(sampler, prompts, seed + side, folder / f"side{side}.jsonl").tunes
        for side in (1, 2)
    ]
    lines: list[Json] = []
    for number, (one, other) in enumerate(zip(*sides, strict=True)):
        if one is not None and other is not None and one != other and len(lines) < count:
            lines.append(_pair(f"{number:05d}", one, other))
    write_json_lines(place, lines)
    return place


def unrelated_pairs(pairs: Path, place: Path) -> Path:
    """The first tune of each pair of a file beside the second of the next one, in another file."""
    found = [readable(data) for _, data in entries(pairs)]
    write_json_lines(
        place,
        [
            _pair(f"u{one['pair_id']}", one["first"]["abc"], other["second"]["abc"])
            for one, other in zip(found, [*found[1:], *found[:1]], strict=True)
        ],
    )
    return place


def _pair(name: str, one: str, other: str) -> Json:
    tunes = [TuneRecord(f"{name}-{side}", abc, "", 0) for side, abc in enumerate((one, other))]
    return pair_json(Pair(name, tunes[0].id, tunes[1].id, "learning"), *tunes)


def votes_from_files(pairs: Path, votes: Path, most: int) -> TrainingVotes:
    """The first `most` votes of a file on the pairs of another, as a store would give them."""
    tunes: list[str] = []
    place_of = {}
    for _, data in entries(pairs):
        pair = readable(data)
        place_of[pair["pair_id"]] = len(tunes)
        tunes += [pair["first"]["abc"], pair["second"]["abc"]]
    rows = []
    for _, data in list(entries(votes))[:most]:
        vote = vote_from_json(readable(data))
        place = place_of[vote.pair_id]
        rows.append((place, place + 1, OUTCOMES[vote.choice]))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    sides = table[:, :2].astype(np.int64)
    comparisons = Comparisons(sides[:, 0], sides[:, 1], table[:, 2])
    return TrainingVotes(tuple(tunes), comparisons, None, 0)


def joined(parts: Sequence[TrainingVotes]) -> TrainingVotes:
    """All votes of several files."""
    tunes: tuple[str, ...] = ()
    columns: list[Comparisons] = []
    for part in parts:
        cast, start = part.comparisons, len(tunes)
        columns.append(Comparisons(cast.first + start, cast.second + start, cast.outcome))
        tunes += part.tunes
    first, second, outcome = (
        np.concatenate([getattr(column, name) for column in columns])
        for name in ("first", "second", "outcome")
    )
    return TrainingVotes(tunes, Comparisons(first, second, outcome), None, 0)


def cast_votes(rater: Rater, pairs: Path, place: Path, *, seed: int = 0) -> Path:
    """The simulated rater's votes on a file of pairs, in a file; the same each time."""
    write_json_lines(place, list(votes_on(pairs, rater, seed=seed)))
    return place


def evaluation_tunes(
    sampler: TuneSampler, templates: Sequence[str], count: int, seed: int, place: Path
) -> Drawn:
    """Fresh sound tunes with the headers of `templates`, taken round and round."""
    prompts = prompts_of(sampler.tokenizer, templates, count, 0)
    return draw_sound(sampler, prompts, seed, place)


def gold(rater: Rater, tuned: Drawn, base: Drawn, *, seed: int = 0) -> Gold:
    """Tunes of two models with the same headers set against each other, sides by chance."""
    rng = np.random.default_rng(seed)
    noiseless, noisy, gains = [], [], []
    for one, other in zip(tuned.tunes, base.tunes, strict=True):
        if one is None or other is None:
            continue
        lead = rater.utility(one) - rater.utility(other)
        gains.append(lead)
        noiseless.append(0.5 if lead == 0 else float(lead > 0))
        if rng.integers(2):
            noisy.append(OUTCOMES[rater.choice_at(lead, rng)])
        else:
            noisy.append(1 - OUTCOMES[rater.choice_at(-lead, rng)])
    return Gold(
        pairs=len(gains),
        noiseless=WinRate.of(noiseless),
        noisy=WinRate.of(noisy),
        gain=float(np.mean(gains)) if gains else float("nan"),
        first_draw_sound=(tuned.gate, base.gate),
    )
