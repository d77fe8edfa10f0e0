"""Scores of normal rows -> threshold, summary, and the reference that drift is measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.drift import Reference

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
    rows: NDArray[np.float32], scores: NDArray[np.float32], calibration: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """The arrays of reference.npz: `calibration_scores`, in which thresholds are found, and drift's binned columns.

    rows (n, d) and scores (n,): of held-out normal rows.
    """
    columns = [*rows[:MOST_ROWS].T, scores[:MOST_ROWS]]
    return {"calibration_scores": kept_scores(calibration), **Reference.of(columns).to_arrays()}
