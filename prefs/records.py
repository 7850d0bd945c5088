"""What a vote is about: tunes, pairs and votes, as they are stored and exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Choice: TypeAlias = Literal["first", "second", "tie", "skip"]
PairKind: TypeAlias = Literal["learning", "evaluation"]

CHOICES: tuple[Choice, ...] = ("first", "second", "tie", "skip")


@dataclass(frozen=True)
class TuneRecord:
    """A tune that a model wrote and that passed the gate, with all that brings it again."""

    id: str
    abc: str
    model: str  # name or folder of the model; never sent to a rater before the vote
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)  # how it was decoded, with its row
    created: str = ""  # ISO 8601, UTC


@dataclass(frozen=True)
class Pair:
    """Two tunes in the order in which they are shown.

    A learning pair has the same header and the same first bars (`opening`); an evaluation pair sets
    two models against each other and has the same header only.
    """

    id: str
    first: str  # id of the tune on the first side
    second: str
    kind: PairKind
    opening: str = ""  # header and music that both tunes begin with
    repeat_of: str | None = None  # the pair that this one repeats with sides swapped
    options: Mapping[str, Any] = field(default_factory=dict)  # the decoding that both share
    created: str = ""


@dataclass(frozen=True)
class Vote:
    """One rater's word on one pair; skipping is a word too, but teaches nothing."""

    pair_id: str
    choice: Choice
    rater: str
    listened_ms: tuple[int, int] = (0, 0)  # how long each side sounded before the vote
    at: str = ""  # ISO 8601, UTC
