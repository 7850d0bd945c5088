"""What a model reads in one pass over the corpus: each tune once, in one of its keys, as token ids.

Parts of the header are left out or put in at random, so that a model can be asked with or without
them: R: is left out now and then, the plan line (part_plan.py) is put in now and then. Beside the
tunes stand some titles, `X: R: T:` and the end mark, so that the same model names tunes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from abc_tools import parse_tune
from musicgen.augment import in_folk_keys
from musicgen.corpus import Corpus
from musicgen.part_plan import part_plan, plan_text
from musicgen.titles import clean_title, title_prompt
from musicgen.tokenizer import encode_tune


@dataclass(frozen=True)
class RowOptions:
    """How often the optional parts stand in a row, 0..1."""

    header_dropout: float  # R: is left out
    plan: float  # the plan line is put in
    titles: float  # titles drawn a pass, as a part of the tunes


@dataclass(frozen=True)
class TrainingTune:
    """A tune in every key it is trained in: canonical text -> how often it is drawn."""

    keys: dict[str, float]
    title: str
    rhythm: str | None


def training_tunes(corpus: Corpus, *, transpose: bool = True) -> list[TrainingTune]:
    """The tunes of the training split that pass the gate."""
    return [
        TrainingTune(in_folk_keys(t.abc) if transpose else {t.abc: 1.0}, t.title, t.rhythm)
        for t in corpus.tunes("train")
        if t.gate
    ]


class TrainingRows:
    """The training tunes, encoded; one pass draws one variant of each."""

    def __init__(
        self,
        tunes: Sequence[TrainingTune],
        tokenizer: PreTrainedTokenizerFast,
        options: RowOptions,
        context: int,
    ) -> None:
        """Rows of more than `context` + 1 tokens are left out."""
        vocabulary = tokenizer.get_vocab()
        self._options = options
        self._rhythms = {index for word, index in vocabulary.items() if word.startswith("R:")}
        self._keys = {index for word, index in vocabulary.items() if word.startswith("K:")}
        self._tunes: list[tuple[list[list[int]], np.ndarray, int | None]] = []
        self._titles: list[list[int]] = []
        for tune in tunes:
            rows = [(encode_tune(tokenizer, abc), weight) for abc, weight in tune.keys.items()]
            rows = [(ids, weight) for ids, weight in rows if len(ids) <= context]  # + plan line
            if rows:
                sums = np.cumsum([weight for _, weight in rows])
                plan = part_plan(parse_tune(next(iter(tune.keys))))
                line = vocabulary.get(f"N:{plan_text(plan)}\n")
                self._tunes.append(([ids for ids, _ in rows], sums / sums[-1], line))
            if title := clean_title(tune.title):
                self._titles.append(encode_tune(tokenizer, title_prompt(tune.rhythm) + title))

    def draw(self, rng: np.random.Generator) -> list[list[int]]:
        """One row for each tune, and some titles."""
        rows = []
        for variants, sums, plan in self._tunes:
            ids = variants[int(np.searchsorted(sums, rng.random(), side="right"))]
            if rng.random() < self._options.header_dropout:
                ids = [index for index in ids if index not in self._rhythms]
            if plan is not None and rng.random() < self._options.plan:
                # a key too rare for a token of its own is spelled out; such a row has no plan
                keys = [place for place, index in enumerate(ids) if index in self._keys]
                ids = [*ids[: keys[0]], plan, *ids[keys[0] :]] if keys else ids
            rows.append(ids)
        count = round(self._options.titles * len(self._titles))
        chosen = rng.choice(len(self._titles), count, replace=False) if count else ()
        return rows + [self._titles[index] for index in chosen]
