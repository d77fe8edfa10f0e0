"""Scores of normal rows -> threshold, summary, and the reference that drift is measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.drift import bin_counts, bin_edges

MOST_SCORES = 200_000
"""Calibration scores that an artifact keeps; of more, evenly spaced order statistics."""

MOST_ROWS = 200_000
"""Held-out rows that the drift reference is made from."""


def kept_scores(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (n,) sorted, and thinned to MOST_SCORES with both ends kept."""
    ordered = np.sort(scores)
    if len(ordered) <= MOST_SCORES:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, MOST_SCORES).round().astype(np.intp)]


def reference(
    features: tuple[str, ...], rows: NDArray[np.float32], scores: NDArray[np.float32], calibration: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """The arrays of reference.npz.

    feature_edges/I and feature_counts/I for feature I, score_edges and score_counts: `detector.drift`'s bins of
    held-out normal rows. calibration_scores: those that thresholds are found in.
    """
    arrays: dict[str, NDArray[Any]] = {"calibration_scores": kept_scores(calibration)}
    for index in range(len(features)):
        column = rows[:MOST_ROWS, index]
        arrays[f"feature_edges/{index}"] = edges = bin_edges(column)
        arrays[f"feature_counts/{index}"] = bin_counts(column, edges)
    arrays["score_edges"] = edges = bin_edges(scores)
    arrays["score_counts"] = bin_counts(scores, edges)
    return arrays
