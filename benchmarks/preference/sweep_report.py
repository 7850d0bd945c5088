"""A sweep's rows as people read them: what each name came to, and how KL bought gold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from musicgen.evaluate import wilson_interval

POINTS = 5  # of a curve that are printed

Rows = Sequence[dict[str, Any]]


def report(rows: Rows) -> str:
    """One line for each name, means over tastes and seeds, then one line for each name's curve."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["name"]].append(row)
    lines = [
        f"{'':34}{'runs':>5} {'noiseless':>10} {'95%':>15} {'noisy':>7} {'accuracy':>9} {'KL':>6} "
        f"{'variety':>8} {'gate (base)':>12} {'taken back':>11} {'minutes':>8}"
    ]
    for name, found in groups.items():
        low, high = _interval(found)
        tuned, base = np.mean([row["gate_at_1"] for row in found], axis=0)
        lines.append(
            f"{name:34}{len(found):>5} "
            f"{np.mean([row['noiseless']['win_rate'] for row in found]):>10.1%} "
            f"{f'{low:.1%} - {high:.1%}':>15} "
            f"{np.mean([row['noisy']['win_rate'] for row in found]):>7.1%} "
            f"{np.mean([row['reward_accuracy']['noiseless'] for row in found]):>9.1%} "
            f"{np.mean([row['kl'] for row in found]):>6.1f} "
            f"{np.mean([row['variety_of_base'] for row in found]):>8.0%} "
            f"{f'{tuned:.0%} ({base:.0%})':>12} "
            f"{np.mean([row['taken_back'] for row in found]):>11.1f} "
            f"{np.mean([row['cpu_seconds'] for row in found]) / 60:>8.1f}"
        )
    lines += ["", "KL in nats a tune: gold in deviations (proxy reward), means over runs"]
    lines += [f"{name:34}{line}" for name, found in groups.items() if (line := _curve(found))]
    return "\n".join(lines)


def _interval(rows: Rows) -> tuple[float, float]:
    """Wilson's for the pairs of all runs together."""
    pairs = sum(row["pairs"] for row in rows)
    points = sum(row["noiseless"]["win_rate"] * row["pairs"] for row in rows)
    return wilson_interval(points, pairs)


def _curve(rows: Rows) -> str:
    """Means over the runs at up to POINTS rounds; a run that ended earlier is left out there."""
    longest = max(len(row["curve"]) for row in rows)
    if not longest:
        return ""
    words = []
    for place in sorted(set(np.linspace(0, longest - 1, POINTS).astype(int).tolist())):
        points = [row["curve"][place] for row in rows if place < len(row["curve"])]
        kl, gold, reward = (
            float(np.nanmean([point[name] for point in points]))
            for name in ("kl", "gold", "reward")
        )
        words.append(f"{kl:.1f}: {gold:+.2f} ({reward:+.2f})")
    return "  ".join(words)
