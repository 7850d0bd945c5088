"""The README.md of a model folder: what it is, what it was trained on, how to make it again."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import GPT2LMHeadModel

from musicgen.corpus import Corpus
from musicgen.model import count_parameters

_FIGURES = "## Measured on held-out tunes"

if TYPE_CHECKING:
    from musicgen.train import TrainConfig


def command_line(command: str, config: Any) -> str:
    """The command line that starts a run with this configuration again, defaults left out."""
    words = command.split()
    for item in fields(config):
        value = getattr(config, item.name)
        if value == item.default or item.name == "resume":
            continue
        flag = "--" + item.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else "--no-" + flag[2:])
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def write_figures(folder: Path, figures: str) -> None:
    """Put measured `figures`, a table in plain text, into a model folder's card, once."""
    path = folder / "README.md"
    card = path.read_text(encoding="utf-8").split(_FIGURES)[0].rstrip()
    indented = "\n".join(f"    {line}".rstrip() for line in figures.splitlines())
    path.write_text(f"{card}\n\n{_FIGURES}\n\n{indented}\n", encoding="utf-8")


def model_card(
    model: GPT2LMHeadModel, corpus: Corpus, config: TrainConfig, tokens: int, bits: float
) -> str:
    """Markdown with YAML front matter; figures of the run itself, nothing estimated."""
    manifest = corpus.manifest
    books = "\n".join(
        f"- {book['title']}: {book['tunes']} tunes ({book['terms']})"
        for book in manifest["books"].values()
    )
    counts, sound = manifest["tunes"], manifest["passing_the_gate"]["train"]
    shape = model.config
    return f"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
tags: [music, abc-notation, folk]
---

# A {config.preset} GPT-2 that writes folk tunes in ABC notation

{count_parameters(model):,} parameters ({shape.n_layer} layers, {shape.n_head} heads,
width {shape.n_embd}, context {shape.n_positions} tokens), {shape.vocab_size} lexemes.
Trained on {tokens:,} tokens. Validation: {bits:.4f} bits a character.

## Data

{counts["train"]} tunes to train on, of which the {sound} that pass the gate were used, each in the
keys that folk players use; {counts["validation"]} tunes for validation and {counts["test"]} for the
test. No setting of a tune is on two sides. Corpus hash {corpus.hash[:16]}.

{books}

Transcribed by: {"; ".join(manifest["credits"])}.

## Make it again

    musicgen corpus build --out {config.corpus}
    {command_line("musicgen train", config)}

## Use

    musicgen generate --model FOLDER --rhythm reel --key D

or `transformers.AutoModelForCausalLM.from_pretrained(FOLDER)`. A prompt is the begin mark `<tune>`
and a tune's beginning, such as `X:1\\nR:reel\\nM:4/4\\nL:1/8\\nK:D\\n`; `<end>` closes a tune.
"""
