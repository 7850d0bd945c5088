"""Model folders in Hugging Face's layout: written whole or not at all, read with clear errors.

A folder holds config.json, generation_config.json, model.safetensors (16 bit), tokenizer.json,
tokenizer_config.json and README.md, and titles.txt if the model names tunes, so
`AutoModelForCausalLM.from_pretrained(folder)` opens it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from musicgen.titles import read_titles, write_titles

BUNDLED = Path(__file__).parent / "models"
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


class CheckpointError(Exception):
    """A model folder that is missing or damaged; the message is one line and names the repair."""


@dataclass(frozen=True)
class Checkpoint:
    """A model with the tokenizer that it was trained with."""

    name: str
    folder: Path
    model: GPT2LMHeadModel
    tokenizer: PreTrainedTokenizerFast
    titles: tuple[str, ...] = ()  # that it was trained on; none: it names no tunes


def find_model(name: str, home: Path | None = None) -> Path:
    """Folder of a model given by path, by its name in `home`/models, or by a bundled name."""
    candidates = [Path(name)] if os.sep in name or Path(name).is_dir() else []
    if home is not None:
        candidates.append(home / "models" / name)
    candidates.append(BUNDLED / name)
    for folder in candidates:
        if (folder / "model" / "config.json").is_file():
            return folder / "model"  # a run folder of `musicgen train`
        if folder.is_dir():
            return folder
    known = sorted({p.parent.name for p in BUNDLED.glob("*/config.json")})
    raise CheckpointError(
        f"no model {name!r}: give a model folder or one of {', '.join(known) or 'no bundled names'}"
        "; `musicgen train` makes one"
    )


def check_folder(folder: Path) -> None:
    """Raise CheckpointError if `folder` cannot be a whole model; reads headers only, no weights."""
    repair = "restore the folder, or make a new model with `musicgen train`"
    if not folder.is_dir():
        raise CheckpointError(f"no model folder {folder}: {repair}")
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise CheckpointError(f"model folder {folder} lacks {name}: {repair}")
    for name in ("config.json", "tokenizer.json"):
        try:
            json.loads((folder / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{folder / name} is damaged ({error}): {repair}") from None
    try:
        with safe_open(folder / "model.safetensors", framework="pt") as weights:
            if not list(weights.keys()):
                raise CheckpointError(f"{folder / 'model.safetensors'} holds no weights: {repair}")
    except SafetensorError as error:
        raise CheckpointError(
            f"{folder / 'model.safetensors'} is damaged ({error}): {repair}"
        ) from None


def load_checkpoint(folder: Path) -> Checkpoint:
    """Model (float32, on the CPU, evaluation mode) and tokenizer of a folder."""
    check_folder(folder)
    disable_progress_bar()  # transformers would print one for a file read in a blink
    try:
        model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"model folder {folder} cannot be opened: {reason}") from None
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointError(
            f"model folder {folder}: the tokenizer has {len(tokenizer)} entries, the model only "
            f"{model.config.vocab_size}; they are not from the same training run"
        )
    model.eval()
    return Checkpoint(folder.name, folder, model, tokenizer, tuple(read_titles(folder)))


def save_checkpoint(
    folder: Path,
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    card: str,
    titles: Sequence[str] = (),
    dtype: torch.dtype = torch.float16,  # weights are small numbers: precision counts, not range
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a whole model folder beside its place, then move it there; an old one is replaced.

    `titles` are those that the model was trained on (titles.py), none if it names no tunes.
    `files` are more texts for it, by name.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        copy = GPT2LMHeadModel(model.config)
        copy.load_state_dict(model.state_dict())
        copy.to(dtype).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        for name, text in {"README.md": card, **(files or {})}.items():
            (partial / name).write_text(text, encoding="utf-8")
        if titles:
            write_titles(partial, titles)
        partial.chmod(0o755)
        for path in partial.iterdir():
            path.chmod(0o644)  # temporary folders and safetensors are private by default
        if folder.exists():
            old = partial.with_name(partial.name + "-old")
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old)
        else:
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
