"""Simulated raters: a taste, a noise, a leaning to the first side. No person is behind a vote here.

    raters = simulated_raters(base_tunes, real_tunes)
    raters["busy"].utility(abc)             noiseless, mean 0 and deviation 1 over base tunes
    raters["busy"].choice(pair_id, first_abc, second_abc)

A rater hears the lead of the first tune over the second in logits, adds logistic noise, and says
"tie" when too little is left. How many logits a standard deviation of the taste is worth is fixed
once, so that the rater agrees with itself on 75% of unrelated pairs of base tunes played again with
sides swapped; for pairs that are closer, the same noise stays. That 75% is an assumption.

The rater "random" votes without listening.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abc_tools import Tune, parse_tune
from prefs import tastes
from prefs.learned_tastes import Homeliness, Likeness, Surprise
from prefs.logistic import sigmoid
from prefs.records import Choice

Array = NDArray[np.float64]

SELF_AGREEMENT = 0.75
FIRST_SIDE = 0.2  # logits that the first tune leads by, whatever it is
TIE_BELOW = 0.2  # logits: a smaller lead, noise included, is called a tie
_WIDEST = 3.0  # deviations that a utility approaches: nobody likes a tune without end
FEWEST_TUNES = 64  # of the base model, to fix mean, deviation and noise on

# Arms, features and constants are chosen on these. All but the first five were once kept out, until
# figures on them had been seen ...
DEVELOPMENT: tuple[str, ...] = (
    *("busy", "gentle", "arched", "swinging", "surprising"),
    *("likeness", "modal", "contrasting"),
    *("homely", "gapped", "roaming", "weighty", "rhyming"),
    *("running", "chordal", "droning", "climactic", "answering"),
)
# ... and final figures come from these: rhythm, the line of a melody, harmony, how parts stand to
# each other, playing. They were written by a hand that had not seen the reward model's statistics;
# nothing was chosen on them.
HELD_OUT: tuple[str, ...] = ("driving", "tumbling", "leaning", "rounded", "ringing")
RANDOM = "random"


class RaterError(ValueError):
    """Simulated raters that cannot be made; one line for the user."""


@dataclass(frozen=True)
class Rater:
    """A simulated rater. `sharpness` is in logits for each standard deviation of the taste."""

    name: str
    measure: Callable[[Tune], float]
    mean: float
    std: float
    sharpness: float
    first_side: float = FIRST_SIDE
    tie_below: float = TIE_BELOW

    def utility(self, abc: str) -> float:
        """How well a tune is liked, without noise: about 0 for the mean base tune, from -3 to 3."""
        deviations = (self.measure(parse_tune(abc)) - self.mean) / self.std
        return float(_WIDEST * np.tanh(deviations / _WIDEST))

    def utilities(self, tunes: Sequence[str]) -> Array:
        return np.array([self.utility(abc) for abc in tunes])

    def choice(self, pair_id: str, first: str, second: str, *, seed: int = 0) -> Choice:
        """The vote on a pair; the same pair, rater and seed get the same one."""
        words = f"{seed} {self.name} {pair_id}".encode()
        stream = np.random.default_rng(list(hashlib.sha256(words).digest()))
        lead = self.utility(first) - self.utility(second)
        return self.choice_at(lead, stream)

    def choice_at(self, lead: float, stream: np.random.Generator) -> Choice:
        """The vote where the first tune leads by `lead` deviations of the taste."""
        heard = self.sharpness * lead + self.first_side + stream.logistic()
        if abs(heard) < self.tie_below:
            return "tie"
        return "first" if heard > 0 else "second"

    def probabilities(self, leads: Array) -> tuple[Array, Array]:
        """P("first") and P("second") for leads (N,); the rest is "tie"."""
        heard = self.sharpness * leads + self.first_side
        return sigmoid(heard - self.tie_below), sigmoid(-heard - self.tie_below)

    def self_agreement(self, leads: Array) -> float:
        """Chance that a pair played again with sides swapped is decided alike, ties included."""
        first, second = self.probabilities(leads)
        again_first, again_second = self.probabilities(-leads)
        ties = (1 - first - second) * (1 - again_first - again_second)
        return float((first * again_second + second * again_first + ties).mean())


def calibrated(
    name: str, measure: Callable[[Tune], float], base_tunes: Sequence[str], *, seed: int = 0
) -> Rater:
    """A rater of that taste, scaled and its noise fixed on sound tunes of the base model.

    Raises RaterError for too few tunes, or a taste that tells none of them apart.
    """
    if len(base_tunes) < FEWEST_TUNES:
        raise RaterError(
            f"{len(base_tunes)} tunes are too few to fix a simulated rater's noise on: "
            f"{FEWEST_TUNES} are needed"
        )
    values = np.array([measure(parse_tune(abc)) for abc in base_tunes])
    if not values.std() > 1e-9:
        raise RaterError(f"the taste {name!r} tells none of these tunes apart")
    blunt = Rater(name, measure, float(values.mean()), float(values.std()), 0.0)
    utilities = blunt.utilities(base_tunes)
    pairs = np.random.default_rng(seed).integers(len(utilities), size=(20_000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    leads = utilities[pairs[:, 0]] - utilities[pairs[:, 1]]
    low, high = 1e-3, 1e3
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        agreement = _sharper(blunt, middle).self_agreement(leads)
        low, high = (middle, high) if agreement < SELF_AGREEMENT else (low, middle)
    return _sharper(blunt, low)


def _sharper(rater: Rater, sharpness: float) -> Rater:
    return Rater(rater.name, rater.measure, rater.mean, rater.std, sharpness)


def simulated_raters(
    base_tunes: Sequence[str],
    real_tunes: Sequence[str],
    names: Sequence[str] = (*DEVELOPMENT, *HELD_OUT, RANDOM),
) -> Mapping[str, Rater]:
    """Raters by name. `base_tunes` are sound tunes of the base model, `real_tunes` of the corpus.

    Likeness and homeliness are learned on the first half of the base tunes and scaled on the
    second, so that they are not sharper on the tunes that they have seen. Raises RaterError for a
    name that is not known.
    """
    plain: dict[str, Callable[[Tune], float]] = {
        "busy": tastes.busy,
        "gentle": tastes.gentle,
        "arched": tastes.arched,
        "swinging": tastes.swinging,
        "modal": tastes.modal,
        "contrasting": tastes.contrasting,
        "gapped": tastes.gapped,
        "roaming": tastes.roaming,
        "weighty": tastes.weighty,
        "rhyming": tastes.rhyming,
        "running": tastes.running,
        "chordal": tastes.chordal,
        "droning": tastes.droning,
        "climactic": tastes.climactic,
        "answering": tastes.answering,
        "driving": tastes.driving,
        "tumbling": tastes.tumbling,
        "leaning": tastes.leaning,
        "rounded": tastes.rounded,
        "ringing": tastes.ringing,
    }
    found: dict[str, Rater] = {}
    half = len(base_tunes) // 2
    for name in names:
        if name == RANDOM:
            found[name] = Rater(name, lambda tune: 0.0, 0.0, 1.0, 0.0)
        elif name == "likeness":
            likeness = Likeness.of(real_tunes, base_tunes[:half])
            found[name] = calibrated(name, likeness, base_tunes[half:])
        elif name == "homely":
            homely = Homeliness.of(real_tunes, base_tunes[:half])
            found[name] = calibrated(name, homely, base_tunes[half:])
        elif name == "surprising":
            found[name] = calibrated(name, Surprise.of(real_tunes), base_tunes)
        elif name in plain:
            found[name] = calibrated(name, plain[name], base_tunes)
        else:
            known = ", ".join((*DEVELOPMENT, *HELD_OUT, RANDOM))
            raise RaterError(f"no simulated rater {name!r}: there are {known}")
    return found
