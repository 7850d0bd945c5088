"""Several processes that tune one model together: each does a share, all hold the same result.

The processes are started by `torchrun`, or anything else that sets up torch.distributed. With a
single process everything here does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import distributed

Item = TypeVar("Item")


def active() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def share(items: Iterable[Item]) -> list[Item]:
    """Every n-th of `items`, for the work of this one of n processes."""
    found = list(items)
    return found[distributed.get_rank() :: distributed.get_world_size()] if active() else found


def share_of_range(count: int) -> range:
    """This process's stretch of `count` rows; those of all processes, in order, are all rows."""
    if not active():
        return range(count)
    rank, world = distributed.get_rank(), distributed.get_world_size()
    return range(count * rank // world, count * (rank + 1) // world)


def total(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, in place."""
    if active():
        distributed.all_reduce(tensor)
    return tensor


def joined(mine: Sequence[Item]) -> list[Item]:
    """What every process has, one after the other in the order of their ranks."""
    if not active():
        return list(mine)
    parts: list[list[Item]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, list(mine))
    return [item for part in parts for item in part]


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give every process the sum of all their gradients."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        total(parameter.grad)
