"""A title for a tune, drawn from the model that wrote it."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import torch

from musicgen.sample import TuneSampler, choose
from musicgen.titles import TitleJudge, title_prompt
from musicgen.tokenizer import decode_tune, encode_prompt

TEMPERATURE = 0.8
TRIES = 12  # drawn side by side; the first plausible one is taken
_LONGEST = 40  # tokens, about as many characters


class TuneNamer:
    """Draws titles from a model that was trained on some; knows none for another model."""

    def __init__(self, sampler: TuneSampler) -> None:
        self._sampler = sampler
        self._judge = TitleJudge(sampler.titles) if sampler.titles else None

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
                uniforms = stream.random(TRIES)
                chosen, _ = choose(logits, list(uniforms), TEMPERATURE, 1.0)
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
