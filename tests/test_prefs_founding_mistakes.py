"""The nine mistakes of the founding experiment: each is planted here, and refused by its name.

A music model learned from votes for three months and ended where it began. Read against the code it
used, these are the reasons; none of them may pass in silence again.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_model import HEADER, likes_high_notes, toy_base

import musicgen.sample
from prefs.compare import compare
from prefs.database import database_url
from prefs.guards import Health
from prefs.objectives import advantages_and_returns
from prefs.optimise import PolicyOptions, TuneError, TuneOptions, tune
from prefs.policy import PolicyGradient
from prefs.preflight import check_rewards, check_rollouts, check_votes
from prefs.probe import Comparisons
from prefs.prompted import PromptedRollouts, TokenTable, cut_prompts, roll_out_prompts
from prefs.records import Pair, TuneRecord, Vote
from prefs.rollout import Rollouts, roll_out
from prefs.store import open_store
from prefs.training_votes import TrainingVotes
from ui.cli import main

SMALL = TuneOptions(method="ppo", pool=64, policy=PolicyOptions(preflight=64, updates=2))


@pytest.fixture(scope="module")
def rollouts() -> PromptedRollouts:
    base = toy_base()
    pool = roll_out(base.model, base.tokenizer, 64, 1)
    prompts = cut_prompts(base.tokenizer, pool.tunes, 16, 4, np.random.default_rng(0))
    return roll_out_prompts(base.model, base.tokenizer, prompts, 4, 2)


def table_of(rollouts: PromptedRollouts) -> TokenTable:
    base = toy_base()
    return TokenTable.of(rollouts, base.tokenizer.pad_token_id, base.model.device)


def begin(score: Callable[[Rollouts], np.ndarray] = likes_high_notes) -> None:
    base = toy_base()
    arm = PolicyGradient(base.model, base.model, base.tokenizer, score, SMALL)
    arm.begin(roll_out(base.model, base.tokenizer, 64, 1))


def test_without_a_mistake_nothing_is_refused():
    begin()


def test_1_a_kl_weight_that_holds_nothing():
    with pytest.raises(TuneError, match=r"KL weight 0.02 holds nothing.* 1,250 nats .* use 0.22"):
        PolicyOptions(kl_weight=0.02)


def test_2_a_kl_weight_that_moves_by_tunes_and_not_by_updates():
    by_tunes = 0.2 * 18 / 10_000  # a batch of 18 against a horizon of 10,000 tunes
    with pytest.raises(TuneError, match=r"needs 1,926 updates to double: count updates"):
        PolicyOptions(kl_step=by_tunes)


def test_2_the_kl_weight_moves_as_fast_whatever_the_batch():
    base = toy_base()
    weights = []
    for size in (32, 64):
        policy = PolicyOptions(batch=size, preflight=size, lr=1e-9, updates=3)
        arm = PolicyGradient(
            toy_base().model, base.model, base.tokenizer, likes_high_notes,
            replace(SMALL, policy=policy),
        )  # fmt: skip
        begun = arm.begin(roll_out(base.model, base.tokenizer, 64, 1))
        arm.learn(begun.rollouts, begun.rewards, 1, 0, 0.0)
        weights.append(arm.kl_weight)
    assert weights == pytest.approx([0.22 * 0.98] * 2)  # the KL is 0: far below its target


def test_3_rollouts_that_are_drawn_from_the_top_k_only(monkeypatch: pytest.MonkeyPatch):
    honest = musicgen.sample.choose

    def only_the_top(logits: torch.Tensor, *rest: object) -> object:
        kept = logits >= logits.topk(4).values[:, -1:]
        return honest(logits.masked_fill(~kept, float("-inf")), *rest)

    monkeypatch.setattr(musicgen.sample, "choose", only_the_top)
    with pytest.raises(TuneError, match=r"sampler's log-probabilities .* without top-k, top-p"):
        begin()


def test_4_a_reward_model_that_reads_the_padding():
    def reads_the_last_place(rollouts: Rollouts) -> np.ndarray:
        longest = max(map(len, rollouts.tunes))
        return likes_high_notes(rollouts) + [0.1 * (longest - len(t)) for t in rollouts.tunes]

    with pytest.raises(TuneError, match="reads the padding"):
        begin(reads_the_last_place)


def test_4_a_reward_model_that_was_scaled_on_another_form_of_the_tunes():
    def of_another_form(rollouts: Rollouts) -> np.ndarray:
        return np.where(rollouts.sound, likes_high_notes(rollouts) - 2.5, -3.0)

    with pytest.raises(TuneError, match=r"mean -\d\.\d+ .*another form \(prefix, padding"):
        begin(of_another_form)


def test_4_a_tokenizer_that_spells_the_tunes_in_other_tokens(rollouts: PromptedRollouts):
    table = table_of(rollouts)
    other = replace(rollouts, respelled=(True,) * len(rollouts))
    own = table.sampler_logprobs(rollouts)
    with pytest.raises(TuneError, match="do not encode to the tokens that were drawn"):
        check_rollouts(other, table, own, own, toy_base().tokenizer)


def test_5_a_discount_that_leaves_the_first_note_without_reward():
    with pytest.raises(TuneError, match=r"lambda 0.95 .* reaches its first note with weight 1e-03"):
        PolicyOptions(lam=0.95)
    rewards = torch.zeros(1, 256).double()
    rewards[0, -1] = 1
    none, all_count = torch.zeros_like(rewards), torch.ones_like(rewards)
    gains, _ = advantages_and_returns(rewards, none, all_count, lam=0.95)
    assert gains[0, 0].item() == pytest.approx(0.95**255) and gains[0, 0] < 3e-6
    gains, _ = advantages_and_returns(rewards, none, all_count)
    assert gains[0, 0] == 1


def test_6_tokens_behind_the_end_of_a_tune_that_count(rollouts: PromptedRollouts):
    table = table_of(rollouts)
    unmasked = replace(table, mask=torch.ones_like(table.mask))
    own = table.sampler_logprobs(rollouts)
    with pytest.raises(TuneError, match="tokens behind the end of a tune, or before it"):
        check_rollouts(rollouts, unmasked, own, own, toy_base().tokenizer)


def test_6_a_tune_that_goes_on_behind_its_end_mark(rollouts: PromptedRollouts):
    end = toy_base().tokenizer.eos_token_id
    longer = replace(rollouts, ids=((*rollouts.ids[0], end, 5, 5), *rollouts.ids[1:]))
    table, own = table_of(rollouts), table_of(rollouts).sampler_logprobs(rollouts)
    with pytest.raises(TuneError, match="goes on behind its end mark"):
        check_rollouts(longer, table, own, own, toy_base().tokenizer)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch": 8}, "cannot be whitened over 8 tunes: draw at least 32"),
        ({"max_norm": float("inf")}, "gradients clipped at inf are not clipped"),
        ({"max_norm": 0.0}, "gradients clipped at 0.0 are not clipped"),
    ],
)
def test_7_whitening_over_a_handful_and_gradients_without_a_bound(changed: dict, message: str):
    with pytest.raises(TuneError, match=message):
        PolicyOptions(**changed)


def test_8_votes_on_broken_tunes_that_teach_what_is_broken():
    broken = HEADER + "DEF|\n"
    good = HEADER + "|".join(["DEFG", "ABcd", "efed", "cBAG"] * 2) + "|\n"
    tunes = (good, good.replace("DEFG", "GFED"), broken, broken)
    # both-broken pairs all filed as "second wins", seven votes of ten
    first, second = np.array([0] * 3 + [2] * 7), np.array([1] * 3 + [3] * 7)
    votes = TrainingVotes(tunes, Comparisons(first, second, np.zeros(10)), None, 0)
    with pytest.raises(TuneError, match=r"70% of the votes .* \(7 choose between two such tunes\)"):
        check_votes(votes)
    check_votes(TrainingVotes(tunes, Comparisons(first[:3], second[:3], np.zeros(3)), None, 0))


def test_9_two_models_that_are_drawn_from_differently_in_the_blind_test(
    tmp_home: Path, capsys: pytest.CaptureFixture[str]
):
    store = open_store(database_url(tmp_home))
    decodings = {"warm": {"temperature": 0.95, "top_p": 1.0}, "base": {"temperature": 1.0}}
    decodings["base"]["top_p"] = 0.95
    for number in range(4):
        alike = number == 3
        store.add_tunes(
            TuneRecord(f"{model}{number}", "", model, 0, decodings["base" if alike else model])
            for model in decodings
        )
        store.add_pairs([Pair(f"p{number}", f"warm{number}", f"base{number}", "evaluation")])
        store.cast(Vote(f"p{number}", "first", "one"))
    found = compare(store, "warm", "base")
    store.close()
    assert (found.wins, found.votes, len(found.left_out)) == (1, 1, 3)
    assert main(["compare", "warm", "base"]) == 0
    said = capsys.readouterr().out
    assert "3 pairs do not count: 'warm' was drawn with temperature 0.95 and 'base' with" in said
    assert "a blind test needs the same decoding for both" in said


def test_a_model_that_is_not_the_one_it_is_held_to():
    base = toy_base()
    other = type(base.model)(base.model.config).eval()
    arm = PolicyGradient(other, base.model, base.tokenizer, likes_high_notes, SMALL)
    with pytest.raises(TuneError, match=r"KL to the base model .* not the one that it is held to"):
        arm.begin(roll_out(base.model, base.tokenizer, 64, 1))


def test_rewards_that_are_no_numbers(rollouts: PromptedRollouts):
    with pytest.raises(TuneError, match="not finite"):
        check_rewards(
            [rollouts], [np.full(64, np.inf)], lambda r: np.full(len(r), np.inf), copies=4
        )


def test_dropout_is_off_while_a_model_is_tuned():
    base = toy_base()
    model = type(base.model)(base.model.config)
    model.load_state_dict(base.model.state_dict())
    model.train()
    step = next(tune(model, base.tokenizer, likes_high_notes, SMALL))
    assert isinstance(step.health, Health) and not model.training
