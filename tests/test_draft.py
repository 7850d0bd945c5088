"""Guesses of a small model: what it computes, and that no tune depends on it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musicgen.checkpoint import BUNDLED, CheckpointError
from musicgen.draft import DRAFT_FILE, NAMES, Draft, load_draft, save_draft
from musicgen.draw import Noise
from musicgen.header import TuneRequest
from musicgen.sample import SampleOptions, TuneSampler
from musicgen.train_draft import DraftNet, DraftOptions, train_draft

ROW = [3, 4, 5, 9, 4, 5, 9, 11, 2]


@pytest.fixture(scope="module")
def net() -> DraftNet:
    net = DraftNet(vocabulary=12, context=20, width=8, hidden=16, seed=3)
    with torch.no_grad():
        for weights in net.parameters():
            weights.copy_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)))
    return net


def after(best: dict[int, int]) -> Draft:
    """A draft that is sure of one token behind each token, for the keys of `best`.

    Only the table of the last token and of the one it wants have numbers: token t stands on axis t
    with its successor's axis, so the hidden row is e_t + 9 e_next and the table's dot product with
    it is largest at `next`.
    """
    size = 6
    weights = {name: np.zeros(shape) for name, shape in zip(NAMES, (
        (3, size, size), (16, size), (18, size), (size, size), (size, size), (size,), (size, size),
        (size,),
    ), strict=True)}  # fmt: skip
    weights["tokens"][0] = np.eye(size)
    weights["up"][:] = np.eye(size)  # the hidden layer sees which token it is
    for token, following in best.items():
        weights["down"][following, token] = 9.0
    weights["gain"][:] = 50.0
    return Draft(weights)


def test_numpy_computes_what_was_trained(net: DraftNet) -> None:
    expected = net(torch.tensor([ROW]))[0].detach().numpy()  # (T, V)
    guesser = Draft(net.weights()).begin(1.0)
    for length in range(1, len(ROW) + 1):
        assert np.allclose(guesser.logits(ROW[:length]), expected[length - 1], atol=1e-3)


def test_guesses_that_did_not_come_true_are_forgotten(net: DraftNet) -> None:
    draft = Draft(net.weights())
    guesser, noise = draft.begin(1.0), Noise(np.random.default_rng(1), 12)
    for length in (2, 3, 6):
        guesser.guess(ROW[:length], 5, noise)
    assert np.allclose(guesser.logits(ROW), draft.begin(1.0).logits(ROW), atol=1e-4)


def test_a_sure_draft_guesses_on_and_on_up_to_what_may_be_written() -> None:
    draft = after({1: 2, 2: 3, 3: 1})
    noise = Noise(np.random.default_rng(0), 6)
    assert draft.begin(1.0).guess([0, 1], 4, noise) == [2, 3, 1, 2]
    assert draft.begin(1.0).guess([0, 1], 1, noise) == [2]
    assert draft.begin(1.0).guess([0, 1], 0, noise) == []
    assert len(draft.begin(1.0).guess([0, 1], 100, noise)) == 8
    assert draft.begin(1.0).guess([1, 2, 3] * 5, 9, noise) == [1], "it reads 16 tokens"


def test_a_guess_follows_the_random_numbers_of_its_token() -> None:
    size = 6
    weights = dict(after({}).weights)
    weights["tokens"] = np.zeros((3, size, size))  # every token is as likely as any other
    noise = Noise(np.random.default_rng(2), size)
    noise.ahead(0)[:] = [9, 9, 9, 1e-3, 9, 9]
    noise.ahead(1)[:] = [9, 9, 9, 9, 1e-3, 9]
    noise.ahead(2)[:] = 1.0  # a draw that is a tie tells nothing
    assert Draft(weights).begin(1.0).guess([0], 8, noise)[:2] == [3, 4]


@pytest.mark.parametrize("constrained", [False, True])
def test_no_tune_depends_on_the_draft(constrained: bool) -> None:
    sampler = TuneSampler.load(BUNDLED / "base")
    assert sampler.draft is not None
    request = TuneRequest("jig", "6/8", "D")
    for options in (SampleOptions.own(seed=2), SampleOptions(seed=2)):
        options = replace(options, constrained=constrained, max_tokens=80)
        drafted = list(sampler.samples(request, options, 2, batch=1))
        together = list(sampler.samples(request, options, 2, batch=2))
        draft, sampler.draft = sampler.draft, None
        plain = list(sampler.samples(request, options, 2, batch=1))
        sampler.draft = draft
        assert [s.ids for s in drafted] == [s.ids for s in plain] == [s.ids for s in together]
        assert np.allclose(drafted[0].logprobs, plain[0].logprobs, atol=1e-3)


def test_the_bundled_draft_saves_more_than_half_of_the_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampler = TuneSampler.load(BUNDLED / "base")
    passes = []
    read = sampler._each
    monkeypatch.setattr(sampler, "_each", lambda *them: passes.append(1) or read(*them))
    options = SampleOptions.own(seed=1, max_tokens=120)
    tunes = list(sampler.samples(TuneRequest("reel", "4/4", "D"), options, 3, batch=1))
    assert sum(tune.tokens for tune in tunes) > 2 * len(passes)


def test_a_draft_comes_back_from_its_folder_and_a_folder_needs_none(
    net: DraftNet, tmp_path: Path
) -> None:
    assert load_draft(tmp_path, 12) is None
    assert save_draft(tmp_path, net.weights()) == tmp_path / DRAFT_FILE
    draft = load_draft(tmp_path, 12)
    assert draft is not None
    assert (draft.vocabulary, draft.context, draft.width) == (12, 20, 8)
    assert np.allclose(draft.weights["attend"], net.weights()["attend"], atol=1e-2)
    with pytest.raises(CheckpointError, match=r"knows 12 tokens and the model 13: delete it"):
        load_draft(tmp_path, 13)
    (tmp_path / DRAFT_FILE).write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"draft.safetensors is damaged \(.*delete it"):
        load_draft(tmp_path, 12)


def test_weights_of_another_shape_are_refused(net: DraftNet) -> None:
    with pytest.raises(ValueError, match=r"bias|up has the shape"):
        Draft({**net.weights(), "bias": np.zeros(15)})


def test_a_draft_learns_its_rows() -> None:
    options = DraftOptions(Path(), steps=150, batch_tokens=64, width=16, hidden=16)
    net = DraftNet(12, 20, options.width, options.hidden, options.seed)
    losses = list(train_draft(net, [ROW] * 8, 0, options))
    assert losses[0] == pytest.approx(np.log(12), abs=0.1)  # it begins without an opinion
    assert losses[-1] < 0.3
