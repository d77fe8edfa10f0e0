"""How well scores part anomalous rows from normal ones over all thresholds: AUROC and average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.calibration import precision

Counts = NDArray[np.int64]


def areas(scores: NDArray[np.float32], anomalous: NDArray[np.bool_]) -> tuple[float, float]:
    """AUROC and average precision of scores (n,) against the truth (n,); NaN where there is but one kind of rows."""
    if not anomalous.any() or anomalous.all():
        return float("nan"), float("nan")
    normal, bad = levels(scores, anomalous)
    auroc, average_precision = areas_of_levels(normal[None], bad[None])
    return float(auroc[0]), float(average_precision[0])


def levels(scores: NDArray[np.float32], anomalous: NDArray[np.bool_]) -> tuple[Counts, Counts]:
    """Normal and anomalous rows by score, ascending; scores between which no anomalous row lies count as one.

    The areas stay the same, and a resample costs no more than the anomalous rows are many.
    """
    distinct, places = np.unique(scores, return_inverse=True)
    normal = np.bincount(places[~anomalous], minlength=len(distinct))
    bad = np.bincount(places[anomalous], minlength=len(distinct))
    starts = np.flatnonzero((bad > 0) | np.append(True, bad[:-1] > 0))
    return np.add.reduceat(normal, starts), np.add.reduceat(bad, starts)


def areas_of_levels(
    normal: Counts, anomalous: Counts, weights: tuple[float, float] = (1.0, 1.0)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both areas, each (b,), of counts (b, levels) that hold both kinds of rows.

    Average precision is the sum of precision times the gain in recall over all thresholds, as scikit-learn has it.
    weights: how many rows of the history a normal and an anomalous one stand for.
    """
    normals, anomalies = normal.sum(1), anomalous.sum(1)
    below = normal.cumsum(1) - normal / 2  # a tie counts half
    false, true = (counts[:, ::-1].cumsum(1)[:, ::-1] for counts in (normal, anomalous))
    auroc = (anomalous * below).sum(1) / (normals * anomalies)
    right = precision(false * weights[0], true * weights[1])
    return auroc, (anomalous * np.where(true > 0, right, 0.0)).sum(1) / anomalies
