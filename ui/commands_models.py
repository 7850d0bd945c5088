"""`musicgen models`: the bundled model, and those that were tuned to votes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ui.home import default_home


@dataclass(frozen=True)
class ListOptions:
    """Which models there are; a star marks the one that the app plays."""

    json: bool = False
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class PromoteOptions:
    """Let the app play another model; `base` goes back to the bundled one."""

    name: tyro.conf.Positional[str]
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class BackOptions:
    """Let the app play what it played before the last promotion."""

    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class KeepOptions:
    """End the trial of a tuned model: it stays beside the one that is played."""

    name: tyro.conf.Positional[str]
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class HistoryOptions:
    """Where each model comes from (votes, parent, options, commit) and what became of it."""

    json: bool = False
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class ExportOptions:
    """Write a model folder into one zip file."""

    name: tyro.conf.Positional[str]
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None  # default: NAME.zip
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class ImportOptions:
    """Take in a zip file that `models export` wrote; it is checked before it is a model here."""

    file: tyro.conf.Positional[Path]
    name: str = ""  # default: the name that it had
    home: Path = field(default_factory=default_home)


@dataclass(frozen=True)
class RemoveOptions:
    """Delete a tuned model. Its tunes and the votes on them stay."""

    name: tyro.conf.Positional[str]
    home: Path = field(default_factory=default_home)


def models(args: Sequence[str]) -> int:
    """Runs `musicgen models ...`; raises CheckpointError or OSError."""
    if not args or args[0] not in COMMANDS:
        print(f"usage: musicgen models {'|'.join(COMMANDS)} [--help]", file=sys.stderr)
        return 0 if args and args[0] in ("-h", "--help") else 2
    return COMMANDS[args[0]](args[1:])


def list_models(args: Sequence[str]) -> int:
    options = tyro.cli(ListOptions, prog="musicgen models list", args=args)
    from musicgen.promoted import known_models, promoted_model

    playing = promoted_model(options.home)
    names = known_models(options.home)
    if options.json:
        print(json.dumps([{"name": name, "promoted": name == playing} for name in names], indent=2))
    else:
        print("\n".join(f"{'*' if name == playing else ' '} {name}" for name in names))
    return 0


def promote_model(args: Sequence[str]) -> int:
    options = tyro.cli(PromoteOptions, prog="musicgen models promote", args=args)
    from musicgen.promoted import promote

    promote(options.home, options.name)
    print(f"the app plays {options.name} from the next tune on")
    return 0


def back(args: Sequence[str]) -> int:
    options = tyro.cli(BackOptions, prog="musicgen models back", args=args)
    from musicgen.promoted import roll_back

    print(f"the app plays {roll_back(options.home)} from the next tune on")
    return 0


def keep_model(args: Sequence[str]) -> int:
    options = tyro.cli(KeepOptions, prog="musicgen models keep", args=args)
    from musicgen.promoted import keep_both, promoted_model

    keep_both(options.home, options.name)
    print(f"{options.name} stays; the app plays {promoted_model(options.home)}")
    return 0


def show_history(args: Sequence[str]) -> int:
    options = tyro.cli(HistoryOptions, prog="musicgen models history", args=args)
    from prefs.history import history

    found = history(options.home)
    if options.json:
        print(json.dumps([asdict(model) for model in found], indent=2))
    else:
        print("\n".join(model.line() for model in found) or "no model was tuned yet")
    return 0


def export(args: Sequence[str]) -> int:
    options = tyro.cli(ExportOptions, prog="musicgen models export", args=args)
    from musicgen.checkpoint import find_model
    from musicgen.model_archive import export_model

    folder = find_model(options.name, options.home)
    print(f"written to {export_model(folder, options.output or Path(f'{folder.name}.zip'))}")
    return 0


def take_in(args: Sequence[str]) -> int:
    options = tyro.cli(ImportOptions, prog="musicgen models import", args=args)
    from musicgen.model_archive import import_model

    name = import_model(options.file, options.home, options.name)
    print(f"written to {options.home / 'models' / name}")
    return 0


def remove_model(args: Sequence[str]) -> int:
    options = tyro.cli(RemoveOptions, prog="musicgen models remove", args=args)
    from musicgen.checkpoint import CheckpointError
    from musicgen.promoted import promoted_model, tuned_models

    if options.name not in tuned_models(options.home):
        raise CheckpointError(f"no model {options.name!r} in {options.home / 'models'}")
    if promoted_model(options.home) == options.name:
        raise CheckpointError(
            f"the app plays {options.name!r}: promote another one first, such as "
            "`musicgen models promote base`"
        )
    from prefs.jobs import forget

    shutil.rmtree(options.home / "models" / options.name)
    forget(options.home, options.name)  # else its run would look as if it had been cut off
    print(f"removed {options.home / 'models' / options.name}")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": list_models,
    "promote": promote_model,
    "back": back,
    "keep": keep_model,
    "history": show_history,
    "export": export,
    "import": take_in,
    "remove": remove_model,
}
