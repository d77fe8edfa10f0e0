"""All that a report looks at: the artifact, a threshold, and rows with their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.artifact import Artifact
from detector.calibration import Calibration
from detector.model import Model
from detector.threshold import Threshold
from trainer import scoring
from trainer.amounts import amount_column, amounts
from trainer.datasets import Data
from trainer.history import days


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The rows of DATA in their order.

    rows: float32 (n, d). scores: (n,). truth: which are anomalous, (n,); None without a label.
    times: ms since 1970 UTC, (n,); None without a time. label, time: the columns these came from.
    amount: the column of the value at stake.
    """

    name: str
    frame: pd.DataFrame
    model: Model
    rows: NDArray[np.float32]
    scores: NDArray[np.float32]
    label: str | None
    truth: NDArray[np.bool_] | None
    time: str | None
    times: NDArray[np.int64] | None
    amount: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """calibration: the scores that the report is about, of DATA's rows or of those that the artifact holds."""

    artifact: Artifact
    threshold: Threshold
    calibration: Calibration
    labelled: bool
    seen: Seen | None = None

    @property
    def scores(self) -> NDArray[np.float32]:
        """Of all rows, (n,): in the order of DATA, or those of normal rows first."""
        return (
            self.seen.scores if self.seen else np.concatenate((self.calibration.held_out, self.calibration.anomalous))
        )

    @property
    def truth(self) -> NDArray[np.bool_] | None:
        """Which rows are anomalous, (n,); None without labels."""
        if not self.labelled:
            return None
        if self.seen:
            return self.seen.truth
        return np.repeat([False, True], (len(self.calibration.held_out), len(self.calibration.anomalous)))


def of_artifact(found: Artifact, threshold: Threshold) -> Evidence:
    """What the artifact itself holds: the scores of rows that were kept out of its training."""
    return Evidence(found, threshold, found.calibration, labelled=found.schema.label is not None)


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of DATA's columns; None for what the artifact's schema and the data tell."""

    label: str | None = None
    normal: str | None = None
    time: str | None = None


def of_data(found: Artifact, threshold: Threshold, data: Data, said: Said) -> Evidence:
    """DATA scored by the served model. A label, time or amount that only the artifact names may be absent."""
    schema = found.schema
    frame = table.with_features(data.frame, schema.features)
    label = table.label_column(frame, said.label or _there(frame, schema.label) or data.label)
    time = table.time_column(frame, said.time or _there(frame, schema.time) or data.time or "none")
    truth = None if label is None else table.anomalous(frame, label, said.normal or schema.normal)
    times = None if time is None else table.event_milliseconds(frame, time)
    amount = amount_column(frame, _there(frame, found.calibration.amount) or "none")
    model = found.model()
    rows = scoring.rows_of(found, frame)
    seen = Seen(data.name, frame, model, rows, model.score(rows), label, truth, time, times, amount)
    return Evidence(found, threshold, _calibration(seen), truth is not None, seen)


def _there(frame: pd.DataFrame, name: str | None) -> str | None:
    return name if name in frame.columns else None


def _calibration(seen: Seen) -> Calibration:
    """The scores as if all rows had been kept out of a fit: each stands for itself."""
    bad = np.zeros(len(seen.scores), bool) if seen.truth is None else seen.truth
    values = np.empty(0) if seen.amount is None else amounts(seen.frame, seen.amount)
    return Calibration.of(
        seen.scores[~bad],
        seen.scores[bad],
        days=None if seen.times is None else days(seen.times),
        amount=seen.amount,
        held_out_amounts=values[~bad] if seen.amount else (),
        anomalous_amounts=values[bad] if seen.amount else (),
    )
