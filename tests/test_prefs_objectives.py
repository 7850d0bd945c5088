"""The formulas of preference learning, each against numbers worked by hand."""

import math

import pytest
import torch

from prefs.objectives import (
    advantages_and_returns,
    bradley_terry_loss,
    dpo_loss,
    kl_penalty,
    ppo_policy_loss,
    rloo_advantages,
    token_rewards,
    value_loss,
    whiten,
)


def rows(*numbers) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_kl_is_the_difference_of_log_probabilities_where_a_token_counts():
    own, base = rows([-1.0, -2.0, -9.0]), rows([-1.5, -1.0, -3.0])
    assert kl_penalty(own, base, rows([1, 1, 0])).tolist() == [[0.5, -1.0, 0.0]]


def test_the_tunes_reward_comes_at_its_end_and_every_token_pays_for_its_kl():
    kl = rows([0.0, 0.5, -1.0, 0.0], [0.0, 0.0, 2.0, 1.0])
    mask = rows([0, 1, 1, 0], [0, 0, 1, 1])
    found = token_rewards(torch.tensor([3.0, -2.0]).double(), kl, mask, 0.1)
    # first tune: -0.05, then 3 + 0.1 at its last token; second: -0.2, then -2 - 0.1
    assert torch.allclose(found, rows([0, -0.05, 3.1, 0], [0, 0, -0.2, -2.1]))


@pytest.mark.parametrize(
    ("lam", "expected"), [(1.0, [0.5, 0.5, 0.5]), (0.0, [0, 0, 0.5]), (0.5, [0.125, 0.25, 0.5])]
)
def test_advantages_of_one_reward_at_the_end(lam: float, expected: list[float]):
    ones = rows([1, 1, 1])
    found, returns = advantages_and_returns(rows([0, 0, 1]), 0.5 * ones, ones, lam=lam)
    assert torch.allclose(found, rows(expected))
    assert torch.allclose(returns, rows(expected) + 0.5)


def test_advantages_are_discounted():
    ones = rows([1, 1])
    found, _ = advantages_and_returns(rows([0, 8]), rows([1, 2]), ones, gamma=0.5, lam=0.5)
    # last: 8 - 2 = 6; first: 0 + 0.5 * 2 - 1 = 0, and 0.25 * 6 = 1.5 of the next
    assert torch.allclose(found, rows([1.5, 6]))


def test_nothing_behind_the_end_of_a_tune_reaches_its_tokens():
    rewards, values = rows([0, 1, 50, 50]), rows([0.5, 0.5, 70, 70])
    found, returns = advantages_and_returns(rewards, values, rows([1, 1, 0, 0]))
    assert found.tolist() == [[0.5, 0.5, 0, 0]]
    assert returns.tolist() == [[1, 1, 0, 0]]


def test_whitening_is_over_the_whole_batch_and_not_over_what_is_masked():
    found = whiten(rows([1, 3, 99], [5, 7, -99]), rows([1, 1, 0], [1, 1, 0]))
    # 1, 3, 5, 7 have mean 4 and variance 5
    assert torch.allclose(found, rows([-3, -1, 0], [1, 3, 0]) / math.sqrt(5))


def test_the_policy_loss_stops_paying_where_the_ratio_is_clipped():
    old = torch.zeros(1, 4, dtype=torch.float64)
    new = rows([1.5, 1.1, 0.5, 3.0]).log()
    found = ppo_policy_loss(new, old, rows([2, 2, -1, 9]), rows([1, 1, 1, 0]), clip=0.2)
    # min(3, 1.2 * 2), min(2.2, 2.2), min(-0.5, 0.8 * -1)
    assert found.loss.item() == pytest.approx(-(2.4 + 2.2 - 0.8) / 3)
    assert found.clip_fraction.item() == pytest.approx(2 / 3)
    kl = (0.5 - math.log(1.5)) + (0.1 - math.log(1.1)) + (-0.5 - math.log(0.5))
    assert found.approx_kl.item() == pytest.approx(kl / 3)


def test_before_the_first_step_the_gradient_is_the_advantage():
    new = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    found = ppo_policy_loss(new, torch.zeros(1, 2).double(), rows([3, -5]), rows([1, 1]))
    found.loss.backward()
    assert new.grad is not None and new.grad.tolist() == [[-1.5, 2.5]]


def test_pieces_of_a_batch_add_up_to_the_batch():
    new, old = rows([0.1, 0.2], [0.3, -0.4]), rows([0, 0.1], [0, 0])
    gains, mask = rows([1, 2], [-3, 4]), rows([1, 1], [1, 0])
    whole = ppo_policy_loss(new, old, gains, mask).loss
    pieces = [
        ppo_policy_loss(new[i : i + 1], old[i : i + 1], gains[i : i + 1], mask[i : i + 1], count=3)
        for i in range(2)
    ]
    assert sum(piece.loss.item() for piece in pieces) == pytest.approx(whole.item())


def test_the_value_loss_takes_the_worse_of_the_value_and_the_clipped_one():
    old, returns = rows([0, 0, 0]), rows([1, 1, 5])
    found = value_loss(rows([1, 0.1, 9]), old, returns, rows([1, 1, 0]), clip=0.2)
    # right but too fast: (0.2 - 1)^2; within the clip: (0.1 - 1)^2
    assert found.item() == pytest.approx(0.5 * (0.64 + 0.81) / 2)


def test_leave_one_out_compares_a_tune_with_the_others_of_its_prompt():
    found = rloo_advantages(torch.tensor([1.0, 2, 3, 6, 0, 0, 0, 4]), 4)
    # 1 - 11/3, 2 - 10/3, 3 - 3, 6 - 2; the second prompt apart: 0 - 4/3, three times, 4 - 0
    expected = torch.tensor([-8 / 3, -4 / 3, 0, 4, -4 / 3, -4 / 3, -4 / 3, 4])
    assert torch.allclose(found, expected)


def test_dpo_is_log_2_at_the_reference_and_falls_as_the_chosen_gains():
    same = torch.tensor([-5.0]).double()
    assert dpo_loss(same, same, same, same).item() == pytest.approx(math.log(2))
    found = dpo_loss(same + 3, same - 1, same, same, beta=0.5)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_dpo_with_supervision_adds_the_chosen_tunes_cross_entropy_a_token():
    chosen, other = torch.tensor([-30.0, -8.0]).double(), torch.tensor([-9.0, -9.0]).double()
    tokens = torch.tensor([10, 4])
    found = dpo_loss(chosen, other, chosen, other, sft_weight=0.1, chosen_tokens=tokens)
    assert found.item() == pytest.approx(math.log(2) + 0.1 * (3 + 2) / 2)


def test_bradley_terry_counts_a_tie_half_and_pulls_utilities_to_0():
    first, second = torch.tensor([2.0, 1.0]).double(), torch.tensor([0.0, 1.0]).double()
    found = bradley_terry_loss(first, second, torch.tensor([1.0, 0.5]).double(), centring=0)
    assert found.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2)
    centred = bradley_terry_loss(first, second, torch.tensor([1.0, 0.5]).double())
    assert centred.item() == pytest.approx(found.item() + 0.01 * (4 + 4) / 2)
    tie = torch.tensor([1.0], requires_grad=True)
    bradley_terry_loss(tie, torch.zeros(1), torch.tensor([0.5]), centring=0).backward()
    assert tie.grad is not None and tie.grad.item() > 0, "a tie pulls the better one down"
