"""How far a figure may lie off by chance: the percentile bootstrap, normal and anomalous rows drawn apart.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.calibration import precision

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

    Average precision is the sum of precision times the gain in recall over all thresholds, as scikit-learn has it.
    weights: how many rows of the history a normal and an anomalous one stand for.
    """
    normal, bad = _levels(scores, anomalous)
    parts = [_areas(normal[None], bad[None], weights)]
    step = max(1, _BLOCK // len(normal))
    for at in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - at)
        drawn = [rng.multinomial(counts.sum(), counts / counts.sum(), size) for counts in (normal, bad)]
        parts.append(_areas(drawn[0], drawn[1], weights))
    aurocs, precisions = (np.concatenate(part) for part in zip(*parts, strict=True))
    return aurocs, precisions


def _levels(scores: NDArray[np.float32], anomalous: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Normal and anomalous rows by score, ascending; scores between which no anomalous row lies count as one.

    The areas stay the same, and a resample costs no more than the anomalous rows are many.
    """
    distinct, places = np.unique(scores, return_inverse=True)
    normal = np.bincount(places[~anomalous], minlength=len(distinct))
    bad = np.bincount(places[anomalous], minlength=len(distinct))
    starts = np.flatnonzero((bad > 0) | np.append(True, bad[:-1] > 0))
    return np.add.reduceat(normal, starts), np.add.reduceat(bad, starts)


def _areas(
    normal: NDArray[np.int64], anomalous: NDArray[np.int64], weights: tuple[float, float]
) -> tuple[Drawn, Drawn]:
    """Both areas, each (b,), of counts (b, levels)."""
    normals, anomalies = normal.sum(1), anomalous.sum(1)
    below = normal.cumsum(1) - normal / 2  # a tie counts half
    false, true = (counts[:, ::-1].cumsum(1)[:, ::-1] for counts in (normal, anomalous))
    auroc = (anomalous * below).sum(1) / (normals * anomalies)
    right = precision(false * weights[0], true * weights[1])
    return auroc, (anomalous * np.where(true > 0, right, 0.0)).sum(1) / anomalies
