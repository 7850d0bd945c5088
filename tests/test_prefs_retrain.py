"""Votes become a tuned model; a model that collapses is noticed and taken back."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_model import height, toy_base, toy_tune

from abc_tools import decode_bytes, parse_tune, split_tunes
from musicgen.checkpoint import BUNDLED, Checkpoint, load_checkpoint, save_checkpoint
from musicgen.corpus import BOOKS, music21_folder, plain_text
from prefs.database import database_url
from prefs.guards import Health, Limits, complaints, measure
from prefs.moments import Moments
from prefs.optimise import TuneOptions, best_of_each_kind, fit_to_tunes, tune
from prefs.probe import Comparisons
from prefs.records import Pair, TuneRecord, Vote
from prefs.retrain import RetrainError, RetrainOptions, check_start, retrain
from prefs.rollout import Rollouts, kind_of_tune, log_probabilities, roll_out
from prefs.statistics import STATISTICS, statistics
from prefs.store import open_store
from prefs.training_votes import TrainingVotes, training_votes
from ui.cli import main

HEALTHY = Health(kl=3.0, entropy=1.5, variety=0.3, validity=0.7, length=120.0, tunes=400)


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    return load_checkpoint(BUNDLED / "base")


@pytest.fixture(scope="module")
def printed() -> list[str]:
    return printed_tunes()


def printed_tunes() -> list[str]:
    """Printed tunes in the text that models read."""
    book = next(book for book in BOOKS if book.name == "oneill1850")
    path = sorted(music21_folder().glob(book.files))[0]
    parts = split_tunes(decode_bytes(path.read_bytes()))[:80]
    return [plain_text(parse_tune(part), "reel") for part in parts]


def voted_home(home: Path, tunes: list[str], count: int) -> None:
    """A database with votes of a simulated rater who likes many notes a bar."""
    home.mkdir(exist_ok=True)
    column = STATISTICS.index("notes a bar")
    liking = [statistics(abc)[column] for abc in tunes]
    rng = np.random.default_rng(0)
    store = open_store(database_url(home))
    store.add_tunes(TuneRecord(f"t{i}", abc, "base", 0) for i, abc in enumerate(tunes))
    for number in range(count):
        one, other = rng.choice(len(tunes), 2, replace=False)
        store.add_pairs([Pair(f"p{number}", f"t{one}", f"t{other}", "learning")])
        choice = "first" if liking[one] > liking[other] else "second"
        store.cast(Vote(f"p{number}", choice, "simulated"))
    store.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kl": 25.0}, "25.0 nats a tune"),
        ({"entropy": 0.5}, "entropy fell to 0.50"),
        ({"variety": 0.2}, "tunes became alike"),
        ({"validity": 0.4}, "only 40% of its tunes pass"),
        ({"length": 30.0}, "its tunes have 30 tokens"),
    ],
)
def test_each_kind_of_collapse_is_named(change: dict[str, float], message: str):
    assert complaints(HEALTHY, HEALTHY, Limits()) == []
    (found,) = complaints(replace(HEALTHY, **change), HEALTHY, Limits())
    assert message in found


def test_probabilities_do_not_depend_on_the_batch_and_count_the_end(base: Checkpoint, printed):
    tunes, ended = printed[:6], [True] * 6
    together, tokens = log_probabilities(base.model, base.tokenizer, tunes, ended)
    apart = [log_probabilities(base.model, base.tokenizer, [abc], [True])[0][0] for abc in tunes]
    assert np.allclose(together, apart, atol=1e-3)
    without, fewer = log_probabilities(base.model, base.tokenizer, tunes, [False] * 6)
    assert (without > together).all() and (fewer == tokens - 1).all()


def test_the_samplers_own_probabilities_are_those_of_the_training_forward(base: Checkpoint):
    from musicgen.sample import SampleOptions, TuneRequest, TuneSampler

    sampler = TuneSampler(base.model, base.tokenizer)
    options = SampleOptions.own(seed=3, draw_plan=False)
    for sample in sampler.samples(TuneRequest("reel", "4/4", "D"), options, 3):
        header = sample.abc[: sample.abc.index("K:D\n") + 4]
        ends = [sample.finished, False]
        whole, prompt = log_probabilities(base.model, base.tokenizer, [sample.abc, header], ends)[0]
        assert abs(whole - prompt - sample.logprob) < 1e-2


def test_the_best_of_each_kind_are_kept_and_no_kind_is_favoured():
    reel, jig = "X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n", "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n"
    tunes = [(reel if index % 2 else jig) + f"A{index + 1}|\n" for index in range(40)]
    rewards = np.arange(40) + np.where(np.arange(40) % 2, 100.0, 0.0)  # reels are liked
    rollouts = Rollouts(tuple(tunes), (True,) * 40, (True,) * 38 + (False, False))
    kept = best_of_each_kind(rollouts, rewards, 0.25)
    kinds = [kind_of_tune(tunes[index]) for index in kept]
    assert 4 <= kinds.count("reel 4/4") <= 6 and len(kept) == 10  # of 38 sound ones
    assert 39 not in kept and 38 not in kept, "tunes that are not sound teach nothing"
    assert min(kept) >= 26, "within a kind the best ones"


def test_training_on_some_tunes_makes_them_more_probable(base: Checkpoint, printed):
    model = copy.deepcopy(base.model)
    ended = [True] * 20
    before = log_probabilities(model, base.tokenizer, printed[:20], ended)[0].sum()
    options = TuneOptions(passes=2)
    rng = np.random.default_rng(0)
    fit_to_tunes(model, base.tokenizer, printed[:20], options, 2e-4, rng)
    assert log_probabilities(model, base.tokenizer, printed[:20], ended)[0].sum() > before
    assert not model.training


def test_what_is_learned_does_not_hang_on_what_else_drew_random_numbers(base: Checkpoint, printed):
    assert base.model.config.resid_pdrop > 0, "a base without dropout would show nothing"
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model, rng = copy.deepcopy(base.model), np.random.default_rng(0)
        fit_to_tunes(model, base.tokenizer, printed[:4], TuneOptions(passes=1), 2e-4, rng)
        found.append(model.transformer.h[0].mlp.c_fc.weight.detach())
    assert torch.equal(*found)


def test_a_model_is_no_nats_away_from_itself(base: Checkpoint):
    rollouts = roll_out(base.model, base.tokenizer, 16, seed=1)
    health = measure(base.model, base.model, base.tokenizer, rollouts)
    assert abs(health.kl) < 1e-3
    assert 0.3 < health.entropy < 3 and health.validity > 0.3 and health.variety > 0.1
    assert roll_out(base.model, base.tokenizer, 16, seed=1) == rollouts


def test_a_collapse_is_taken_back_and_the_model_is_as_before(base: Checkpoint):
    model = copy.deepcopy(base.model)
    reckless = TuneOptions(lr=0.05, passes=6, pool=24)
    steps = list(tune(model, base.tokenizer, lambda r: np.arange(len(r), dtype=float), reckless))
    assert len(steps) == 2, "once more with half the rate, then no further"
    assert all(step.taken_back for step in steps) and steps[1].lr == steps[0].lr / 2
    assert "taken back: " in steps[0].line()
    for name, weights in base.model.state_dict().items():
        assert torch.equal(weights, model.state_dict()[name])


def test_only_learning_votes_that_say_something_teach(tmp_path: Path, printed):
    store = open_store(database_url(tmp_path))
    store.add_tunes(TuneRecord(f"t{i}", abc, "base", 0) for i, abc in enumerate(printed[:8]))
    store.add_pairs(
        [
            Pair("a", "t0", "t1", "learning"),
            Pair("b", "t2", "t3", "learning"),
            Pair("c", "t4", "t5", "evaluation"),
            Pair("d", "t6", "t7", "learning"),
            Pair("e", "t1", "t0", "learning", repeat_of="a"),
        ]
    )
    for pair, choice in zip("abcde", ("first", "tie", "first", "skip", "first"), strict=True):
        store.cast(Vote(pair, choice, "one"))
    votes = training_votes(store)
    store.close()
    assert votes.comparisons.outcome.tolist() == [1.0, 0.5]
    assert votes.tunes == tuple(printed[:4])
    assert votes.agreement == 0.0 and votes.repeats == 1  # the other tune the second time


@pytest.mark.parametrize(
    ("name", "message"),
    [("no/slash", "is no name"), ("base", "there is a model"), ("new", "0 votes on learning")],
)
def test_what_cannot_start_says_why(name: str, message: str, tmp_home: Path):
    store = open_store(database_url(tmp_home))
    votes = training_votes(store)
    store.close()
    with pytest.raises(RetrainError, match=message):
        check_start(RetrainOptions(name, tmp_home), votes)


def test_too_few_votes_end_the_command_in_one_line(tmp_home: Path, capsys):
    assert main(["retrain", "--name", "new"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_home / "models").exists()


@pytest.mark.long
def test_votes_become_a_model_that_can_be_listened_to(tmp_home: Path, printed, base, capsys):
    voted_home(tmp_home, printed, 120)
    command = ["retrain", "--name", "busy", "--method", "best-of-n", "--pool", "112"]
    assert main([*command, "--json-log", str(tmp_home / "log.jsonl")]) == 0
    said = capsys.readouterr().out
    assert "reward model from 120 votes" in said and "round 1" in said

    reward, step = map(json.loads, (tmp_home / "log.jsonl").read_text().splitlines())
    assert reward["accuracy"] > 0.6 and reward["follows"]["notes a bar"] > 0.3
    assert not step["taken_back"] and 0 < step["health"]["kl"] < 20

    tuned = load_checkpoint(tmp_home / "models" / "busy")
    changed = [
        not torch.equal(weights, base.model.state_dict()[name])
        for name, weights in tuned.model.state_dict().items()
    ]
    assert any(changed)
    report = json.loads((tmp_home / "runs" / "busy" / "report.json").read_text())
    assert report["votes"] == 120 and report["rounds"][0]["kept"] == step["kept"]
    votes = training_votes(open_store(database_url(tmp_home)))
    with pytest.raises(RetrainError, match="choose another"):
        next(retrain(base, votes, RetrainOptions("busy", tmp_home)))


def test_a_run_that_is_taken_up_draws_no_moment_under_a_round_of_before(tmp_path, monkeypatch):
    toy = toy_base()
    save_checkpoint(tmp_path / "toy", toy.model, toy.tokenizer, card="")
    base = load_checkpoint(tmp_path / "toy")
    rng = np.random.default_rng(0)
    tunes = [toy_tune(rng) for _ in range(120)]
    first, second = np.arange(0, 120, 2), np.arange(1, 120, 2)
    heights = np.array([height(abc) for abc in tunes])
    outcome = (heights[first] > heights[second]).astype(float)
    votes = TrainingVotes(tuple(tunes), Comparisons(first, second, outcome), None, 0)
    drawn: list[int] = []
    monkeypatch.setattr(Moments, "record", lambda self, model, step: drawn.append(step))
    options = RetrainOptions("new", tmp_path, pool=128)
    events = retrain(base, votes, options)
    next(events), next(events)
    events.close()  # killed after its first round
    assert drawn == [1]
    rounds = [event.round for event in list(retrain(base, votes, options))[1:]]
    assert rounds[:2] == [1, 2] and drawn == rounds  # the first of them before it was killed
