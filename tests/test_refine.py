"""Tokens are blamed for their own bar, and a refined model writes them less often."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from musicgen.blame import blame
from musicgen.checkpoint import BUNDLED, CheckpointError, load_checkpoint
from musicgen.refine import RefineConfig, Row, add_gradients, chosen_rows, refine
from musicgen.sample import Sample, SampleOptions, TuneRequest, TuneSampler
from musicgen.tokenizer import build_tokenizer, decode_tune, encode_prompt

HEADER = "X:1\nM:2/4\nL:1/8\nK:D\n"
PLANNED = "X:1\nM:2/4\nL:1/8\nN:parts 8\nK:D\n"
SOUND = "|:d2e2|f2g2|a2b2|a2g2|f2e2|d2c2|B2c2|d2d2:|\n"


def written(body: str, header: str = HEADER, finished: bool = True) -> Sample:
    """As if a model had drawn `body` after `header`, whose plan line is not served."""
    before, drawn = encode_prompt(TOKENIZER, header), encode_prompt(TOKENIZER, body)[1:]
    end = [TOKENIZER.eos_token_id] if finished else []
    ids = (*before, *drawn, *end)
    abc = HEADER + body
    tokens = len(drawn) + len(end)
    return Sample(abc, finished, 0, 0, TuneRequest(), SampleOptions(), tokens, -1.0, ids=ids)


TOKENIZER, _ = build_tokenizer([HEADER + SOUND, PLANNED], min_count=1)


def blamed_text(sample: Sample, tokenizer: PreTrainedTokenizerFast = TOKENIZER) -> str:
    drawn = sample.ids[len(sample.ids) - sample.tokens :]
    found = blame(sample, tokenizer)
    return decode_tune(tokenizer, [t for t, part in zip(drawn, found, strict=True) if part == 1])


def test_nothing_of_a_sound_tune_is_to_blame() -> None:
    assert not blame(written(SOUND), TOKENIZER).any()


@pytest.mark.parametrize("header", [HEADER, PLANNED])
def test_a_faulty_bar_is_to_blame_with_its_bar_line_whatever_the_header_held(header: str) -> None:
    sample = written(SOUND.replace("a2b2|", "a2b2a2|"), header)
    assert blamed_text(sample) == "a2b2a2|"


def test_a_short_bar_is_to_blame_with_the_bar_line_that_came_too_soon() -> None:
    assert blamed_text(written(SOUND.replace("a2b2|", "a2|"))) == "a2|"


def test_an_error_of_the_text_is_to_blame() -> None:
    sample = written(SOUND.replace("a2b2|", "a2[b2|"))
    assert "[" in blamed_text(sample)


def test_the_end_is_to_blame_for_a_tune_that_stops_short() -> None:
    found = blame(written("|:d2e2|f2g2:|\n"), TOKENIZER)
    assert found[-1] == 1 and found[:-4].sum() == 0


def test_a_loop_counts_as_one_bar_however_long_it_is() -> None:
    def loop(times: int) -> Sample:
        return written("|:d2e2|f2g2|a2b2|" + "d2e2|" * times + "d2d2:|\n")

    short, long = blame(loop(40), TOKENIZER), blame(loop(80), TOKENIZER)
    assert long.sum() == pytest.approx(short.sum(), rel=0.05)
    assert 0 < long[-10] < short[-10] < 1
    assert not long[:4].any()


def test_sound_tunes_weigh_for_those_that_are_left_out() -> None:
    samples = [written(SOUND)] * 9 + [written(SOUND.replace("a2b2|", "a2|"))]
    rows = chosen_rows(samples, TOKENIZER, 1 / 3, [0])
    assert [row.weight for row in rows].count(3.0) == 3
    assert sum(row.weight for row in rows) == 10
    assert sum(row.blame.any() for row in rows) == 1


def test_a_step_makes_blamed_tokens_less_probable_and_moves_nothing_where_none_is() -> None:
    found = load_checkpoint(BUNDLED / "base")
    model, base = found.model, copy.deepcopy(found.model).requires_grad_(False)
    sampler = TuneSampler(model, found.tokenizer)
    sample = next(sampler.samples(TuneRequest(), SampleOptions(1.0, 1.0, seed=3), 1))
    blamed = np.zeros(sample.tokens)
    blamed[10:15] = 1.0
    ids = torch.tensor([sample.ids])
    place = len(sample.ids) - sample.tokens + 10

    def logprob() -> float:
        with torch.no_grad():
            logprobs = torch.log_softmax(model(ids[:, :-1]).logits, -1)
        return float(logprobs.gather(-1, ids[:, 1:, None])[0, place - 1 : place + 4].sum())

    before = logprob()
    kl = add_gradients(model, base, [Row(sample.ids, blamed, 1.0)], 1, 0.02)
    assert kl == pytest.approx(0.0, abs=1e-4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 1e-4 * parameter.grad
    assert logprob() < before

    model.zero_grad()
    add_gradients(base_copy := copy.deepcopy(base).requires_grad_(True), base, [
        Row(sample.ids, np.zeros(sample.tokens), 1.0)
    ], 1, 0.02)  # fmt: skip
    assert max(float(p.grad.abs().max()) for p in base_copy.parameters()) < 1e-4


def test_a_run_writes_a_model_its_card_and_its_log_and_goes_on_where_it_was(tmp_path: Path) -> None:
    def config(out: str, **more: int | bool) -> RefineConfig:
        return RefineConfig(BUNDLED / "base", tmp_path / out, updates=2, tunes=8, **more)

    steps = list(refine(config("whole")))
    assert [step.update for step in steps] == [1, 2]
    assert steps[0].kl == pytest.approx(0.0, abs=1e-3) and steps[1].kl > 0
    assert "gate" in steps[0].line()
    card = (tmp_path / "whole" / "model" / "README.md").read_text()
    assert "musicgen refine --model" in card
    assert card.index("## Refined") < card.index("## Use")
    log = (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    assert json.loads(log[1])["update"] == 2
    with pytest.raises(CheckpointError, match="--resume"):
        next(refine(config("whole")))
    assert not list(refine(config("whole", resume=True)))
