"""Votes as the rows of label files for lm-human-preferences (openai/lm-human-preferences).

    {"query", "sample0", "sample1", "best": 0 or 1}

query is what both tunes begin with, the samples are how they go on: texts, or token ids where a
tokenizer is at hand. A tie is two rows, one for each side. A row with "broken": true teaches
nothing. A skip is two broken rows with "choice": "skip", so that a reader who does not know
either word takes no side. Our rows also hold pair_id, rater, at and listened_ms, and in "pair" and
"tunes" what else there is to say about them: an empty store becomes what the first one was.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prefs.json_records import (
    FormatError,
    Json,
    an_object,
    is_broken,
    listened_ms,
    pair_details,
    pair_from_details,
    text,
    tune_from_json,
    tune_json,
)
from prefs.records import Choice, Pair, TuneRecord, Vote

IMPORTED = "imported"  # model and rater where a row names none
BEST: dict[Choice, tuple[int, ...]] = {
    "first": (0,),
    "second": (1,),
    "tie": (0, 1),
    "skip": (0, 1),
}


class Codec(Protocol):
    """Texts to token ids and back."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True)
class ModelCodec:
    """The tokenizer of a Hugging Face folder, without the marks that it puts around a text."""

    tokenizer: Any

    @classmethod
    def load(cls, folder: Path) -> ModelCodec:
        """Raises FormatError for a folder without a tokenizer."""
        from transformers import AutoTokenizer

        try:
            return cls(AutoTokenizer.from_pretrained(folder, local_files_only=True))
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise FormatError(f"{folder}: no tokenizer can be read there: {reason}") from error

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


# Writing


def rows_of(
    vote: Vote,
    pair: Pair,
    tunes: tuple[TuneRecord, TuneRecord],
    *,
    broken: bool = False,
    codec: Codec | None = None,
) -> list[Json]:
    """The one or two rows of a vote; token ids in place of texts with a codec.

    Raises FormatError if the codec does not give a text back as it was.
    """
    shared = all(tune.abc.startswith(pair.opening) for tune in tunes)
    query = pair.opening if shared else ""
    texts = [query, *(tune.abc.removeprefix(query) for tune in tunes)]
    names = ("query", "sample0", "sample1")
    row: Json = dict(zip(names, (_encoded(part, codec) for part in texts), strict=True))
    details: Json = {
        "pair_id": vote.pair_id,
        "rater": vote.rater,
        "at": vote.at,
        "listened_ms": list(vote.listened_ms),
        "pair": pair_details(pair),
        "tunes": [
            {name: value for name, value in tune_json(tune).items() if name != "abc"}
            for tune in tunes
        ],
    }
    if broken or vote.choice == "skip":
        details["broken"] = True
    if vote.choice == "skip":
        details["choice"] = "skip"
    return [{**row, "best": best, **details} for best in BEST[vote.choice]]


def _encoded(part: str, codec: Codec | None) -> str | list[int]:
    if codec is None:
        return part
    ids = codec.encode(part)
    if codec.decode(ids) != part:
        raise FormatError("this tokenizer does not give the text of the tunes back: use another")
    return ids


# Reading


@dataclass(frozen=True)
class Row:
    """A row as it was understood: one side's word on a pair."""

    line: int
    best: int
    vote: Vote  # its choice is that of this row alone
    pair: Pair
    tunes: tuple[TuneRecord, TuneRecord]
    broken: bool
    skip: bool


def read_row(data: object, line: int, rater: str, codec: Codec | None) -> Row:
    """Raises FormatError, in words, for a row that cannot be understood."""
    found = an_object(data)
    if "sample2" in found:
        raise FormatError('it has a "sample2": only a choice of two can be stored')
    best = found.get("best")
    if best not in (0, 1) or isinstance(best, bool):
        raise FormatError('"best" is neither 0 nor 1')
    opening, first, second = _texts(found, codec)
    tunes = _tunes(found, (first, second))
    pair = _pair(found, opening, tunes)
    choice: Choice = "first" if best == 0 else "second"
    vote = Vote(
        pair_id=pair.id,
        choice=choice,
        rater=text(found, "rater", default="") or rater,
        listened_ms=listened_ms(found),
        at=text(found, "at", default=""),
    )
    skip = found.get("choice") == "skip"
    return Row(line, int(best), vote, pair, tunes, is_broken(found) and not skip, skip)


def _texts(found: Json, codec: Codec | None) -> tuple[str, str, str]:
    """Opening, first and second tune."""
    values: list[Any] = [found.get(name) for name in ("query", "sample0", "sample1")]
    if all(isinstance(value, str) for value in values):
        query, one, other = (
            text(found, name, default="") for name in ("query", "sample0", "sample1")
        )
        texts = (query, query + one, query + other)
    elif all(_are_ids(value) for value in values):
        if codec is None:
            raise FormatError("it holds token ids: say whose with --tokenizer MODEL")
        query_ids, one_ids, other_ids = values
        try:
            opening = codec.decode(query_ids)
            texts = (
                opening,
                codec.decode(query_ids + one_ids),
                codec.decode(query_ids + other_ids),
            )
        except (IndexError, OverflowError, TypeError, ValueError) as error:
            raise FormatError("it holds token ids that the tokenizer does not know") from error
    else:
        raise FormatError('"query", "sample0" and "sample1" are not texts, nor lists of token ids')
    if not texts[1].strip() or not texts[2].strip():
        raise FormatError("one of its tunes is empty")
    return texts


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _tunes(found: Json, texts: tuple[str, str]) -> tuple[TuneRecord, TuneRecord]:
    details = found.get("tunes")
    if details is None:
        first, second = (
            TuneRecord(id=f"{IMPORTED}-{_short(abc)}", abc=abc, model=IMPORTED, seed=0)
            for abc in texts
        )
    elif isinstance(details, list) and len(details) == 2:
        first, second = (
            tune_from_json({**an_object(detail), "abc": abc})
            for detail, abc in zip(details, texts, strict=True)
        )
    else:
        raise FormatError('"tunes" is not a list of two')
    return first, second


def _pair(found: Json, opening: str, tunes: tuple[TuneRecord, TuneRecord]) -> Pair:
    ids = (tunes[0].id, tunes[1].id)
    name = text(found, "pair_id", default="") or f"{IMPORTED}-{_short(chr(0).join(ids))}"
    if found.get("pair") is not None:
        return pair_from_details(an_object(found["pair"]), name, *ids)
    return Pair(name, *ids, kind="learning", opening=opening, options={"source": IMPORTED})


def _short(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:12]


# From rows to votes


@dataclass(frozen=True)
class Ballot:
    """A vote and the rows that it was made of, or why they make none."""

    rows: tuple[Row, ...]
    vote: Vote
    reason: str | None = None

    @property
    def repeated(self) -> int:
        """How many more votes the rows hold that say the same."""
        return max(0, len(self.rows) // len(BEST[self.vote.choice]) - 1)


def ballots(rows: Iterable[Row]) -> Iterator[Ballot]:
    """Rows of the same pair and rater taken together: as many for either side are a tie."""
    together: Mapping[tuple[str, str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        together[row.vote.pair_id, row.vote.rater, row.broken].append(row)
    for group in together.values():
        yield _ballot(tuple(group))


def _ballot(rows: tuple[Row, ...]) -> Ballot:
    first = rows[0]
    other_side = sum(row.best != first.best for row in rows)
    choice: Choice = first.vote.choice
    reason = None
    if other_side:
        choice = "skip" if all(row.skip for row in rows) else "tie"
        if 2 * other_side != len(rows):
            lines = ", ".join(str(row.line) for row in rows)
            reason = f"lines {lines} speak of one pair and are neither one choice nor a tie"
    elif first.skip:
        choice = "skip"
    vote = Vote(first.vote.pair_id, choice, first.vote.rater, first.vote.listened_ms, first.vote.at)
    return Ballot(rows, vote, reason)
