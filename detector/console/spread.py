"""Where a score lies among the others: the last scores of each partition, and their histogram."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import scores
from detector.alerts import Alert
from detector.scores import Scored

WINDOW = 4096
"""Scores that an alert is shown among: the detector's own window by default."""

KEPT = 4 * WINDOW
"""Scores that are kept of a partition, so that an alert a little older finds those before it."""

MOST_PARTS = 256
"""Partitions, times models, that are kept; the one goes that has had no row for longest."""

BARS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Scores (n,) of a partition, up to the alert that is looked at where `before` holds, else the latest ones."""

    scores: NDArray[np.float32]
    before: bool


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts (k,) between edges (k + 1,) that are evenly spread on a logarithmic scale, or on a linear one."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    logarithmic: bool

    def place(self, score: float) -> float:
        """Where a score lies between the first edge, 0, and the last one, 1."""
        first, last, at = _scaled(np.array([self.edges[0], self.edges[-1], score]), self.logarithmic).tolist()
        return float(min(max((at - first) / (last - first), 0.0), 1.0))


@dataclass(slots=True, eq=False)
class _Part:
    """The last rows of a partition that one model scored."""

    offsets: NDArray[np.int64]
    scores: NDArray[np.float32]


class Spread:
    """The last scores of each partition, by the model that gave them. total: rows that ever came."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int, str], _Part] = {}
        self.total = self.refused = 0

    def take(self, values: Iterable[bytes | None]) -> None:
        """Takes in records of scores."""
        for value in values:
            try:
                self._take(scores.decode(value))
            except ValueError:
                self.refused += 1

    def _take(self, found: Scored) -> None:
        self.total += len(found)
        key = (found.topic, found.partition, found.model.sha256)
        part = self._parts.pop(key, None)  # the one with the newest rows last
        if part is None:
            self._parts[key] = _Part(found.offsets[-KEPT:], found.scores[-KEPT:])
        else:
            offsets, values = np.concatenate((part.offsets, found.offsets)), np.concatenate((part.scores, found.scores))
            self._parts[key] = _Part(offsets[-KEPT:], values[-KEPT:])
        if len(self._parts) > MOST_PARTS:
            del self._parts[next(iter(self._parts))]

    def window(self, alert: Alert) -> Window | None:
        """The scores among which an alert's lies; None where its partition's are not known."""
        part = self._parts.get((alert.source.topic, alert.source.partition, alert.model.sha256))
        if part is None or not len(part.scores):
            return None
        before = part.scores[part.offsets <= alert.source.offset]
        return Window(before[-WINDOW:], True) if len(before) else Window(part.scores[-WINDOW:], False)


def histogram(values: NDArray[np.float32], marks: Iterable[float], bars: int = BARS) -> Histogram:
    """Scores (n,), n > 0, in bars wide enough for the marks too; logarithmic where all are above 0."""
    every = np.concatenate((values.astype(np.float64), np.array(list(marks), np.float64)))
    every = every[np.isfinite(every)]
    low, high = float(every.min()), float(every.max())
    logarithmic = low > 0 and high / low > 10
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.geomspace(low, high, bars + 1) if logarithmic else np.linspace(low, high, bars + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], values), minlength=bars)
    return Histogram(edges, counts.astype(np.int64), logarithmic)


def _scaled(values: NDArray[np.float64], logarithmic: bool) -> NDArray[np.float64]:
    return np.log(np.maximum(values, np.finfo(np.float64).tiny)) if logarithmic else values
