"""Which of the tokens that a model drew are to blame when its tune fails the gate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from abc_tools import AbcError, Tune, parse_tune, passes_gate
from abc_tools.bar_checks import check_bars
from abc_tools.repetition import repetition
from musicgen.sample import Sample
from musicgen.tokenizer import decode_tune

Array = NDArray[np.float64]

_BAR_TOKENS = 12.0  # a loop counts as one faulty bar of so many tokens, however long it is
_LAST = 4  # tokens to blame for a wrong end


def blame(sample: Sample, tokenizer: PreTrainedTokenizerFast) -> Array:
    """0 to 1 for each of the drawn tokens, (sample.tokens,): the part it has in a fault.

    Each token of a bar of the wrong length has 1. A loop counts as one faulty bar, spread over its
    notes. For a tune that does not end properly or is too short the last tokens are to blame. All
    are 0 if the tune passes the gate, or cannot be read at all.
    """
    found = np.zeros(sample.tokens)
    reasons = passes_gate(sample.abc, sample.finished).reasons
    if not reasons:
        return found
    if "unfinished" in reasons or "short" in reasons:
        found[-_LAST:] = 1.0
    try:
        tune = parse_tune(sample.abc)
    except AbcError:
        return found
    starts, ends = _places(sample, tokenizer)
    for start, end in _faulty_bars(tune):
        found[(starts <= end) & (ends > start)] = 1.0  # with the bar line, which begins at `end`
    if "degenerate" in reasons:
        looping = starts >= repetition(tune).offset
        share = min(1.0, _BAR_TOKENS / max(1, looping.sum()))
        found[looping] = np.maximum(found[looping], share)
    return found


def _faulty_bars(tune: Tune) -> Iterator[tuple[int, int]]:
    """Where in the source they begin and end, before their bar lines."""
    errors = (one for one in tune.diagnostics if one.severity == "error")
    for one in (*check_bars(tune), *errors):
        yield one.span.start, one.span.end


def _places(
    sample: Sample, tokenizer: PreTrainedTokenizerFast
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Where each drawn token begins and ends in the text, which they are the end of."""
    drawn = sample.ids[len(sample.ids) - sample.tokens :]
    lengths = np.array([len(decode_tune(tokenizer, [token])) for token in drawn])
    ends = len(sample.abc) - lengths.sum() + np.cumsum(lengths)
    return ends - lengths, ends
