"""The loop of tuning, with every method: it learns, is watched, goes on where it was cut off."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_model import HEADER, height, likes_high_notes, toy_base

from prefs.direct import best_and_worst
from prefs.guards import Health, Limits, concerns, mean_health
from prefs.optimise import (
    DpoOptions,
    PolicyOptions,
    TuneError,
    TuneOptions,
    TuneStep,
    tune,
    what_happened,
)
from prefs.prompted import TokenTable, cut_prompt, cut_prompts, roll_out_prompts
from prefs.rollout import Rollouts, roll_out

# the toy base writes few different tunes as it is, so its variety is not held to 85%
LOOSE = Limits(variety=0.4, length=(0.2, 3.0))
POLICY = PolicyOptions(batch=64, preflight=64, updates=8, lr=1e-3, warmup=2)
OPTIONS = TuneOptions(
    seed=3, pool=128, limits=LOOSE, policy=POLICY, dpo=DpoOptions(lr=5e-4, pairs_a_step=8)
)


def run(options: TuneOptions, **more) -> tuple[torch.nn.Module, list[TuneStep]]:
    base = toy_base()
    model = copy.deepcopy(base.model)
    return model, list(tune(model, base.tokenizer, likes_high_notes, options, **more))


@pytest.mark.parametrize("method", ["ppo", "rloo", "dpo", "expert", "best-of-n"])
def test_every_method_makes_the_tunes_that_are_liked_more_frequent(method):
    base = toy_base()
    model, steps = run(replace(OPTIONS, method=method))
    assert steps and all(isinstance(step, TuneStep) and step.line() for step in steps)
    heights = []
    for one in (base.model, model):
        drawn = roll_out(one, base.tokenizer, 192, 5)
        heights.append(np.mean([height(abc) for abc in drawn.sound_tunes]))
    assert heights[1] > heights[0] + 0.1, (method, heights)


def test_a_run_that_is_cut_off_goes_on_to_the_same_numbers(tmp_path: Path):
    base = toy_base()
    options = replace(OPTIONS, method="ppo", policy=replace(POLICY, updates=4))
    whole, steps = run(options)
    cut = copy.deepcopy(base.model)
    going = tune(cut, base.tokenizer, likes_high_notes, options, keep=tmp_path / "state.pt")
    first = [next(going), next(going)]
    going.close()
    again, rest = run(options, keep=tmp_path / "state.pt")
    assert rest[:2] == first, "the records of before come first"
    assert rest == steps and len(steps) == 4
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_state_of_another_run_is_refused(tmp_path: Path):
    place = tmp_path / "state.pt"
    options = replace(OPTIONS, method="rloo", policy=replace(POLICY, updates=1))
    run(options, keep=place)
    with pytest.raises(TuneError, match="written with other options"):
        run(replace(options, seed=1), keep=place)


def test_two_processes_come_to_the_gradients_of_one(tmp_path: Path):
    words = [sys.executable, str(Path(__file__).parent / "update_in_processes.py"), str(tmp_path)]
    for count in (1, 2):
        done = subprocess.run([*words, str(count)], capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
    one, both = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("1-0", "2-0"))
    other = torch.load(tmp_path / "2-1.pt", weights_only=True)
    assert len(one) > 20 and any(gradient.abs().max() > 1e-3 for gradient in one)
    for single, mine, theirs in zip(one, both, other, strict=True):
        assert torch.allclose(single, mine, atol=1e-6), "as one process has them"
        assert torch.equal(mine, theirs), "and the same in both"


def test_a_figure_that_nears_its_limit_is_met_by_a_soft_step():
    limits = replace(LOOSE, kl=2.0)
    _, steps = run(replace(OPTIONS, method="ppo", limits=limits))
    soft = [step for step in steps if step.done and not step.taken_back]
    assert soft and soft[0].done[0].startswith("near its limit: KL")
    assert "learning rate lowered to 70%, KL weight raised to" in soft[0].done[0]
    before = next(step for step in steps if step.round == soft[0].round)
    after = next(step for step in steps if step.round == soft[0].round + 1)
    assert after.figures["kl_weight"] > 1.4 * before.figures["kl_weight"]
    assert "In " in what_happened(steps) and "came near its limit" in what_happened(steps)


def test_a_collapse_goes_back_to_the_best_state_and_the_report_says_so():
    base = toy_base()
    reckless = replace(POLICY, lr=0.1, warmup=0, stop_kl=1e9)
    model, steps = run(replace(OPTIONS, method="ppo", policy=reckless))
    assert steps[-1].taken_back and steps[-1].done[0].endswith("and no further")
    assert sum(bool(step.taken_back) for step in steps) == 2
    said = what_happened(steps)
    assert "was taken back, as its" in said or "was taken back, as it lies" in said, said
    drawn = roll_out(model, base.tokenizer, 64, 3)
    assert np.mean(drawn.sound) > 0.5, "what is left is a model that writes tunes"


def test_the_kl_weight_falls_while_the_model_is_near_and_rises_when_it_is_far():
    near = replace(POLICY, kl_target=0.3, kl_weight=1.3)
    _, steps = run(replace(OPTIONS, method="rloo", policy=near))
    weights = [step.figures["kl_weight"] for step in steps]
    distances = [step.figures["batch_kl"] for step in steps]
    for step in range(len(weights) - 1):
        moved = weights[step + 1] / weights[step]
        wanted = 1 + np.clip(0.1 * (distances[step] / 0.3 - 1), -0.02, 0.02)
        assert moved == pytest.approx(wanted)


def test_concerns_name_the_figures_that_went_three_quarters_of_the_way():
    well = Health(kl=3, entropy=1.5, variety=0.3, validity=0.7, length=120, tunes=400)
    assert concerns(well, well, Limits()) == []
    changes = {
        "KL": {"kl": 15.5},  # of 20
        "entropy": {"entropy": 1.5 * 0.69},  # limit 0.6: 0.7 is three quarters of the way
        "variety": {"variety": 0.3 * 0.88},  # limit 0.85
        "length": {"length": 120 * 0.69},  # limit 0.6
        "reward spread": {"reward_spread": 0.46},  # limit 0.3
    }
    for name, change in changes.items():
        assert concerns(replace(well, **change), well, Limits()) == [name]


def test_health_over_several_batches_is_their_mean_and_counts_their_tunes():
    one = Health(kl=1, entropy=1, variety=0.2, validity=0.5, length=100, tunes=64)
    mean = mean_health([one, replace(one, kl=3, validity=0.7)])
    assert (mean.kl, mean.validity, mean.tunes) == (2, pytest.approx(0.6), 128)


def test_a_prompt_is_a_header_and_whole_bars_and_never_the_whole_tune():
    tokenizer = toy_base().tokenizer
    abc = HEADER + "DEFG|ABcd|efed|cBAG|DEFG|ABcd|efed|cBAG|\n"

    def text(bars):
        return tokenizer.decode(cut_prompt(tokenizer, abc, bars), skip_special_tokens=True)

    assert text(0) == HEADER
    assert text(2) == HEADER + "DEFG|ABcd|"
    assert text(99) == HEADER
    many = cut_prompts(tokenizer, [abc], 60, 4, np.random.default_rng(0))
    assert {len(prompt) for prompt in many} == {6 + 5 * bars for bars in range(5)}


def test_only_what_was_drawn_counts_and_its_probabilities_are_the_forward_passs():
    base = toy_base()
    abc = HEADER + "DEFG|ABcd|efed|cBAG|DEFG|ABcd|efed|cBAG|\n"
    prompts = [cut_prompt(base.tokenizer, abc, bars) for bars in (0, 3)]
    drawn = roll_out_prompts(base.model, base.tokenizer, prompts, 4, 1)
    assert all(abc.startswith(HEADER + "DEFG|ABcd|efed|") for abc in drawn.tunes[4:])
    table = TokenTable.of(drawn, base.tokenizer.pad_token_id, base.model.device)
    assert table.mask.sum(1).tolist() == [len(values) for values in drawn.logprobs]
    forward = table.all_logprobs(base.model, 128)  # in several pieces
    assert torch.allclose(forward, table.sampler_logprobs(drawn), atol=1e-4)
    again = roll_out_prompts(base.model, base.tokenizer, prompts, 4, 1)
    assert again == drawn


def test_dpo_prefers_the_best_sound_tune_to_the_worst_and_a_broken_one_is_the_worst():
    rewards = np.array([1.0, 3, 2, 0, 5, 4, -3, 6, -3, -3, -3, -3, 2, 2, 2, 2])
    sound = (True,) * 6 + (False, True) + (False,) * 4 + (True,) * 4
    assert best_and_worst(rewards, sound, 4) == [(1, 3), (7, 6)]


def test_rollouts_are_kept_as_plain_values(tmp_path: Path):
    found = roll_out(toy_base().model, toy_base().tokenizer, 3, 0)
    assert Rollouts.of_rows(json.loads(json.dumps(list(found.rows())))) == found
