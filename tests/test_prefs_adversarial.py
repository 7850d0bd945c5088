"""Tunes that a reward model likes for no good reason are found, are sound, and can be voted on."""

import copy

import numpy as np
import pytest
import torch
from toy_model import HEADER, height, toy_base, toy_tune

from abc_tools import passes_gate
from musicgen.tokenizer import encode_tune
from prefs.activations import activations
from prefs.adversarial import EDITED, AdversarialMiner, adversarial_pair, adversarial_pairs
from prefs.probe import Comparisons, ProbeError
from prefs.reward_model import Features, RewardModel, fit_reward_model
from prefs.statistics import STATISTICS


@pytest.fixture(scope="module")
def reward() -> RewardModel:
    """Learned from simulated votes for the tune that lies higher."""
    base, rng = toy_base(), np.random.default_rng(3)
    tunes = [toy_tune(rng) for _ in range(160)]
    features = Features.of(base.model, base.tokenizer, tunes)
    first, second = np.arange(80), np.arange(80, 160)
    won = [height(tunes[a]) > height(tunes[b]) for a, b in zip(first, second, strict=True)]
    votes = Comparisons(first, second, np.array(won, dtype=float))
    return fit_reward_model(features, votes, features, reads_activations=(True,))


@pytest.fixture(scope="module")
def miner(reward: RewardModel) -> AdversarialMiner:
    base = toy_base()
    return AdversarialMiner(base.model, base.tokenizer, reward)


def test_the_reward_rises_and_every_tune_found_passes_the_gate(miner: AdversarialMiner):
    rng = np.random.default_rng(8)
    found = [miner.climb(toy_tune(rng), steps=6) for _ in range(4)]
    gains = [one.reward_after - one.reward_before for one in found]
    assert min(gains) >= 0 and np.mean(gains) > 0.3, gains
    assert all(passes_gate(one.after) for one in found)
    base = toy_base()
    for one in found:
        features = Features.of(base.model, base.tokenizer, [one.before, one.after])
        again = miner.reward.rewards(features, [True, True])
        assert again == pytest.approx([one.reward_before, one.reward_after], abs=1e-6)


def test_what_must_stay_stays(miner: AdversarialMiner):
    abc = toy_tune(np.random.default_rng(5))
    opening = abc[: abc.index("|", abc.index("|") + 1) + 1]
    found = miner.climb(abc, fixed=opening, steps=3)
    assert found.after.startswith(opening) and found.after != abc
    assert found.after.count("|") == 8 and len(found.after) == len(abc), "notes for notes"


def test_the_gradient_says_how_the_reward_changes_with_an_embedding(miner: AdversarialMiner):
    base, abc = toy_base(), HEADER + "DEFG|FEDE|FGAG|FEFD|DEFG|FEFE|FGFE|FEDD|\n"  # one A
    ids = encode_tune(base.tokenizer, abc)
    place = ids.index(base.tokenizer.get_vocab()["A"])
    slope = miner.gradient(ids, abc)
    before = Features.of(base.model, base.tokenizer, [abc])
    small = 1e-3 * slope[place] / slope[place].norm()
    model = copy.deepcopy(base.model)
    with torch.no_grad():
        model.transformer.wte.weight[ids[place]] += small
    moved = activations(model, base.tokenizer, [abc])
    moved[:, -1] = before.activations[:, -1]  # the output layer shares the table
    raw = miner.reward.raw(Features(before.statistics, moved)) - miner.reward.raw(before)
    assert raw[0] == pytest.approx(float(small @ slope[place]), rel=0.05)


def test_the_tune_and_what_became_of_it_are_a_learning_pair(
    miner: AdversarialMiner, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(8)
    abc = toy_tune(rng)
    # canonical text has eighth notes, which the toy model cannot spell: its own text will do
    monkeypatch.setattr("prefs.adversarial.parse_tune", lambda text: text)
    monkeypatch.setattr("prefs.adversarial.canonical_text", lambda text, **_: text)
    monkeypatch.setattr(
        "prefs.adversarial.opening_of",
        lambda text: text[: text.index("|", text.index("|") + 1) + 1],
    )
    pair = adversarial_pair(miner, abc, "toy", rng)
    assert pair is not None and pair.pair.kind == "learning"
    tunes = {tune.model: tune.abc for tune in (pair.first, pair.second)}
    assert tunes.keys() == {"toy", EDITED} and len(set(tunes.values())) == 2
    assert all(passes_gate(text) for text in tunes.values())
    assert pair.pair.opening == abc[: len(pair.pair.opening)]
    assert pair.pair.opening.count("|") == 2
    assert "after" not in str(pair.pair.options), "nothing in a pair tells the two apart"


def test_a_reward_model_of_another_base_is_refused():
    rng = np.random.default_rng(0)
    other = Features(rng.normal(size=(64, len(STATISTICS))), rng.normal(size=(64, 9)))
    votes = Comparisons(np.arange(32), np.arange(32, 64), np.ones(32))
    with pytest.raises(ProbeError, match="does not read 'toy'"):
        next(adversarial_pairs(toy_base(), fit_reward_model(other, votes, other), 1, rng))
