"""What a reward model reads of a tune, and what it learns from votes."""

import math
from pathlib import Path

import numpy as np
import pytest

from abc_tools import canonical_text, parse_tune, transpose
from musicgen.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from prefs.activations import activations
from prefs.logistic import family_precisions
from prefs.probe import FEWEST_VOTES, Comparisons, ProbeError, Projection, fit_probe
from prefs.reward_model import CLIP, UNSOUND, Features, RewardModel, are_sound, fit_reward_model
from prefs.statistics import STATISTICS, statistics

JIG = "X:1\nM:6/8\nL:1/8\nK:D\n|:dfa afd|c2e dBA|dfa afd|c2e d3:|\n"


def comparisons(first, second, outcome) -> Comparisons:
    return Comparisons(np.array(first), np.array(second), np.array(outcome, dtype=float))


def cast(utility: np.ndarray, count: int, rng: np.random.Generator, lean: float = 0.0):
    """Votes of a simulated rater on pairs that share no tune."""
    pairs = rng.permutation(len(utility))[: 2 * count].reshape(count, 2)
    chance = 1 / (1 + np.exp(-(utility[pairs[:, 0]] - utility[pairs[:, 1]] + lean)))
    return Comparisons(pairs[:, 0], pairs[:, 1], (rng.random(count) < chance).astype(float))


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    return load_checkpoint(BUNDLED / "base")


def test_statistics_say_what_a_musician_would_count():
    found = dict(zip(STATISTICS, statistics(JIG), strict=True))
    assert found["bars"] == 2  # log2 of four
    assert found["notes a bar"] == (6 + 5 + 6 + 3) / 4
    assert found["range"] == 12
    assert found["ends on the tonic"] == 1
    assert found["phrases ending on the tonic"] == 1
    assert found["share of degree 1"] == pytest.approx(6 / 20)
    assert found["share of degree 4"] == 0
    assert found["bars like the one before"] == 0
    assert found["bars like the second before"] == 1 / 2  # the third bar is the first
    assert found["rhythms like the bar before"] == 0
    assert found["notes outside the key"] == 0
    assert found["uneven lengths"] == pytest.approx(4 / 18)
    assert found["second half higher"] == pytest.approx(689 / 9 - 829 / 11)  # MIDI numbers
    assert found["different bars"] == 3 / 4


def test_statistics_that_know_no_key_are_the_same_in_any():
    moved = canonical_text(transpose(parse_tune(JIG), "C"), plain=True)
    here, there = (dict(zip(STATISTICS, statistics(abc), strict=True)) for abc in (JIG, moved))
    assert {n for n in STATISTICS if abs(here[n] - there[n]) > 0.1} <= {
        "register",
        "compressed size",
    }


def test_a_tune_has_the_same_activations_alone_and_beside_a_longer_one(base: Checkpoint):
    longer = JIG + "|:fga agf|e2g fed|fga agf|e2c d3:|\n" * 3
    alone = activations(base.model, base.tokenizer, [JIG])
    beside = activations(base.model, base.tokenizer, [longer, JIG])
    assert np.abs(alone[0] - beside[1]).max() < 1e-4
    assert np.abs(beside[0] - beside[1]).max() > 1e-2
    assert alone[0, -1] < 0, "the last column is a log-probability"


def test_a_projection_drops_what_never_varies():
    rng = np.random.default_rng(0)
    features = np.hstack([rng.normal(size=(50, 3)), np.ones((50, 1))])
    projection = Projection.of(features, 10)
    assert projection(features).shape == (50, 3)
    assert np.isfinite(projection(features)).all()


def test_the_probe_finds_a_taste_and_a_leaning_to_the_first_side():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(3000, 6))
    wanted = np.array([1.5, -1.0, 0, 0, 0, 0.5])
    probe = fit_probe(features, cast(features @ wanted, 1500, rng, lean=0.6))
    assert np.abs(probe.weights - wanted).max() < 0.25
    assert 0.35 < probe.first_side < 0.85
    _, std = probe.utility(features[:1])
    _, less_sure = fit_probe(features, cast(features @ wanted, 60, rng)).utility(features[:1])
    assert less_sure > std


def test_the_posterior_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(60):
        features = rng.normal(size=(400, 4))
        wanted = rng.normal(size=4)
        probe = fit_probe(features, cast(features @ wanted, 200, rng), ridges=(1.0,))
        std = np.sqrt(np.diag(probe.covariance))
        inside += list(np.abs(probe.weights - wanted) < 1.96 * std)
    assert 0.90 < np.mean(inside) <= 1


def test_ties_pull_two_tunes_together():
    features = np.eye(2)
    wins = comparisons([0] * 30, [1] * 30, [1] * 30)
    ties = comparisons([0] * 30, [1] * 30, [1] * 15 + [0.5] * 15)
    apart = fit_probe(features, wins, ridges=(1.0,)).utility(features)[0]
    closer = fit_probe(features, ties, ridges=(1.0,)).utility(features)[0]
    assert apart[0] - apart[1] > closer[0] - closer[1] > 0


@pytest.mark.parametrize(
    ("count", "outcome", "message"),
    [
        (FEWEST_VOTES - 1, 1.0, "19 votes are too few .* at least 20 .* --model ladder"),
        (40, 0.5, "all 40 votes are ties"),
    ],
)
def test_votes_that_teach_nothing_are_refused_in_words(count: int, outcome: float, message: str):
    features = np.random.default_rng(0).normal(size=(80, 3))
    votes = comparisons(range(count), range(40, 40 + count), [outcome] * count)
    with pytest.raises(ProbeError, match=message):
        fit_probe(features, votes)


def test_votes_that_all_contradict_each_other_are_refused_in_words():
    features = np.random.default_rng(0).normal(size=(80, 3))
    pairs = list(range(40))
    # each pair twice: the same outcome with sides swapped says the opposite
    votes = comparisons(pairs + [p + 40 for p in pairs], [p + 40 for p in pairs] + pairs, [1] * 80)
    with pytest.raises(ProbeError, match="the 80 votes contradict each other"):
        fit_probe(features, votes)
    one_more = comparisons(votes.first[:79], votes.second[:79], [1] * 79)
    assert fit_probe(features, one_more).votes == 79


def test_two_raters_who_contradict_each_other_now_and_then_are_averaged():
    rng = np.random.default_rng(6)
    features = rng.normal(size=(400, 3))
    pairs = np.arange(400).reshape(200, 2)
    agreed = (features[pairs[:, 0], 0] > features[pairs[:, 1], 0]).astype(float)
    other = np.where(rng.random(200) < 0.2, 1 - agreed, agreed)
    both = comparisons(
        np.tile(pairs[:, 0], 2), np.tile(pairs[:, 1], 2), np.concatenate([agreed, other])
    )
    probe = fit_probe(features, both)
    assert probe.weights[0] > 4 * np.abs(probe.weights[1:]).max()


def test_votes_on_tunes_that_this_tokenizer_has_no_words_for_still_teach(base: Checkpoint):
    old = "X:1\nM:13/32\nL:1/32\nK:G#\n" + "G13/3 ^^a''/7 z29/2|" * 8 + "\n"
    found = Features.of(base.model, base.tokenizer, [old, JIG])
    assert np.isfinite(found.activations).all() and np.isfinite(found.statistics).all()


def test_members_join_only_where_held_out_votes_are_likelier_with_them(tmp_path: Path):
    rng = np.random.default_rng(7)
    voted, base = random_features(rng, 1200), random_features(rng, 300)
    by_statistics = fit_reward_model(voted, cast(4 * voted.statistics[:, 5], 600, rng), base)
    assert by_statistics.members == ("statistics",)
    by_activations = fit_reward_model(voted, cast(4 * voted.activations[:, 2], 600, rng), base)
    assert "activations" in by_activations.members

    ladder = by_activations  # stands for a reward that knows what the statistics do not
    liked = cast(2 * ladder.rewards(voted, [True] * 1200), 600, rng)
    model = fit_reward_model(voted, liked, base, ladder=ladder)
    assert "ladder" in model.members
    random = fit_reward_model(
        voted, cast(4 * voted.statistics[:, 5], 600, rng), base, ladder=ladder
    )
    assert "ladder" not in random.members
    model.save(tmp_path)
    again = RewardModel.load(tmp_path)
    assert again.members == model.members
    assert np.allclose(again.rewards(base, [True] * 300), model.rewards(base, [True] * 300))


def test_families_that_say_nothing_are_given_a_narrow_prior_and_no_weight():
    rng = np.random.default_rng(8)
    features = rng.normal(size=(1200, 60)) / np.sqrt(30)
    votes = cast(4 * features[:, :30].sum(1), 600, rng)
    design = features[votes.first] - features[votes.second]
    design = np.hstack([design, np.ones((600, 1))])
    telling, idle = family_precisions(design, votes.outcome, (30, 30), 1.0)
    assert telling < 1 and idle > 100 * telling
    wider, apart = (fit_probe(features, votes, sizes=sizes) for sizes in ((60,), (30, 30)))
    assert np.abs(apart.weights[30:]).max() < np.abs(wider.weights[30:]).max() / 5
    assert apart.likelihood > wider.likelihood


def test_it_does_not_matter_how_the_statistics_of_a_family_are_combined():
    rng = np.random.default_rng(9)
    features = rng.normal(size=(400, 7))
    mixed = features.copy()
    mixed[:, :4] = features[:, :4] @ rng.normal(size=(4, 4)) + 3
    votes = cast(features[:, 1] - features[:, 5], 200, rng)
    guesses = []
    for table in (features, mixed):
        projection = Projection.of_families(table, (4, 3))
        assert projection.sizes == (4, 3)
        assert np.allclose(projection(table).var(0), [1 / 4] * 4 + [1 / 3] * 3)
        probe = fit_probe(projection(table), votes, sizes=projection.sizes)
        guesses.append(probe.utility(projection(table) - projection(table)[0])[0])
    assert np.allclose(*guesses, atol=1e-6)


def test_a_rater_who_votes_at_random_is_seen_through_by_cross_validation():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(800, 40))
    pairs = np.arange(800).reshape(400, 2)
    votes = Comparisons(pairs[:, 0], pairs[:, 1], rng.integers(0, 2, 400).astype(float))
    assert abs(fit_probe(features, votes).accuracy - 0.5) < 0.08


def random_features(rng: np.random.Generator, count: int) -> Features:
    return Features(rng.normal(size=(count, len(STATISTICS))), rng.normal(size=(count, 17)))


def test_rewards_have_mean_0_and_deviation_1_over_the_base_and_are_clipped(tmp_path: Path):
    rng = np.random.default_rng(4)
    voted, base = random_features(rng, 600), random_features(rng, 400)
    model = fit_reward_model(voted, cast(3 * voted.statistics[:, 5], 300, rng), base)
    rewards = model.rewards(base, [True] * 400)
    assert abs(rewards.mean()) < 0.01 and abs(rewards.std() - 1) < 0.05
    assert (model.rewards(base, [False] * 400) == UNSOUND).all()
    extreme = Features(base.statistics * 100, base.activations)
    assert np.abs(model.rewards(extreme, [True] * 400)).max() == CLIP
    followed = model.statistics_followed(base)
    assert max(followed, key=lambda name: abs(followed[name])) == STATISTICS[5]

    model.save(tmp_path)
    again = RewardModel.load(tmp_path)
    assert np.allclose(again.rewards(base, [True] * 400), rewards, atol=1e-12)
    assert math.isclose(again.probe.accuracy, model.probe.accuracy)


def test_an_unsure_reward_is_lower_than_a_sure_one():
    rng = np.random.default_rng(5)
    voted, base = random_features(rng, 400), random_features(rng, 200)
    model = fit_reward_model(voted, cast(voted.statistics[:, 0], 200, rng), base)
    mean, std = model.probe.utility(model.project(base) - model.center)
    assert np.allclose(model.raw(base), mean - std)
    assert (std > 0).all()


def test_a_missing_reward_model_says_what_to_do(tmp_path: Path):
    with pytest.raises(ProbeError, match="train one from votes"):
        RewardModel.load(tmp_path)


def test_a_tune_without_end_is_not_sound():
    tune = JIG.replace("dfa afd|c2e d3", "dfa bfd|c2e d3") + "|:fga agf|e2g fed|fga baf|e2c d3:|\n"
    assert are_sound([tune, tune], [True, False]) == [True, False]
