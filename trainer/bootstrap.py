"""How far a figure may lie off by chance: the percentile bootstrap, normal and anomalous rows drawn apart.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.areas import areas_of_levels, levels

RESAMPLES = 1_000
INTERVAL = (2.5, 97.5)
"""Percentiles over the resamples: a 95 % interval."""

_BLOCK = 1 << 21
"""Numbers drawn at once."""

Drawn = NDArray[np.float64]
"""A figure, (1 + RESAMPLES,): first as the rows have it, then as each resample of them does; NaN where undefined."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def estimate(drawn: Drawn) -> Estimate | None:
    """None where the rows do not define the figure; resamples that do not are left out."""
    if np.isnan(drawn[0]):
        return None
    low, high = np.nanpercentile(drawn[1:], INTERVAL)
    return Estimate(float(drawn[0]), float(low), float(high))


def draw_counts(rng: np.random.Generator, rows: int, above: int) -> NDArray[np.int64]:
    """How many of so many rows lie above a line, (1 + RESAMPLES,): of n drawn anew it is Binomial(n, above / n)."""
    return np.append(above, rng.binomial(rows, above / rows if rows else 0.0, RESAMPLES))


def draw_sums(rng: np.random.Generator, amounts: NDArray[np.float64], counts: NDArray[np.int64]) -> Drawn:
    """Sums (1 + RESAMPLES,): of all amounts (n,), then of so many drawn from them as counts[1:] say."""
    sums = [np.array([amounts.sum()])]
    step = max(1, _BLOCK // max(int(counts.max()), 1))
    for at in range(1, len(counts), step):
        some = counts[at : at + step]
        drawn = amounts[rng.integers(max(len(amounts), 1), size=some.sum())]
        sums.append(np.bincount(np.repeat(np.arange(len(some)), some), drawn, minlength=len(some)))
    return np.concatenate(sums)


def draw_areas(
    rng: np.random.Generator,
    scores: NDArray[np.float32],
    anomalous: NDArray[np.bool_],
    weights: tuple[float, float] = (1.0, 1.0),
) -> tuple[Drawn, Drawn]:
    """AUROC and average precision of scores (n,) against the truth (n,), which must hold both kinds of rows.

    weights: how many rows of the history a normal and an anomalous one stand for.
    """
    normal, bad = levels(scores, anomalous)
    parts = [areas_of_levels(normal[None], bad[None], weights)]
    step = max(1, _BLOCK // len(normal))
    for at in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - at)
        drawn = [rng.multinomial(counts.sum(), counts / counts.sum(), size) for counts in (normal, bad)]
        parts.append(areas_of_levels(drawn[0], drawn[1], weights))
    aurocs, precisions = (np.concatenate(part) for part in zip(*parts, strict=True))
    return aurocs, precisions
