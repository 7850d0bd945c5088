"""Informative pairing beside uniform pairing, on simulated raters: votes for the same accuracy.

A simulated rater has a taste that is linear in the musical statistics of a tune, and noise fixed so
that it agrees with itself on 75% of random pairs (an assumption). Every vote is on the best of 16
random pairs of printed tunes (informative) or on the first of them (uniform). Accuracy is against
the noiseless taste, on pairs of tunes that no vote was about. The taste shares its features with
the probe, so both reach more than they would with people; what counts is the difference.

The promise: the accuracy of uniform pairing at 300 votes with at most 60% of the votes. It is not
kept: these 48 raters need 67%. Twelve others had happened to give exactly 60%. Other rules (a fit
after every vote with a fixed prior, the variance of the lead, its fall over all pairs) were
not clearly better on 48 raters (24 for some) they were tuned on; the best of them, run on these,
needed 67% too. Here all 16 pairs are new at each vote. Where the 15 that were passed over stay in
stock and one is drawn, little of the gain was left after 180 votes: 0.82 for two such rules, as for
uniform pairing; with four new pairs a vote and none thrown away, 0.85 (24 raters). So the Rate page
draws four a vote.
"""

import numpy as np

from abc_tools import AbcError, parse_tune, passes_gate
from benchmarks.reader import tunes
from musicgen.corpus import plain_text
from prefs.informative import PRIOR_RIDGE, information, probe_of
from prefs.probe import Comparisons, Projection
from prefs.statistics import plain_statistics

RATERS = range(200, 248)  # seeds on which nothing was tuned
CANDIDATES = 16
STEP = 20  # votes between two measurements
MOST = 300
SELF_AGREEMENT = 0.75
PROMISED = 0.6


def features() -> np.ndarray:
    """Statistics of sound printed tunes, standardised, (N, K)."""
    rows = []
    for text in tunes(1_000):
        try:
            abc = plain_text(parse_tune(text), "")
            if passes_gate(abc):
                rows.append(plain_statistics(abc))
        except AbcError:
            continue
    table = np.array(rows)
    return Projection.of(table, table.shape[1])(table)


def noise_scale(leads: np.ndarray) -> float:
    """Factor on the leads (N,) of random pairs that gives the wanted self-agreement."""
    low, high = 1e-3, 1e3
    for _ in range(60):
        middle = np.sqrt(low * high)
        p = 1 / (1 + np.exp(-middle * leads))
        low, high = (
            (middle, high) if (p**2 + (1 - p) ** 2).mean() < SELF_AGREEMENT else (low, middle)
        )
    return float(low)


def accuracies(table: np.ndarray, informative: bool, seed: int) -> list[float]:
    """Accuracy after every STEP votes of one simulated rater."""
    rng = np.random.default_rng(seed)
    taste = rng.standard_normal(table.shape[1])
    order = rng.permutation(len(table))
    held, voted = order[:200], order[200:]
    leads = (table[rng.choice(voted, 4_000)] - table[rng.choice(voted, 4_000)]) @ taste
    taste = taste * noise_scale(leads)
    test = table[held[:100]] - table[held[100:]]
    right = test @ taste > 0
    votes: list[tuple[int, int, float]] = []
    probe, found = None, []
    while len(votes) < MOST:
        pairs = np.array([rng.choice(voted, 2, replace=False) for _ in range(CANDIDATES)])
        best = 0
        if informative:
            difference = table[pairs[:, 0]] - table[pairs[:, 1]]
            if probe is None:
                std = np.linalg.norm(difference, axis=1) / np.sqrt(PRIOR_RIDGE)
                best = int(np.argmax(information(np.zeros(CANDIDATES), std)))
            else:
                best = int(np.argmax(information(*probe.utility(difference))))
        one, other = pairs[best]
        chance = 1 / (1 + np.exp(-(table[one] - table[other]) @ taste))
        votes.append((one, other, float(rng.random() < chance)))
        if len(votes) % STEP == 0:
            first, second, outcome = (np.array(column) for column in zip(*votes, strict=True))
            probe = probe_of(table, Comparisons(first, second, outcome))
            found.append(float(((test @ probe.weights > 0) == right).mean()) if probe else 0.5)
    return found


def main() -> None:
    """Prints the table; exits with 1 if the promise is broken."""
    table = features()
    curves = {
        name: np.mean([accuracies(table, informative, seed) for seed in RATERS], axis=0)
        for name, informative in (("uniform", False), ("informative", True))
    }
    counts = np.arange(STEP, MOST + 1, STEP)
    print(f"{len(RATERS)} simulated raters, {len(table)} printed tunes: accuracy by votes")
    print("votes       " + "".join(f"{count:>6}" for count in counts))
    for name, curve in curves.items():
        print(f"{name:12}" + "".join(f"{value:6.3f}" for value in curve))
    goal = curves["uniform"][-1]
    reached = counts[np.argmax(curves["informative"] >= goal)]
    share = reached / MOST if (curves["informative"] >= goal).any() else float("inf")
    kept = share <= PROMISED
    print(f"informative pairing reaches {goal:.3f} with {reached} of {MOST} votes: {share:.0%}")
    print(f"promise: at most {PROMISED:.0%} of the votes - {'kept' if kept else 'BROKEN'}")
    if not kept:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
