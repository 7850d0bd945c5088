"""Tunes, pairs and votes as the JSON objects that files hold, one object a line.

    tune  {"id", "abc", "model", "seed", "options": {}, "created"}
    pair  {"pair_id", "first": {"tune_id", "abc"}, "second": {"tune_id", "abc"}}
    vote  {"pair_id", "choice", "rater", "listened_ms": [a, b], "at"}

This is all a rater gets of a pair. A pair that is written for safe keeping has "kind", "opening",
"repeat_of", "options" and "created" too; a vote on a broken tune has "broken": true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from prefs.records import CHOICES, Pair, PairKind, TuneRecord, Vote
from prefs.schema import LONGEST_MS, is_storable

Json: TypeAlias = dict[str, Any]

KINDS: tuple[PairKind, ...] = ("learning", "evaluation")
LARGEST_SEED = 2**63 - 1


class FormatError(ValueError):
    """An object or file is not what it should be; one line for the user."""


def tune_json(tune: TuneRecord) -> Json:
    return {**asdict(tune), "options": dict(tune.options)}


def tune_from_json(data: object) -> TuneRecord:
    found = an_object(data)
    return TuneRecord(
        id=text(found, "id"),
        abc=text(found, "abc"),
        model=text(found, "model"),
        seed=_whole(found.get("seed", 0), "seed", -LARGEST_SEED, LARGEST_SEED),
        options=options(found),
        created=text(found, "created", default=""),
    )


def pair_json(pair: Pair, first: TuneRecord, second: TuneRecord, *, blind: bool = True) -> Json:
    """What a rater may see of a pair; all of it if not `blind`."""
    shown: Json = {
        "pair_id": pair.id,
        "first": {"tune_id": first.id, "abc": first.abc},
        "second": {"tune_id": second.id, "abc": second.abc},
    }
    return shown if blind else {**shown, **pair_details(pair)}


def pair_details(pair: Pair) -> Json:
    """What a pair holds beside its name and its tunes."""
    return {
        "kind": pair.kind,
        "opening": pair.opening,
        "repeat_of": pair.repeat_of,
        "options": dict(pair.options),
        "created": pair.created,
    }


def pair_from_json(data: object) -> Pair:
    """A pair written with blind=False; FormatError for a blind one, which does not say its kind."""
    found = an_object(data)
    first, second = (text(an_object(found.get(side)), "tune_id") for side in ("first", "second"))
    return pair_from_details(found, text(found, "pair_id"), first, second)


def pair_from_details(found: Mapping[str, Any], id: str, first: str, second: str) -> Pair:
    kind = text(found, "kind")
    if kind not in KINDS:
        raise FormatError(f'"kind" is {kind!r}, not one of {", ".join(KINDS)}')
    repeat_of = None if found.get("repeat_of") is None else text(found, "repeat_of")
    return Pair(
        id=id,
        first=first,
        second=second,
        kind=kind,
        opening=text(found, "opening", default=""),
        repeat_of=repeat_of,
        options=options(found),
        created=text(found, "created", default=""),
    )


def vote_json(vote: Vote, *, broken: bool = False) -> Json:
    found = {**asdict(vote), "listened_ms": list(vote.listened_ms)}
    return {**found, "broken": True} if broken else found


def vote_from_json(data: object) -> Vote:
    """Raises FormatError unless pair, choice and rater are there; the rest may be missing."""
    found = an_object(data)
    choice = text(found, "choice")
    if choice not in CHOICES:
        raise FormatError(f'"choice" is {choice!r}, not one of {", ".join(CHOICES)}')
    return Vote(
        pair_id=text(found, "pair_id"),
        choice=choice,
        rater=text(found, "rater"),
        listened_ms=listened_ms(found),
        at=text(found, "at", default=""),
    )


def is_broken(found: Mapping[str, Any]) -> bool:
    """The mark of a vote that must teach nothing, because a tune of its pair was broken."""
    mark = found.get("broken", False)
    if mark not in (None, False, True):  # 0 and 1 are these
        raise FormatError('"broken" is neither true nor false')
    return bool(mark)


def listened_ms(found: Mapping[str, Any]) -> tuple[int, int]:
    heard = found.get("listened_ms", [0, 0])
    if not isinstance(heard, list) or len(heard) != 2:
        raise FormatError('"listened_ms" is not a list of two numbers')
    first, second = (_whole(ms, "listened_ms", 0, LONGEST_MS) for ms in heard)
    return first, second


def an_object(data: object) -> Json:
    if not isinstance(data, dict):
        raise FormatError("not a JSON object")
    return data


def options(found: Mapping[str, Any]) -> Json:
    chosen = found.get("options", {})
    if not isinstance(chosen, dict):
        raise FormatError('"options" is not a JSON object')
    return chosen


def text(found: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text that every database can hold; without a default it must be there and say something."""
    value = found.get(name, default)
    if value is None:
        raise FormatError(f'"{name}" is missing')
    if not isinstance(value, str):
        raise FormatError(f'"{name}" is not a text')
    if not value and default is None:
        raise FormatError(f'"{name}" is empty')
    if not is_storable(value):
        raise FormatError(f'"{name}" holds a character that no text may hold')
    return value


def _whole(value: object, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FormatError(f'"{name}" is not a whole number from {low} to {high}')
    return value
