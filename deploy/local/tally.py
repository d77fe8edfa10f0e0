"""Alerts and labels, as they come and in whatever order, to counts. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass

from detector.alerts import Alert

KEPT = 40
"""Last alerts that are kept to be shown: more than a tall terminal has lines."""

STRIKING = 3


@dataclass(frozen=True, slots=True)
class Counts:
    """alerts: all of them; caught and false_alarms: those whose row's label says so. labels, frauds: that arrived."""

    alerts: int = 0
    labels: int = 0
    frauds: int = 0
    caught: int = 0
    false_alarms: int = 0

    @property
    def precision(self) -> float | None:
        """The share of frauds among the alerts that have a label; None without any."""
        judged = self.caught + self.false_alarms
        return self.caught / judged if judged else None

    @property
    def recall(self) -> float | None:
        """The share of alerts among the frauds that have a label; None without any."""
        return self.caught / self.frauds if self.frauds else None


@dataclass(frozen=True, slots=True)
class Judged:
    """An alert, and whether its row is a fraud: None while no label has said."""

    alert: Alert
    fraud: bool | None

    @property
    def times(self) -> float:
        """How many times the threshold its score is."""
        return ratio(self.alert)


def ratio(alert: Alert) -> float:
    """An alert's score in thresholds."""
    return alert.score / alert.threshold if alert.threshold > 0 else float("inf")


class Tally:
    """Joins alerts and labels by row id. An alert or label that comes twice counts once."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._alerted: set[str] = set()
        self._labels: dict[str, bool] = {}
        self._last: deque[Alert] = deque(maxlen=KEPT)
        self._striking: list[tuple[float, int, Alert]] = []
        self._caught = self._false_alarms = self._frauds = 0

    def alert(self, alert: Alert) -> None:
        """Takes in an alert."""
        if alert.id in self._ids:
            return
        self._ids.add(alert.id)
        self._last.appendleft(alert)
        self._keep_striking(alert)
        if alert.row_id is not None:
            self._alerted.add(alert.row_id)
            if alert.row_id in self._labels:
                self._judge(self._labels[alert.row_id])

    def label(self, row_id: str, fraud: bool) -> None:
        """Takes in the truth about a row."""
        if row_id in self._labels:
            return
        self._labels[row_id] = fraud
        self._frauds += fraud
        if row_id in self._alerted:
            self._judge(fraud)

    def _judge(self, fraud: bool) -> None:
        self._caught += fraud
        self._false_alarms += not fraud

    def _keep_striking(self, alert: Alert) -> None:
        entry = (ratio(alert), -len(self._ids), alert)  # of equals the first stays; alerts have no order
        if len(self._striking) < STRIKING:
            heapq.heappush(self._striking, entry)
        else:
            heapq.heappushpop(self._striking, entry)

    def counts(self) -> Counts:
        """What has come so far."""
        return Counts(len(self._ids), len(self._labels), self._frauds, self._caught, self._false_alarms)

    def last(self) -> list[Judged]:
        """The last alerts, the newest first."""
        return [self._judged(alert) for alert in self._last]

    def striking(self) -> list[Judged]:
        """The alerts that lie farthest above their threshold, the farthest first."""
        return [self._judged(alert) for _, _, alert in sorted(self._striking, reverse=True)]

    def _judged(self, alert: Alert) -> Judged:
        return Judged(alert, None if alert.row_id is None else self._labels.get(alert.row_id))
