"""The pure line for one batch: rows, model, thresholds and running statistics in; verdicts and alerts out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.alerts import Alert, alert_id, iso, key_text, place, reasons, row_id
from detector.artifact import Artifact
from detector.model import Model
from detector.rows import Message, Rows
from detector.statistics import RunningMedianMad, Summary
from detector.threshold import Line, Threshold, above

Windows = Callable[[int], RunningMedianMad]
"""Gives the running statistics of a partition."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of one partition that see the same statistics: their places in the batch, and what is in force for them."""

    partition: int
    rows: NDArray[np.intp]
    summary: Summary | None
    threshold: Threshold


@dataclass(frozen=True, slots=True)
class Verdicts:
    """scores: float32 (n,). alerting: places of the rows above their threshold, in the batch's order."""

    scores: NDArray[np.float32]
    segments: list[Segment]
    alerting: NDArray[np.intp]


def judge(rows: Rows, scores: NDArray[np.float32], line: Line, windows: Windows) -> Verdicts:
    """Moves the partitions' statistics along and compares each score with the threshold in force for its row."""
    segments: list[Segment] = []
    for partition, at in rows.parts:
        for part, summary in windows(partition).update(rows.offset[at], scores[at]):
            segments.append(Segment(partition, at[part], summary, line.at(summary)))
    over = [segment.rows[above(scores[segment.rows], segment.threshold.value)] for segment in segments]
    return Verdicts(scores, segments, np.sort(np.concatenate(over)) if over else np.empty(0, np.intp))


def build_alerts(
    rows: Rows, verdicts: Verdicts, model: Model, artifact: Artifact, detected_at: str
) -> list[tuple[Alert, Message]]:
    """The alerts of a batch, each with its row's message. Only rows that alert cost a Python object."""
    at = verdicts.alerting
    if len(at) == 0:
        return []
    in_force = _in_force(len(rows), verdicts.segments)
    contributions, expected = model.explain(rows.matrix[at])
    times = rows.times(at).tolist()
    alerts = []
    for i, row in enumerate(at.tolist()):
        segment = verdicts.segments[in_force[row]]
        message, score = rows.messages[row], float(verdicts.scores[row])
        source = place(message)
        alert = Alert(
            id=alert_id(source),
            score=score,
            threshold=segment.threshold.value,
            method=segment.threshold.method,
            modified_z=(segment.summary or artifact.summary).modified_z(score),
            reasons=reasons(artifact.schema, rows.matrix[row], expected[i], contributions[i]),
            model=artifact.name,
            source=source,
            key=key_text(message),
            row_id=row_id(message),
            event_time=iso(times[i]),
            detected_at=detected_at,
        )
        alerts.append((alert, message))
    return alerts


def _in_force(count: int, segments: list[Segment]) -> NDArray[np.intp]:
    """For each row of the batch (n,), the place of its segment."""
    places = np.zeros(count, np.intp)
    for number, segment in enumerate(segments):
        places[segment.rows] = number
    return places
