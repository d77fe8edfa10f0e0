"""What one detector said of the rows, taken in as it comes: arrays for each row, little else."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector import alerts, drift, scores
from detector.alerts import Alert
from detector.drift import Event
from detector.errors import Failure
from detector.rows import REASONS, Message, header
from replay.backtest.played import digest

WORST = 20
"""Alerts that are kept whole."""

SCORED = np.dtype([("name", "<i8"), ("time", "<i8"), ("score", "<f4"), ("amount", "<f4"), ("alert", "?")])
"""A scored row. name: see `played.digest`. time: its event time, ms since 1970. amount: 0 where none is known."""

ALERTED = np.dtype([("name", "<i8"), ("seen", "<f8")])
"""An alert's row, and when a reader had the alert, s since 1970."""


@dataclass(frozen=True, slots=True)
class Place:
    """The last row of a record of scores: where it is, and its event time, ms since 1970."""

    partition: int
    offset: int
    time: int


class Tally:
    """Counts and keeps. rows, alerting: rows scored, and those of them that are to alert. alerts: that came.

    dead: dead letters by reason. reached: by partition, the offset behind the last row that something was said of.
    """

    def __init__(self) -> None:
        self.rows = self.alerting = self.alerts = 0
        self.dead: Counter[str] = Counter()
        self.reached: dict[int, int] = {}
        self.events: list[Event] = []
        self.places: list[Place] = []
        self.threshold: float | None = None
        self._scored: list[NDArray[np.void]] = []
        self._alerted: list[tuple[int, float]] = []
        self._worst: list[tuple[float, int, Alert]] = []

    @property
    def told(self) -> int:
        """Rows that something was said of."""
        return self.rows + self.dead.total()

    def complete(self, played: int) -> bool:
        """Whether every row was scored or is a dead letter, and every alert that must come is there."""
        return self.told >= played and self.alerts >= self.alerting

    def score(self, message: Message, seen: float) -> None:
        """Takes in a record of scores."""
        try:
            one = scores.decode(message.value())
        except ValueError as error:
            raise Failure(f"topic {message.topic()!r} offset {message.offset()}: {error}") from error
        if not len(one):
            return
        found = np.zeros(len(one), SCORED)
        found["name"] = digest(one.names(), len(one))
        found["time"], found["score"], found["alert"] = one.times, one.scores, one.alerting
        if one.amounts is not None:
            found["amount"] = np.where(np.isfinite(one.amounts), one.amounts, 0.0)
        self._scored.append(found)
        self.places.append(Place(one.partition, int(one.offsets[-1]), int(one.times[-1])))
        self.threshold = float(one.thresholds[-1])
        self.alerting += int(found["alert"].sum())
        self._reach(one.partition, int(one.offsets[-1]))
        self.rows += len(one)

    def alert(self, message: Message, seen: float) -> None:
        """Takes in an alert, which a reader had at a moment, s since 1970."""
        one = alerts.decode(message.value() or b"")
        self._alerted.append((name_of(one), seen))
        entry = (ratio(one), -self.alerts, one)  # of equals the first stays; alerts have no order
        if len(self._worst) < WORST:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)
        self.alerts += 1

    def dead_letter(self, message: Message, seen: float) -> None:
        """Takes in a dead letter."""
        reason = header(message, "errors.reason") or ""
        place = header(message, "errors.partition"), header(message, "errors.offset")
        if place[0] and place[1]:
            self._reach(int(place[0]), int(place[1]))
        self.dead[reason if reason in REASONS else "unknown"] += 1

    def change(self, message: Message, seen: float) -> None:
        """Takes in a change of the drift state."""
        try:
            self.events.append(drift.decode(message.value() or b""))
        except msgspec.DecodeError as error:
            raise Failure(f"topic {message.topic()!r} offset {message.offset()}: {error}") from error

    def _reach(self, partition: int, offset: int) -> None:
        self.reached[partition] = max(self.reached.get(partition, 0), offset + 1)

    def scored(self) -> NDArray[np.void]:
        """All rows (n,) of SCORED as they came; of rows that share a name the first alone."""
        found = np.concatenate([np.zeros(0, SCORED), *self._scored])
        first = np.unique(found["name"], return_index=True)[1]
        return found if len(first) == len(found) else found[np.sort(first)]

    def alerted(self) -> NDArray[np.void]:
        """All alerts (a,) of ALERTED."""
        return np.array(self._alerted, ALERTED)

    def worst(self) -> list[Alert]:
        """The alerts that lie farthest above their threshold, the farthest first."""
        return [alert for _, _, alert in sorted(self._worst, reverse=True)]

    def time_of(self, event: Event) -> int | None:
        """About when an event's row happened, ms since 1970; None where its row was not heard of."""
        source = event.source
        near = [one for one in self.places if one.partition == source.partition and one.offset >= source.offset]
        return min(near, key=lambda one: one.offset).time if near else None


def name_of(alert: Alert) -> int:
    """The name of an alert's row, see `played.digest`."""
    return hash(alert.row_id or alert.id)


def ratio(alert: Alert) -> float:
    """An alert's score in thresholds."""
    return alert.score / alert.threshold if alert.threshold > 0 else float("inf")


def slowest(tallies: Sequence[Tally]) -> dict[int, int]:
    """By partition, how far all detectors have come."""
    partitions = set.intersection(*(set(one.reached.copy()) for one in tallies))
    return {partition: min(one.reached[partition] for one in tallies) for partition in partitions}
