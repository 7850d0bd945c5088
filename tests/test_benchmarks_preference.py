"""The measurements of the preference loop, on a toy base model: small, but from end to end."""

import json
from dataclasses import replace

import numpy as np
import pytest
from toy_model import HEADER, height, toy_base, toy_tune

from abc_tools import parse_tune, passes_gate
from benchmarks.preference import collapse, final, ladder_model, ppo_seeds
from benchmarks.preference.drawing import Drawn, draw_sound, prompts_of
from benchmarks.preference.protocol import WinRate, gold, votes_from_files
from benchmarks.preference.reward_accuracy import agreement, explained
from musicgen.checkpoint import load_checkpoint, save_checkpoint
from musicgen.novelty import NoveltyIndex
from musicgen.sample import SampleError, SampleOptions, TuneSampler
from prefs.guards import Health
from prefs.ladder import bundled_reward
from prefs.raters import Rater
from prefs.rollout import roll_out


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with the toy base model and a corpus of toy tunes."""
    folder = tmp_path_factory.mktemp("toy")
    base = toy_base()
    save_checkpoint(folder / "base", base.model, base.tokenizer, card="", titles=["The Toy"])
    rng = np.random.default_rng(1)
    lines = (json.dumps({"abc": toy_tune(rng)}) + "\n" for _ in range(200))
    (folder / "corpus.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def sampler(toy) -> TuneSampler:
    base = load_checkpoint(toy / "base")
    return TuneSampler(base.model, base.tokenizer)


def test_tunes_are_drawn_with_the_header_and_opening_asked_for_and_never_twice(
    sampler, toy, tmp_path, monkeypatch
):
    tunes = [toy_tune(np.random.default_rng(seed)) for seed in range(70)]
    prompts = prompts_of(sampler.tokenizer, tunes, 70, 2)
    whole = draw_sound(sampler, prompts, 3, tmp_path / "tunes.jsonl")
    two_bars = len(HEADER + "DEFG|DEFG|")
    found = [(one, other) for one, other in zip(whole.tunes, tunes, strict=True) if one is not None]
    assert len(found) > 60
    assert all(passes_gate(one) and one[:two_bars] == other[:two_bars] for one, other in found)
    assert all(one != other for one, other in found)
    lines = (tmp_path / "tunes.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "tunes.jsonl").write_text("".join(lines[:64]) + lines[64][:20])  # killed there
    assert draw_sound(sampler, prompts, 3, tmp_path / "tunes.jsonl") == whole
    monkeypatch.setattr(sampler, "continuations", None)
    assert draw_sound(sampler, prompts, 3, tmp_path / "tunes.jsonl") == whole


def test_openings_are_taken_round_and_round_from_tunes_that_name_a_rhythm(sampler):
    tunes = [toy_tune(np.random.default_rng(seed)) for seed in range(2)]
    nameless = tunes[0].replace("R:reel\n", "")
    one, two, again = prompts_of(sampler.tokenizer, [nameless, *tunes], 3, 2)
    assert one == again != two
    with pytest.raises(SampleError, match="none of 1 tunes names a rhythm"):
        prompts_of(sampler.tokenizer, [nameless], 3, 2)


def test_a_win_rate_counts_a_tie_as_half_a_win():
    found = WinRate.of([1.0, 1.0, 0.0, 0.5])
    assert (found.wins, found.losses, found.ties, found.win_rate) == (2, 1, 1, 0.625)
    # Wilson, 93 wins of 210: 37.7% to 51.0%
    assert WinRate.of([1.0] * 93 + [0.0] * 117).interval == pytest.approx((0.377, 0.510), abs=5e-4)


def likes_height() -> Rater:
    return Rater("height", lambda tune: height(tune.source), 4.6, 1.8, sharpness=2.0)


def test_gold_is_the_noiseless_taste_on_pairs_whose_tunes_are_both_there(sampler, tmp_path):
    low = HEADER + "DDDD|" * 8 + "\n"
    high = HEADER + "ffff|" * 8 + "\n"
    tuned = Drawn((high, high, low, None), (True, True, False, False))
    base = Drawn((low, low, high, low), (True, True, True, True))
    found = gold(likes_height(), tuned, base)
    assert found.pairs == 3
    assert (found.noiseless.wins, found.noiseless.losses) == (2, 1)
    assert found.first_draw_sound == (0.5, 1.0)
    assert parse_tune(low).rhythm == "reel"


def test_accuracy_against_the_utility_and_against_votes():
    rater = Rater("blunt", lambda tune: 0.0, 0.0, 1.0, sharpness=0.0)
    utilities = np.array([0.0, 1.0, 3.0, 2.0] * 500)
    pairs = np.arange(2_000).reshape(-1, 2)
    found = agreement(rater, utilities, utilities, pairs)
    assert found["noiseless"] == 1.0
    assert found["noisy"] == pytest.approx(0.5, abs=0.06)  # its votes follow nothing


def test_what_a_regression_explains_is_told_on_tunes_that_it_has_not_seen():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(400, 5))
    noise = rng.normal(size=400)
    assert explained(table, table @ np.arange(5)) > 0.99
    assert explained(table, table[:, 0] + noise) == pytest.approx(0.5, abs=0.07)
    assert explained(table, noise) < 0.02


def test_a_taste_for_which_no_round_counts_is_a_row_that_says_so(toy, tmp_path, monkeypatch):
    def taken_back(*_):
        raise final.RetrainError("every round was taken back")
        yield

    monkeypatch.setattr(final, "retrain", taken_back)
    options = [
        *("--model", str(toy / "base"), "--corpus", str(toy / "corpus.jsonl")),
        *("--tastes", "gentle", "--votes", "60", "--pairs", "32", "--pool", "192"),
        *("--work", str(tmp_path / "work"), "--results", str(tmp_path / "final.json")),
    ]
    assert final.main(options) == 0
    (row,) = json.loads((tmp_path / "final.json").read_text())["rows"]
    assert row == {"taste": "gentle", "failed": "every round was taken back"}


def test_the_final_command_measures_a_taste_from_votes_to_win_rate_and_resumes(
    toy, tmp_path, capsys
):
    options = [
        *("--model", str(toy / "base"), "--corpus", str(toy / "corpus.jsonl")),
        *("--tastes", "gentle", "--votes", "200", "--pairs", "64", "--pool", "192"),
        *("--work", str(tmp_path / "work"), "--results", str(tmp_path / "final.json")),
    ]
    assert final.main(options) == 0
    first = json.loads((tmp_path / "final.json").read_text())
    (row,) = first["rows"]
    assert row["taste"] == "gentle" and row["votes"] == 200 and row["pairs"] == 64
    assert row["noiseless"]["wins"] + row["noiseless"]["losses"] + row["noiseless"]["ties"] == 64
    assert row["reward_accuracy"]["noiseless"] > 0.5
    votes = (tmp_path / "work" / "votes" / "gentle.jsonl").read_text().splitlines()
    assert {json.loads(line)["rater"] for line in votes} == {"simulated-gentle"}
    assert 0 <= row["known_by_statistics"] <= 1 and row["members"][0] == "statistics"
    capsys.readouterr()
    assert final.main([*options, "--report"]) == 0
    said = capsys.readouterr().out
    assert "200 votes of a simulated rater who agrees with itself on 75%" in said
    assert "of 64 pairs noiseless" in said and " of 1 tastes reach 60%" in said
    assert final.main(options) == 0  # nothing is drawn or trained again
    assert json.loads((tmp_path / "final.json").read_text())["rows"] == first["rows"]


def test_votes_of_files_are_those_of_a_store(tmp_path):
    pairs, votes = tmp_path / "pairs.jsonl", tmp_path / "votes.jsonl"
    tunes = [toy_tune(np.random.default_rng(seed)) for seed in range(4)]
    pairs.write_text(
        "".join(
            json.dumps({"pair_id": f"p{i}", "first": {"abc": one}, "second": {"abc": other}}) + "\n"
            for i, (one, other) in enumerate((tunes[:2], tunes[2:]))
        )
    )
    choices = {"p1": "second", "p0": "tie"}
    votes.write_text(
        "".join(
            json.dumps({"pair_id": name, "choice": choice, "rater": "simulated-x"}) + "\n"
            for name, choice in choices.items()
        )
    )
    found = votes_from_files(pairs, votes, 10)
    assert found.tunes == tuple(tunes)
    assert found.comparisons.first.tolist() == [2, 0]
    assert found.comparisons.second.tolist() == [3, 1]
    assert found.comparisons.outcome.tolist() == [0, 0.5]


def test_the_ladder_model_says_that_no_vote_is_in_it(toy, tmp_path):
    options = [
        *("--model", str(toy / "base"), "--corpus", str(toy / "corpus.jsonl")),
        *("--printed", "80", "--pool", "192", "--rounds", "1"),
        *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "ladder")),
    ]
    assert ladder_model.main(options) == 0
    card = (tmp_path / "ladder" / "README.md").read_text()
    assert "No person's vote, and no simulated one" in card
    (again,) = (line for line in card.splitlines() if "ladder_model" in line)
    assert "--printed 80 --pool 192 --rounds 1" in again and str(tmp_path / "work") not in again
    assert load_checkpoint(tmp_path / "ladder").titles == load_checkpoint(toy / "base").titles
    base = load_checkpoint(toy / "base")
    reward = bundled_reward(base, tmp_path / "ladder")
    assert reward is not None and reward.probe.votes > 80
    other = load_checkpoint(tmp_path / "ladder")  # its activations are not those that it reads
    assert bundled_reward(other, tmp_path / "ladder") is None
    assert bundled_reward(base, tmp_path / "nowhere") is None
    drawn = roll_out(load_checkpoint(tmp_path / "ladder").model, toy_base().tokenizer, 32, 0)
    assert sum(drawn.sound) > 8


def test_ppo_over_seeds_is_a_row_a_seed_and_goes_on_where_it_was(
    toy, tmp_path, monkeypatch, capsys
):
    # the toy's memory is too short for tunes under the mask
    monkeypatch.setattr(
        ppo_seeds, "SampleOptions", lambda seed, constrained: SampleOptions(seed=seed)
    )
    options = [
        *("--model", str(toy / "base"), "--corpus", str(toy / "corpus.jsonl")),
        *("--tastes", "gentle", "--votes", "60", "--voted", "80", "--pool", "192"),
        *(
            "--judged",
            "24",
            "--seeds",
            "1",
            "--first-seed",
            "1",
            "--policy.updates",
            "2",
            "--policy.preflight",
            "64",
        ),
        *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "ppo.json")),
    ]
    assert ppo_seeds.main(options) == 0
    (row,) = json.loads((tmp_path / "ppo.json").read_text())["seeds"]
    assert row["taste"] == "gentle" and row["updates_kept"] == 2 and not row["is_base"]
    assert 0 < row["pairs"] <= 24 and len(row["kl_against_reward"]) == 2
    capsys.readouterr()
    assert ppo_seeds.main([*options, "--report"]) == 0
    assert "gentle" in capsys.readouterr().out
    assert ppo_seeds.main([*options, "--unsound", "-3"]) == 2
    assert "was measured with other options" in capsys.readouterr().err


def test_a_run_has_failed_that_collapsed_or_ended_as_the_base():
    health = Health(kl=0.0, entropy=1.0, variety=0.5, validity=0.8, length=50.0, tunes=400)
    rows = [[toy_tune(np.random.default_rng(seed)), True] for seed in range(20)]
    base = collapse.Model(rows, health, "a")
    tokenizer, rater = toy_base().tokenizer, likes_height()
    index = NoveltyIndex.of([("1", "", parse_tune(toy_tune(np.random.default_rng(99))))])

    def told(tuned):
        found = collapse.judged(tokenizer, rater, tuned, base, index)
        return {"accuracy_noiseless": 0.6, "taste": "height", "seed": 0, **found}

    same = told(base)
    assert same["is_base"] and same["win_rate"] == 0.5 and collapse.failed(same)
    alike = told(collapse.Model([rows[0]] * 20, health, "b"))
    assert alike["collapsed"] == ["variety"] and collapse.failed(alike)
    # two standard errors of 0.8 and 0.7 over 400 tunes each are 0.061
    broken = told(collapse.Model(rows, replace(health, validity=0.7), "b"))
    assert broken["collapsed"] == ["validity"]
    sound = told(collapse.Model(rows, replace(health, validity=0.75), "b"))
    assert not collapse.failed(sound)
    copying = told(
        collapse.Model(
            [[abc, True] for abc in [toy_tune(np.random.default_rng(99))] * 20], health, "b"
        )
    )
    assert copying["collapsed"] == ["variety", "copies"]
    assert collapse.summary([same, sound]) == {
        "seeds": 2,
        "failed": 1,
        "collapsed": 0,
        "ended_as_base": 1,
        "median_win_rate": 0.25,
        "mean_accuracy": 0.6,
    }
    assert "ended as the base" in collapse.table([same]) and "variety" in collapse.table([alike])
