"""The mathematics of learning from rewards and votes: tensors in, tensors out, nothing else.

B tunes, T tokens. `mask` (B, T) is 1 where a token counts: those the policy drew, the end mark
included; a prompt before them and padding behind them are 0. Log-probabilities and KL are in nats.
A loss is a sum over tokens divided by `count`, so that a batch may be worked through in pieces:
give every piece the count of the whole batch and add the losses up. Without it, the mask's count.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

Tensor = torch.Tensor


def kl_penalty(logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor) -> Tensor:
    """log p - log q of each drawn token, (B, T): the estimator k1 of the KL, unbiased in the sum.

    Schulman, "Approximating KL divergence" (2020); as a reward in Ziegler et al. 2019, eq. 2.
    """
    return (logprobs - ref_logprobs) * mask


def token_rewards(rewards: Tensor, kl: Tensor, mask: Tensor, kl_weight: float) -> Tensor:
    """Reward of each token (B, T): minus `kl_weight` times its KL, and at the end the tune's own.

    `rewards` (B,) is given at the last token that counts (Ziegler et al. 2019).
    """
    places = torch.arange(mask.shape[1], device=mask.device)
    last = (mask * places).argmax(dim=1)
    at_the_end = functional.one_hot(last, mask.shape[1]).to(kl.dtype)
    return at_the_end * rewards.unsqueeze(1) * mask - kl_weight * kl


def advantages_and_returns(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float = 1.0, lam: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Generalised advantages and the returns that the values should have said, both (B, T).

    delta_t = r_t + gamma V_{t+1} - V_t;  A_t = delta_t + gamma lam A_{t+1};  return_t = A_t + V_t
    (Schulman et al. 2015, eq. 16). Behind the last token that counts there is nothing: V = A = 0.

    Rewards (0, 0, 1), values all 0.5, gamma 1: lam 1 gives (.5, .5, .5), lam 0 gives (0, 0, .5).
    """
    values = values * mask
    result = torch.zeros_like(rewards)
    next_value = torch.zeros_like(rewards[:, 0])
    next_advantage = torch.zeros_like(next_value)
    for place in reversed(range(rewards.shape[1])):
        delta = rewards[:, place] + gamma * next_value - values[:, place]
        next_advantage = (delta + gamma * lam * next_advantage) * mask[:, place]
        next_value = values[:, place]
        result[:, place] = next_advantage
    return result, (result + values) * mask


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """`values` with mean 0 and deviation 1 over all that counts in the batch; 0 elsewhere."""
    count = mask.sum()
    mean = (values * mask).sum() / count
    variance = ((values - mean) ** 2 * mask).sum() / count
    return (values - mean) * mask / (variance.sqrt() + 1e-8)


class PolicyLoss(NamedTuple):
    """The loss to go down on, and two figures about how far the policy went since it drew."""

    loss: Tensor  # ()
    clip_fraction: Tensor  # (): share of the tokens at which the ratio is clipped
    approx_kl: Tensor  # (): KL(old, new), nats a token


def ppo_policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: float = 0.2,
    count: float | None = None,
) -> PolicyLoss:
    """-min(ratio A, clip(ratio, 1 - clip, 1 + clip) A), mean over tokens (Schulman et al. 2017, 7).

    The KL is the estimator k3, ratio - 1 - log ratio, which is never negative (Schulman 2020).
    """
    count = float(mask.sum()) if count is None else count
    log_ratio = (logprobs - old_logprobs) * mask
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    loss = -torch.min(ratio * advantages, clipped * advantages) * mask
    with torch.no_grad():
        at_the_edge = ((ratio - 1).abs() > clip).to(mask.dtype) * mask
        approx_kl = (ratio - 1 - log_ratio) * mask
    return PolicyLoss(loss.sum() / count, at_the_edge.sum() / count, approx_kl.sum() / count)


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip: float = 0.2,
    count: float | None = None,
) -> Tensor:
    """Half the squared error, the worse of it with the value as it is and as far as clipping lets.

    As in the PPO of OpenAI's baselines (`ppo2/model.py`), whose clip is in units of the value.
    """
    count = float(mask.sum()) if count is None else count
    near = old_values + (values - old_values).clamp(-clip, clip)
    error = torch.max((values - returns) ** 2, (near - returns) ** 2)
    return 0.5 * (error * mask).sum() / count


def rloo_advantages(rewards: Tensor, copies: int) -> Tensor:
    """Each reward less the mean of the others with the same prompt (RLOO, Ahmadian et al. 2024).

    `rewards` (N,) has the `copies` tunes of a prompt next to each other.
    """
    groups = rewards.view(-1, copies)
    others = (groups.sum(1, keepdim=True) - groups) / (copies - 1)
    return (groups - others).flatten()


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    sft_weight: float = 0.0,
    chosen_tokens: Tensor | None = None,
    count: float | None = None,
) -> Tensor:
    """-log sigmoid(beta (log-ratio of the chosen - log-ratio of the rejected)), mean over pairs.

    All (N,): log-probabilities of whole tunes (Rafailov et al. 2023, eq. 7). With `sft_weight` the
    cross entropy of the chosen tunes, in nats a token, is added; `chosen_tokens` (N,) counts them.
    """
    count = float(len(chosen)) if count is None else count
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    loss = -functional.logsigmoid(beta * margin)
    if sft_weight and chosen_tokens is not None:
        loss = loss - sft_weight * chosen / chosen_tokens
    return loss.sum() / count


def bradley_terry_loss(
    first: Tensor, second: Tensor, outcome: Tensor, *, centring: float = 0.01
) -> Tensor:
    """Cross entropy of votes under P(first wins) = sigmoid(first - second), mean over votes.

    Utilities `first` and `second` (N,) in logits; `outcome` (N,) is 1, 0, or 0.5 for a tie.
    `centring` times (first + second)^2 keeps the utilities around 0 (Eisenstein et al. 2023).
    """
    loss = functional.binary_cross_entropy_with_logits(first - second, outcome, reduction="none")
    return (loss + centring * (first + second) ** 2).mean()
