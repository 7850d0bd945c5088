"""`musicgen votes import|export|count`: votes into and out of the store, and how many there are."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from ui.home import default_home

if TYPE_CHECKING:
    from prefs.formats import ImportReport
    from prefs.lm_preferences import ModelCodec
    from prefs.store import Store


@dataclass(frozen=True)
class ImportOptions:
    """Take in a file of votes; each line that cannot be used is named, the others are kept.

    The exit code is 1 if any line was refused.
    """

    file: tyro.conf.Positional[Path]  # JSON Lines or lm-human-preferences; it shows by itself
    rater: str = "imported"  # whose label rows are that name no rater
    tokenizer: str | None = None  # model, by name or folder, that wrote token ids
    json: bool = False
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class ExportOptions:
    """Write the votes that count to a file."""

    file: tyro.conf.Positional[Path]
    format: Literal["jsonl", "lm-human-preferences"] = "jsonl"
    tokenizer: str | None = None  # label files: token ids of this model instead of texts
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class CountOptions:
    """Say how many votes there are, by how many raters."""

    json: bool = False
    home: Path = field(default_factory=default_home)


def votes(args: Sequence[str]) -> int:
    """Runs `musicgen votes ...`; raises StoreError, FormatError, CheckpointError or OSError."""
    if not args or args[0] not in COMMANDS:
        print(f"usage: musicgen votes {'|'.join(COMMANDS)} [--help]", file=sys.stderr)
        return 0 if args and args[0] in ("-h", "--help") else 2
    return COMMANDS[args[0]](args[1:])


def _import(args: Sequence[str]) -> int:
    options = _parse(ImportOptions, "import", args)
    from prefs.formats import import_votes

    codec = _codec(options.tokenizer, options.home)
    with _store(options.home) as store:
        report = import_votes(store, options.file, rater=options.rater, codec=codec)
    if options.json:
        print(json.dumps(report.json(), ensure_ascii=False))
    else:
        _say(report, options.file)
    return 1 if report.refused else 0


def _say(report: ImportReport, file: Path) -> None:
    for refusal in report.refused:
        print(f"{file}:{refusal.line}: {refusal.reason}", file=sys.stderr)
    print(
        f"{_number(report.accepted, 'vote')} taken in, {report.duplicates} there already, "
        f"{_number(len(report.refused), 'line')} refused"
    )


def _export(args: Sequence[str]) -> int:
    options = _parse(ExportOptions, "export", args)
    from prefs.formats import export_votes
    from prefs.json_records import FormatError

    if options.tokenizer is not None and options.format == "jsonl":
        raise FormatError("--tokenizer is for --format lm-human-preferences: JSON Lines have none")
    codec = _codec(options.tokenizer, options.home)
    with _store(options.home) as store:
        written = export_votes(store, options.file, format=options.format, codec=codec)
    print(f"{_number(written, 'vote')} written to {options.file}")
    return 0


def _count(args: Sequence[str]) -> int:
    options = _parse(CountOptions, "count", args)
    with _store(options.home) as store:
        found = _counted(store)
    print(json.dumps(found) if options.json else _counts_in_words(found))
    return 0


def _counted(store: Store) -> dict[str, Any]:
    from prefs.records import CHOICES

    counting = store.votes()
    choices = Counter(vote.choice for vote in counting)
    kinds = {pair.id: pair.kind for pair in store.pairs()}
    by_kind = Counter(kinds[vote.pair_id] for vote in counting)
    actions = Counter(row.action for row in store.history())
    return {
        "votes": len(counting),
        **{choice: choices[choice] for choice in CHOICES},
        "learning": by_kind["learning"],
        "evaluation": by_kind["evaluation"],
        "raters": len({vote.rater for vote in counting}),
        "undone": actions["undo"],
        "broken": actions["broken"],
    }


def _counts_in_words(found: dict[str, Any]) -> str:
    lines = [
        f"{_number(found['votes'], 'vote')} by {_number(found['raters'], 'rater')}: "
        f"{found['first']} first, {found['second']} second, {found['tie']} equal, "
        f"{found['skip']} skipped",
        f"{found['learning']} on learning pairs, {found['evaluation']} on evaluation pairs",
    ]
    if found["undone"]:
        lines.append(f"{found['undone']} more undone")
    if found["broken"]:
        lines.append(f"{found['broken']} more on broken tunes, kept and never counted")
    return "\n".join(lines)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "import": _import,
    "export": _export,
    "count": _count,
}


def _parse(options: Any, name: str, args: Sequence[str]) -> Any:
    return tyro.cli(options, prog=f"musicgen votes {name}", args=args)


@contextmanager
def _store(home: Path) -> Iterator[Store]:
    from prefs.store import database_url, open_store

    home.mkdir(parents=True, exist_ok=True)
    store = open_store(database_url(home))
    try:
        yield store
    finally:
        store.close()


def _codec(model: str | None, home: Path) -> ModelCodec | None:
    if model is None:
        return None
    from musicgen.checkpoint import find_model
    from prefs.lm_preferences import ModelCodec

    return ModelCodec.load(find_model(model, home))


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
