"""Scores of history -> what thresholds are found in, and the reference that drift is measured against."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detector.calibration import Calibration
from detector.drift import Reference
from detector.model import Model
from trainer.history import History

MOST_ROWS = 200_000
"""Held-out rows that the drift reference is made from."""


def calibration(
    history: History, model: Model, calibrate_on: Literal["held_out", "training"], held_out: NDArray[np.float32]
) -> Calibration:
    """What the artifact keeps of the served model's scores. held_out: those of the held-out rows, in their order."""
    return Calibration.of(
        held_out,
        model.score(history.anomalous),
        scores=held_out if calibrate_on == "held_out" else _training_scores(history, model),
        normal_rows=history.normal_rows,
        anomalous_rows=history.anomalous_rows,
        days=history.days,
        amount=history.amount,
        held_out_amounts=history.held_out_amounts,
        anomalous_amounts=history.anomalous_amounts,
    ).thinned()


def _training_scores(history: History, model: Model) -> NDArray[np.float32]:
    """Of all training rows, of their sample where they do not fit into memory."""
    training = history.training
    return np.concatenate(
        [model.score(rows) for rows in ((training.sample,) if training.streamed else training.chunks())]
    )


def reference(rows: NDArray[np.float32], scores: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Drift's binned columns, of held-out normal rows (n, d) and their scores (n,)."""
    return Reference.of([*rows[:MOST_ROWS].T, scores[:MOST_ROWS]]).to_arrays()
