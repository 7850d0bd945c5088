"""Which bars of a tune the reward likes: each bar is silenced in turn, and the reward looked at.

What a bar adds is the reward of the tune less its reward with rests in that bar, less the mean of
this over the bars, since a silent bar is strange in itself (occlusion, Zeiler and Fergus 2014).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abc_tools import parse_tune
from prefs.rollout import Rollouts

Array = NDArray[np.float64]
# (tunes as ABC text, whether each is sound) -> their rewards (N,)
RewardOf = Callable[[Sequence[str], Sequence[bool]], Array]

SHOWN = 3  # bars marked of each kind
LOOKED_AT = 96  # tunes of the base model among which the best and the worst are sought
_NOTE = re.compile(r'"[^"]*"|![^!]*!|\[[A-Za-z]:[^\]]*\]|[_^=]*[A-Ga-g][,\']*')


def bar_contributions(abc: str, reward_of: RewardOf) -> Array:
    """What each written bar of a tune adds to its reward, (bars,), mean 0, in deviations."""
    bars = parse_tune(abc).bars
    variants = [abc, *(silenced(abc, bar.start, bar.end) for bar in bars)]
    # the gate would refuse many of them; it is no part of what is asked here
    rewards = reward_of(variants, [True] * len(variants))
    added = rewards[0] - rewards[1:]
    return np.asarray(added - added.mean()) if len(added) else added


def silenced(abc: str, start: int, end: int) -> str:
    """The tune with rests for the notes between two offsets; their lengths stay.

    >>> silenced("K:D\\nA2 ^fe|d4|", 4, 10)
    'K:D\\nz2 zz|d4|'
    """

    def rest(match: re.Match[str]) -> str:
        return match[0] if match[0][0] in '"![' else "z"

    return abc[:start] + _NOTE.sub(rest, abc[start:end]) + abc[end:]


def telling_tunes(pool: Rollouts, reward_of: RewardOf) -> list[dict[str, Any]]:
    """The tunes of the base model that the reward likes best and least, with their bars."""
    tunes = pool.sound_tunes[:LOOKED_AT]
    if len(tunes) < 2:
        return []
    rewards = reward_of(tunes, [True] * len(tunes))
    found = []
    for which, index in (("best", int(rewards.argmax())), ("worst", int(rewards.argmin()))):
        added = bar_contributions(tunes[index], reward_of)
        order = np.argsort(added)
        count = min(SHOWN, len(added) // 2)
        found.append(
            {
                "which": which,
                "abc": tunes[index],
                "reward": float(rewards[index]),
                "bars": [round(float(value), 3) for value in added],
                "best_bars": sorted(int(bar) for bar in order[len(order) - count :]),
                "worst_bars": sorted(int(bar) for bar in order[:count]),
            }
        )
    return found
