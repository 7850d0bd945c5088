"""The sweep over arms, votes and rewards, on a toy base model."""

import json

import numpy as np
import pytest
import torch
from toy_model import HEADER, likes_high_notes, toy_base, toy_tune

from benchmarks.preference import founding, rewards, sweep
from benchmarks.preference.other_arms import OTHER_ARMS, GrowingLength, ShrinkingPrefixes
from benchmarks.preference.protocol import joined, unrelated_pairs
from benchmarks.preference.settings import Setting
from musicgen.checkpoint import save_checkpoint
from prefs.optimise import TuneOptions
from prefs.probe import Comparisons
from prefs.reward_model import UNSOUND, Features
from prefs.rollout import Rollouts, roll_out
from prefs.training_votes import TrainingVotes


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with the toy base model and a corpus of toy tunes."""
    folder = tmp_path_factory.mktemp("toy")
    base = toy_base()
    save_checkpoint(folder / "base", base.model, base.tokenizer, card="")
    rng = np.random.default_rng(1)
    lines = (json.dumps({"abc": toy_tune(rng)}) + "\n" for _ in range(200))
    (folder / "corpus.jsonl").write_text("".join(lines))
    return folder


def a_row(name: str, **changes) -> dict:
    return {
        "key": f"{name} gentle 0",
        "name": name,
        "pairs": 100,
        "noiseless": {"win_rate": 0.625},
        "noisy": {"win_rate": 0.55},
        "reward_accuracy": {"noiseless": 0.7},
        "kl": 4.25,
        "variety_of_base": 0.98,
        "gate_at_1": [0.5, 0.4],
        "taken_back": 0,
        "cpu_seconds": 90,
        "curve": [{"kl": 2.0, "gold": 0.25, "reward": 0.5}, {"kl": 4.0, "gold": 0.5, "reward": 1}],
        **changes,
    }


def test_a_sweep_knows_its_tables_and_reports_what_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "RESULTS", tmp_path)
    assert sweep.main(["--table", "colours"]) == 2
    assert "no table 'colours': there are arms" in capsys.readouterr().err
    wanted = sweep.wanted_settings(sweep.SweepOptions(seeds=2, tastes=("gentle",)))
    names = [one.key for one in wanted]
    assert names[0] == "expert gentle 0" and len(names) == len(set(names)) == 22
    assert {one.arm for one in wanted} == {"usual", "founding", *OTHER_ARMS}
    (tmp_path / "arms.jsonl").write_text(json.dumps(a_row("expert")) + "\n")
    assert sweep.main(["--report"]) == 0
    said = capsys.readouterr().out.splitlines()
    # Wilson, 62.5 points of 100: 52.7% to 71.4%
    assert " ".join(said[1].split()) == (
        "expert 1 62.5% 52.7% - 71.4% 55.0% 70.0% 4.2 98% 50% (40%) 0.0 1.5"
    )
    assert said[-1].split() == ["expert", "2.0:", "+0.25", "(+0.50)", "4.0:", "+0.50", "(+1.00)"]


def test_every_other_arm_is_a_run_and_a_run_is_not_done_again(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "RESULTS", tmp_path)
    monkeypatch.setattr(sweep, "FOUNDING_UPDATES", 1)
    how = TuneOptions(pool=128, rounds=1)
    runs = [Setting("expert", "gentle", votes=60, tune=how)]
    runs += [Setting(arm, "gentle", votes=60, arm=arm, tune=how) for arm in OTHER_ARMS]
    runs += [Setting("sittings", "gentle", votes=60, sittings=2, pairs="unrelated", tune=how)]
    monkeypatch.setattr(sweep, "wanted_settings", lambda options: runs)
    monkeypatch.setattr("benchmarks.preference.other_arms.EDITED", 4)
    options = [
        *("--model", str(toy / "base"), "--corpus", str(toy / "corpus.jsonl")),
        *("--tastes", "gentle", "--pairs", "32", "--pool", "128", "--work", str(tmp_path / "work")),
    ]
    assert sweep.main(options) == 0
    rows = [json.loads(line) for line in (tmp_path / "arms.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["expert", *OTHER_ARMS, "sittings"]
    assert all(row["pairs"] == 32 and row["votes"] == 60 and row["kl"] > 0 for row in rows)
    rounds = {row["name"]: len(row["curve"]) for row in rows}
    assert rounds["expert"] == 1 and rounds["editing"] == rounds["winners"] == 0
    assert rounds["prefixes"] == rounds["lengths"] == 3
    assert np.isfinite(rows[0]["curve"][0]["gold"])
    monkeypatch.setattr(sweep, "run", None)
    assert sweep.main(options) == 0
    assert len((tmp_path / "arms.jsonl").read_text().splitlines()) == len(rows)


def test_prefixes_shrink_from_round_to_round():
    base = toy_base()
    pool = roll_out(base.model, base.tokenizer, 48, 0)
    draw = ShrinkingPrefixes(pool)
    beginnings = {abc[: len(HEADER)] for abc in pool.sound_tunes}
    for seed in (0, 1_000, 2_001):
        drawn = draw(base.model, base.tokenizer, 4, seed)
        assert {abc[: len(HEADER)] for abc in drawn.tunes} <= beginnings and len(drawn) == 4


def test_longer_tunes_are_rewarded_later():
    def tune(bars: int) -> str:
        return HEADER + "DEFG|" * bars + "\n"

    tunes = (tune(8), tune(12), tune(20))
    rollouts = Rollouts(tunes, (True,) * 3, (True,) * 3)
    growing = GrowingLength(lambda *_: rollouts, lambda given: np.ones(len(given)))
    told = []
    for number in range(3):
        growing.draw(None, None, 3, 1_000 * number)
        told.append(growing.score(rollouts).tolist())
    assert told == [[1, UNSOUND, UNSOUND], [1, 1, UNSOUND], [1, 1, 1]]


def test_the_founding_loop_draws_on_behind_the_end_and_from_forty_tokens():
    base = toy_base()
    table, logprobs = founding.draw(
        base.model, base.tokenizer.bos_token_id, torch.Generator().manual_seed(0)
    )
    assert table.inputs.shape == table.targets.shape == logprobs.shape
    assert table.inputs.shape[0] == founding.BATCH and float(table.mask.min()) == 1
    rows = table.targets.tolist()
    assert any(base.tokenizer.eos_token_id in row[:-1] for row in rows)
    own = table.all_logprobs(base.model, 4_096)
    # among forty tokens each is likelier than among all, and its policy does not know
    assert float((logprobs - own).min()) > -1e-3


def test_an_update_of_the_founding_loop_moves_the_model_and_hardly_the_kl_weight():
    base, model = toy_base(), toy_base().model.__class__(toy_base().model.config)
    model.load_state_dict(base.model.state_dict())
    before = model.transformer.wte.weight.clone()
    steps = founding.founding(
        model.eval(), base.model, base.tokenizer, likes_high_notes, updates=2, lr=1e-3, seed=0
    )
    one, two = list(steps)
    assert one.kl == pytest.approx(0, abs=1e-2) and two.kl != 0
    assert not torch.equal(before, model.transformer.wte.weight)
    assert two.kl_weight == pytest.approx(founding.KL_WEIGHT, rel=4e-4)


def test_strengths_are_posterior_means_of_bradley_and_terry():
    pair = Comparisons(np.array([0]), np.array([1]), np.array([1.0]))
    # the mode solves s = 1 - sigmoid(2 s) under a prior of deviation 1
    assert rewards.strengths(pair, 2) == pytest.approx([0.337, -0.337], abs=1e-3)
    often = Comparisons(np.zeros(50, int), np.ones(50, int), np.full(50, 0.5))
    assert rewards.strengths(often, 2) == pytest.approx([0, 0], abs=1e-6)


def test_a_regression_on_strengths_finds_what_votes_follow():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(600, 48))
    pairs = rng.permutation(600).reshape(-1, 2)
    liked = table[:, 3]
    votes = Comparisons(
        pairs[:, 0], pairs[:, 1], (liked[pairs[:, 0]] > liked[pairs[:, 1]]).astype(float)
    )
    features = Features(table, rng.normal(size=(600, 9)))
    fresh = rng.normal(size=(400, 48))
    scale = Features(fresh, rng.normal(size=(400, 9)))
    reward = rewards.fitted("regression", rewards.Taught(features, votes, scale))
    found = reward.rewards(scale, [True] * 400)
    assert np.corrcoef(found, fresh[:, 3])[0, 1] > 0.6
    assert abs(found.mean()) < 0.1 and reward.probe.accuracy > 0.7


def test_unrelated_pairs_set_tunes_of_different_openings_side_by_side(tmp_path):
    place = tmp_path / "pairs.jsonl"
    lines = [
        {"pair_id": f"p{i}", "first": {"abc": f"a{i}"}, "second": {"abc": f"b{i}"}}
        for i in range(3)
    ]
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = unrelated_pairs(place, tmp_path / "unrelated.jsonl").read_text().splitlines()
    sides = [(one["first"]["abc"], one["second"]["abc"]) for one in map(json.loads, found)]
    assert sides == [("a0", "b1"), ("a1", "b2"), ("a2", "b0")]


def test_votes_of_several_sittings_are_joined():
    def votes(*tunes: str) -> TrainingVotes:
        return TrainingVotes(
            tunes, Comparisons(np.array([0]), np.array([1]), np.array([1.0])), None, 0
        )

    found = joined([votes("a", "b"), votes("c", "d")])
    assert found.tunes == ("a", "b", "c", "d")
    assert found.comparisons.first.tolist() == [0, 2]
    assert found.comparisons.second.tolist() == [1, 3]
