"""Tokens a second: our decoder beside transformers' generate(), same weights, same sampling.

Both draw from the model's own distribution (temperature 1, no top-p), one thread, from the begin
mark, in turns within one run. A row that ends leaves our batch; generate() pads it. Only tokens up
to the end mark count. The promise: three times as many tokens a second, at batch 1 and at batch 64.
"""

import statistics
import time
from collections.abc import Callable

import torch
from transformers import logging as transformers_logging

from musicgen.checkpoint import BUNDLED, load_checkpoint
from musicgen.draft import load_draft
from musicgen.header import TuneRequest
from musicgen.sample import SampleOptions, TuneSampler
from musicgen.tokenizer import encode_prompt

BATCHES = {1: 12, 64: 3}  # rows at a time: turns
TOKENS = 256
HEADER = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n"
PROMISED = 3.0


def speeds(rows: int, turns: int) -> dict[str, list[float]]:
    """Tokens a second of each turn."""
    found = load_checkpoint(BUNDLED / "base")
    model, tokenizer = found.model, found.tokenizer
    sampler = TuneSampler(
        model, tokenizer, draft=load_draft(BUNDLED / "base", model.config.vocab_size)
    )
    prompt = encode_prompt(tokenizer, HEADER)
    ids = torch.tensor([prompt] * rows)

    def ours(seed: int) -> int:
        options = SampleOptions.own(seed=seed, max_tokens=TOKENS)
        request = TuneRequest("reel", "4/4", "D")
        return sum(s.tokens for s in sampler.samples(request, options, rows, batch=rows))

    def theirs(seed: int) -> int:
        torch.manual_seed(seed)
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0,
            top_p=1.0, max_new_tokens=TOKENS, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        return int((out[:, len(prompt) :] != tokenizer.pad_token_id).sum())

    drawers: dict[str, Callable[[int], int]] = {"ours": ours, "generate()": theirs}
    times: dict[str, list[float]] = {name: [] for name in drawers}
    for draw in drawers.values():
        draw(999)  # warm up
    for turn in range(turns):
        for name, draw in drawers.items():
            start = time.perf_counter()
            tokens = draw(turn)
            times[name].append(tokens / (time.perf_counter() - start))
    return times


def main() -> None:
    """Prints the table; exits with 1 if the promise is broken."""
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    kept = True
    print("tokens a second, median of the turns")
    for rows, turns in BATCHES.items():
        medians = {name: statistics.median(found) for name, found in speeds(rows, turns).items()}
        ratio = medians["ours"] / medians["generate()"]
        kept = kept and ratio >= PROMISED
        line = "  ".join(f"{name} {value:7.0f}" for name, value in medians.items())
        print(f"  batch {rows:3}:  {line}  ({ratio:.1f}x)")
    print(f"promise: {PROMISED:g}x at both - {'kept' if kept else 'BROKEN'}")
    if not kept:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
