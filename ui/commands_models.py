"""`musicgen models list|promote|remove`: the bundled model, and those that were tuned to votes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    from musicgen.promoted import DEFAULT, promoted_model, tuned_models

    playing = promoted_model(options.home)
    names = [*tuned_models(options.home), DEFAULT]
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
    shutil.rmtree(options.home / "models" / options.name)
    print(f"removed {options.home / 'models' / options.name}")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": list_models,
    "promote": promote_model,
    "remove": remove_model,
}
