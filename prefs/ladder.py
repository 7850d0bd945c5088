"""The synthetic ladder: pairs of which one tune is better by construction, without any vote.

    a printed tune  >  the same tune damaged        bars in disorder, notes moved, foreign bars
    a printed tune  >  a tune of the base model     of the same rhythm and meter

Damage keeps a tune sound: bars stay full and the gate is passed, so validity is not learned. The
reward that was learned from it lies beside the bundled model `ladder` and joins the reward model of
a retraining from the same base where that helps.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abc_tools import Bar, Note, Tune, parse_tune, passes_gate
from musicgen.checkpoint import BUNDLED, Checkpoint
from prefs.probe import Comparisons, ProbeError
from prefs.reward_model import RewardModel
from prefs.rollout import kind_of_tune

REWARD_FOLDER = "reward"  # inside the ladder's model folder
SHARE = 0.3  # of a tune's bars or notes that damage touches
_ATTEMPTS = 6
_PITCH = re.compile(r"[A-Ga-g][,']*")


@dataclass(frozen=True)
class Ladder:
    """Tunes and which is above which, as votes are given to a reward model."""

    tunes: tuple[str, ...]
    comparisons: Comparisons


def save_reward(folder: Path, reward: RewardModel, base: Checkpoint) -> None:
    """Beside the ladder's model in `folder`, with the name of the base weights that it reads."""
    place = folder / REWARD_FOLDER
    reward.save(place)
    (place / "base.sha256").write_text(_weights_hash(base) + "\n", encoding="utf-8")


def bundled_reward(base: Checkpoint, folder: Path = BUNDLED / "ladder") -> RewardModel | None:
    """The ladder's reward, if there is one that reads the activations of this very base model."""
    place = folder / REWARD_FOLDER
    try:
        made_for = (place / "base.sha256").read_text(encoding="utf-8").strip()
        return RewardModel.load(place) if made_for == _weights_hash(base) else None
    except (OSError, ProbeError):
        return None


def _weights_hash(base: Checkpoint) -> str:
    return hashlib.sha256((base.folder / "model.safetensors").read_bytes()).hexdigest()


def build_ladder(
    printed: Sequence[str], written: Sequence[str], count: int, rng: np.random.Generator
) -> Ladder:
    """`count` printed tunes, each above a damaged copy and, where there is one, a written tune.

    `written` are sound tunes of the base model. The better tune stands on either side by turns.
    """
    by_kind: dict[str, list[str]] = defaultdict(list)
    for abc in written:
        by_kind[kind_of_tune(abc)].append(abc)
    sound = [abc for abc in printed if passes_gate(abc)]
    chosen = [sound[index] for index in rng.permutation(len(sound))[:count]]
    tunes: list[str] = []
    rows: list[tuple[int, int, float]] = []

    def above(better: int, worse: str) -> None:
        tunes.append(worse)
        swapped = len(rows) % 2 == 1
        place = len(tunes) - 1
        rows.append((place, better, 0.0) if swapped else (better, place, 1.0))

    for abc in chosen:
        tunes.append(abc)
        better = len(tunes) - 1
        broken = damaged(abc, chosen, rng)
        if broken is not None:
            above(better, broken)
        same_kind = by_kind[kind_of_tune(abc)]
        if same_kind:
            above(better, same_kind.pop(int(rng.integers(len(same_kind)))))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    first, second = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    return Ladder(tuple(tunes), Comparisons(first, second, table[:, 2]))


def damaged(abc: str, others: Sequence[str], rng: np.random.Generator) -> str | None:
    """The tune with one kind of damage, still passing the gate; None if none was found."""
    kinds: list[Callable[[Tune, Sequence[str], np.random.Generator], str]] = [
        disordered,
        with_moved_notes,
        with_foreign_bars,
    ]
    tune = parse_tune(abc)
    for _ in range(_ATTEMPTS):
        found = kinds[int(rng.integers(len(kinds)))](tune, others, rng)
        if found != abc and passes_gate(found):
            return found
    return None


def disordered(tune: Tune, others: Sequence[str], rng: np.random.Generator) -> str:
    """Bars of the same length change places."""
    bars = _whole_bars(tune)
    moved = _some(len(bars), rng)
    texts = [_music(tune, bars[index]) for index in moved]
    turned = texts[1:] + texts[:1]
    return _replaced(tune, {bars[i]: text for i, text in zip(moved, turned, strict=True)})


def with_moved_notes(tune: Tune, others: Sequence[str], rng: np.random.Generator) -> str:
    """Notes without an accidental of their own move by two to five steps of the scale."""
    source = tune.source
    notes = [
        element
        for bar in tune.bars
        for element in bar.elements
        if isinstance(element, Note) and not element.accidental
    ]
    for index in sorted(_some(len(notes), rng), reverse=True):
        note = notes[index]
        found = _PITCH.search(source, note.start, note.end)
        if found is not None:
            step = note.step + int(rng.choice([-5, -4, -3, -2, 2, 3, 4, 5]))
            source = source[: found.start()] + _spelled(step) + source[found.end() :]
    return source


def with_foreign_bars(tune: Tune, others: Sequence[str], rng: np.random.Generator) -> str:
    """Bars of another tune of the same meter and unit length take the place of its own."""
    for _ in range(_ATTEMPTS):
        other = parse_tune(others[int(rng.integers(len(others)))])
        if (other.meter, other.unit) == (tune.meter, tune.unit):
            break
    else:
        return tune.source
    theirs = [_music(other, bar) for bar in _whole_bars(other)]
    mine = _whole_bars(tune)
    if not theirs:
        return tune.source
    return _replaced(
        tune, {mine[i]: theirs[int(rng.integers(len(theirs)))] for i in _some(len(mine), rng)}
    )


def _some(count: int, rng: np.random.Generator) -> list[int]:
    """SHARE of `count` places, two at least where there are so many, in random order."""
    wanted = min(count, max(2, round(SHARE * count)))
    return [int(index) for index in rng.permutation(count)[:wanted]]


def _whole_bars(tune: Tune) -> list[Bar]:
    return [
        bar
        for bar in tune.bars
        if bar.ticks == tune.meter.ticks and bar.elements and bar.closed and not bar.joined
    ]


def _music(tune: Tune, bar: Bar) -> str:
    """The notes of a bar, as they are written."""
    return tune.source[bar.elements[0].start : bar.elements[-1].end]


def _replaced(tune: Tune, texts: dict[Bar, str]) -> str:
    source = tune.source
    for bar in sorted(texts, key=lambda bar: -bar.start):
        start, end = bar.elements[0].start, bar.elements[-1].end
        source = source[:start] + texts[bar] + source[end:]
    return source


def _spelled(step: int) -> str:
    """A white key as ABC writes it: 28 is C, 35 is c, 21 is C,."""
    letter, octave = "CDEFGAB"[step % 7], step // 7 - 4
    if octave >= 1:
        return letter.lower() + "'" * (octave - 1)
    return letter + "," * -octave
