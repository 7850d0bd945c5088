"""A title for a tune, drawn from the model that wrote it."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import torch

from musicgen.draw import choose, exponentials, mask_logits
from musicgen.sample import TuneSampler
from musicgen.titles import FEWEST_WORDS, MOST_WORDS, TitleJudge, title_prompt
from musicgen.tokenizer import decode_tune, encode_prompt

TEMPERATURE = 0.8
TRIES = 12  # drawn side by side; the first plausible one is taken
_LONGEST = 40  # tokens, about as many characters


class TuneNamer:
    """Draws titles from a model that was trained on some; knows none for another model."""

    def __init__(self, sampler: TuneSampler) -> None:
        self._sampler = sampler
        self._judge = TitleJudge(sampler.titles) if sampler.titles else None
        words = {word for title in sampler.titles for word in title.split()}
        self._words = words
        self._beginnings = {word[:end] for word in words for end in range(len(word) + 1)}
        self._texts: list[str] = []
        if self._judge is not None:
            texts = sampler.tokenizer.convert_ids_to_tokens(range(sampler.decoder.vocabulary))
            self._texts = [text or "" for text in texts]
        self._spelling: dict[tuple[str, int], np.ndarray] = {}

    def title(self, abc: str) -> str | None:
        """A plausible title that is none of the corpus; the same text gets the same one.

        None where the model names no tunes, or drew nothing plausible.
        """
        if self._judge is None:
            return None
        seed = int.from_bytes(hashlib.sha256(abc.encode()).digest()[:8], "big")
        rhythm = re.search(r"^R:(.+)$", abc, re.MULTILINE)
        drawn = self._draw(rhythm[1] if rhythm else None, seed)
        return next((title for title in drawn if self._judge.accepts(title)), None)

    def titled(self, abc: str) -> str:
        """The tune's text with a T: line if a title was found and there is none yet."""
        title = None if "\nT:" in abc else self.title(abc)
        return abc.replace("\n", f"\nT:{title}\n", 1) if title else abc

    def _allowed(self, row: list[int]) -> np.ndarray:
        """Tokens (V,) that spell the corpus's words, and the end behind two or more."""
        *words, word = "".join(self._texts[token] for token in row).split(" ")
        state = word, min(len(words) + 1, MOST_WORDS + 1)
        if state not in self._spelling:
            allowed = np.array([self._spells(word, text) for text in self._texts])
            ends = word in self._words and state[1] >= FEWEST_WORDS
            allowed[self._sampler.tokenizer.eos_token_id] = ends or not allowed.any()
            self._spelling[state] = allowed
        return self._spelling[state]

    def _spells(self, word: str, text: str) -> bool:
        """Whether `text` goes on from the beginning of a word."""
        *whole, last = (word + text).split(" ")
        return bool(text) and set(whole) <= self._words and last in self._beginnings

    def _draw(self, rhythm: str | None, seed: int) -> list[str]:
        """Titles as the model writes them, good or bad."""
        tokenizer, decoder = self._sampler.tokenizer, self._sampler.decoder
        known = rhythm if rhythm in self._sampler.headers.rhythms else None
        prompt = encode_prompt(tokenizer, title_prompt(known))
        stream = np.random.Generator(np.random.Philox(seed))
        stops = {tokenizer.eos_token_id, tokenizer.get_vocab()["\n"]}
        rows: list[list[int]] = [[] for _ in range(TRIES)]
        position = len(prompt)
        with torch.inference_mode():
            cache = decoder.new_cache(TRIES, position + _LONGEST)
            ids = torch.tensor([prompt] * TRIES, device=decoder.device)
            logits = decoder(ids, 0, cache)
            for _ in range(_LONGEST):
                allowed = np.stack([self._allowed(row) for row in rows])
                offered, _ = mask_logits(logits, allowed)
                noise = exponentials(stream, (TRIES, offered.shape[1]))
                chosen, _ = choose(offered, noise, TEMPERATURE, 1.0)
                for row, token in zip(rows, chosen.tolist(), strict=True):
                    if not row or row[-1] not in stops:
                        row.append(token)
                if all(row[-1] in stops for row in rows):
                    break
                ids = torch.tensor(chosen[:, None], device=decoder.device)
                logits = decoder(ids, position, cache)
                position += 1
        whole = [row[:-1] for row in rows if row[-1] in stops]
        return [decode_tune(tokenizer, row) for row in whole]
