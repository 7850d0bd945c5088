"""Which tokens keep a tune sound, for every token of a vocabulary at once.

A mask is a boolean row over the vocabulary: a token is allowed if the grammar allows its lexeme
there and a sound end can still be reached with the tokens that are left. Rows depend on the state
alone, so they are worked out once for each state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from musicgen.tune_grammar import END, NEVER, TuneGrammar, TuneState, read_word

Allowed = NDArray[np.bool_]

_REMEMBERED = 50_000  # states


class GrammarMask:
    """The grammar over the vocabulary of one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        texts = {index: text for text, index in tokenizer.get_vocab().items()}
        special = set(tokenizer.all_special_ids)
        plain = [text for index, text in texts.items() if index not in special]
        self._grammar = TuneGrammar(plain)
        known = {word: place for place, word in enumerate({read_word(text) for text in plain})}
        self._words = [*known, END]
        # which word each token is; the last place stands for tokens that are no lexeme
        self._word_of = np.full(len(texts), len(self._words), dtype=np.int64)
        for index, text in texts.items():
            if index not in special:
                self._word_of[index] = known[read_word(text)]
        self._end = tokenizer.eos_token_id
        self._word_of[self._end] = len(self._words) - 1
        self._left: dict[TuneState, NDArray[np.int32]] = {}

    def begin(self, ids: Sequence[int]) -> TuneState:
        """The state after a prompt, whatever stands in it."""
        state = TuneState()
        for token in ids:
            state = self.read(state, token)
        return state

    def read(self, state: TuneState, token: int) -> TuneState:
        """The state after one more token."""
        place = int(self._word_of[token])
        if place >= len(self._words) - 1:  # the begin mark, the end mark
            return state
        return self._grammar.read(state, self._words[place])

    def allowed(self, state: TuneState, left: int) -> Allowed:
        """Tokens (V,) that may come next where `left` tokens may still be written, the end too.

        Where even the shortest way to an end is longer than that, the tokens on it are allowed.
        """
        needed = self._tokens_needed(state)
        enough = max(left, int(needed.min()))
        return np.asarray((needed <= min(enough, NEVER - 1))[self._word_of])

    def _tokens_needed(self, state: TuneState) -> NDArray[np.int32]:
        """For each word, how many tokens a sound tune takes if it comes next, itself counted."""
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
        self._left[state] = needed
        return needed
