"""Which tokens keep a tune sound, for every token of a vocabulary at once.

A mask is a boolean row over the vocabulary: a token is allowed if the grammar allows its lexeme
there and a sound end can still be reached with the tokens that are left. Rows depend on the state
alone, so they are worked out once for each state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from musicgen.tune_grammar import END, NEVER, TuneGrammar, TuneState, read_word

Allowed = NDArray[np.bool_]

_REMEMBERED = 20_000  # states, about 2 kB each


class _Needed(NamedTuple):
    """For each word, how many tokens a sound tune takes if it comes next, itself counted."""

    needed: NDArray[np.int32]
    least: int
    most: int  # of the words that lead to an end
    possible: Allowed  # tokens (V,) that do


class GrammarMask:
    """The grammar over the vocabulary of one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, usable: Allowed | None = None) -> None:
        """`usable` (V,): tokens that a way to the end may be made of; default all."""
        texts = {index: text for text, index in tokenizer.get_vocab().items()}
        special = set(tokenizer.all_special_ids)
        plain = [text for index, text in texts.items() if index not in special]
        self._grammar = TuneGrammar(
            text
            for index, text in texts.items()
            if index not in special and (usable is None or usable[index])
        )
        known = {word: place for place, word in enumerate({read_word(text) for text in plain})}
        self._words = [*known, END]
        # which word each token is; the last place stands for tokens that are no lexeme
        self._word_of = np.full(len(texts), len(self._words), dtype=np.int64)
        for index, text in texts.items():
            if index not in special:
                self._word_of[index] = known[read_word(text)]
        self._end = tokenizer.eos_token_id
        self._word_of[self._end] = len(self._words) - 1
        self._filling: dict[TuneState, Allowed] = {}
        self._left: dict[TuneState, _Needed] = {}

    def begin(self, ids: Sequence[int], plan: tuple[int, ...] | None = None) -> TuneState:
        """The state after a prompt, whatever stands in it; parts must have the bars of `plan`."""
        state = TuneState(plan=plan)
        for token in ids:
            state = self.read(state, token)
        return state

    def read(self, state: TuneState, token: int) -> TuneState:
        """The state after one more token."""
        place = int(self._word_of[token])
        if place >= len(self._words) - 1:  # the begin mark, the end mark
            return state
        return self._grammar.read(state, self._words[place])

    def needed(self, state: TuneState) -> int:
        """Fewest tokens from here to a sound end, the end mark counted; NEVER if there is none."""
        return min(NEVER, self._grammar.distance(state))

    def allowed(self, state: TuneState, left: int) -> Allowed:
        """Tokens (V,) that may come next where `left` tokens may still be written, the end too.

        Where even the shortest way to an end is longer than that, the tokens on it are allowed.
        """
        state, more = self._grammar.shortened(state)
        found = self._tokens_needed(state)
        enough = max(left - more, found.least)
        if enough >= found.most:
            return found.possible
        return np.asarray((found.needed <= enough)[self._word_of])

    def filling(self, state: TuneState) -> Allowed:
        """Tokens (V,) that may stand in a bar that is not full yet and can be filled after them."""
        if state not in self._filling:
            row = np.zeros(len(self._words) + 1, dtype=np.bool_)
            for place, word in enumerate(self._words[:-1]):
                if word.kind in ("note", "rest", "tuplet", "tie"):
                    following = self._grammar.after(state, word)
                    row[place] = following is not None and self._grammar.fills(following)
            self._filling[state] = row[self._word_of]
        return self._filling[state]

    @staticmethod
    def is_full(state: TuneState) -> bool:
        """Whether a bar, in which there is something, lacks nothing."""
        return state.ticks == state.bar and not state.tuplet[2]

    def _tokens_needed(self, state: TuneState) -> _Needed:
        known = self._left.get(state)
        if known is not None:
            return known
        needed = np.full(len(self._words) + 1, NEVER, dtype=np.int32)
        for place, word in enumerate(self._words[:-1]):
            following = self._grammar.after(state, word)
            if following is not None:
                needed[place] = min(NEVER, 1 + self._grammar.distance(following))
        if self._grammar.ends(state):
            needed[-2] = 1
        if len(self._left) >= _REMEMBERED:
            self._left.clear()
        finite = needed < NEVER
        most = int(needed[finite].max(initial=0))
        self._left[state] = _Needed(needed, int(needed.min()), most, finite[self._word_of])
        return self._left[state]
