"""A table scored by the very model that the detector serves: the oracle of the stream, and the way to backfill."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.artifact import Artifact
from detector.errors import DataRefused
from detector.model import Model
from detector.threshold import above


def score(artifact: Artifact, model: Model, frame: pd.DataFrame) -> NDArray[np.float32]:
    """Scores (n,) of a table's rows; DataRefused where a row could not have been a message."""
    return model.score(rows_of(artifact, frame))


def rows_of(artifact: Artifact, frame: pd.DataFrame) -> NDArray[np.float32]:
    """A table's rows (n, d) as the model takes them; DataRefused where a row could not have been a message."""
    rows = table.encoded(frame, artifact.schema)
    must = np.array([name not in artifact.schema.optional for name in artifact.schema.features])
    wrong = ~np.isfinite(rows) & (must | ~np.isnan(rows))
    if wrong.any():
        row, column = map(int, np.argwhere(wrong)[0])
        raise DataRefused(f"row {row}: feature {artifact.schema.features[column]!r} is missing, infinite or too large")
    return rows


def verdicts(scores: NDArray[np.float32], threshold: float) -> pd.DataFrame:
    """A table of row_id, score, threshold and verdict (`alert` or `normal`); scores keep every bit."""
    return pd.DataFrame(
        {
            "row_id": np.arange(len(scores)),
            "score": scores.astype(np.float64),
            "threshold": threshold,
            "verdict": np.where(above(scores, threshold), "alert", "normal"),
        }
    )
