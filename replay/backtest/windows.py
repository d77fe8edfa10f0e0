"""History cut into periods of one length: hours, days or weeks, whichever shows it in some dozens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.feedback.measures import Measures, measured

HOUR, DAY = 3_600_000, 86_400_000
WEEK = 7 * DAY
"""In milliseconds."""

LENGTHS = {HOUR: "1 hour", DAY: "1 day", WEEK: "1 week", 4 * WEEK: "4 weeks", 52 * WEEK: "52 weeks"}
"""Each divides the next. Weeks begin on Thursdays, as 1970 did."""

MOST = 70
"""Windows that a length is chosen for."""

HOURLY = 5 * DAY
"""A span up to which alerts are counted by the hour, beyond it by the day."""

MOST_DAYS = 4_000
PARTS = 20
"""Windows of rows without times."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows one after the other, `length` long: ms since 1970, or rows in the order of play where nothing has a time.

    first: the number of the first; count: how many.
    """

    length: int
    first: int
    count: int
    timed: bool = True

    @property
    def start(self) -> NDArray[np.int64]:
        """Where each begins (k,)."""
        return (self.first + np.arange(self.count)) * self.length

    @property
    def unit(self) -> str:
        """How long one is, for people."""
        return LENGTHS[self.length] if self.timed else f"{self.length:,} rows"

    def places(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number (n,) of the window that rows at these places are in."""
        return at // self.length - self.first

    def counted(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows each has (k,)."""
        return np.bincount(self.places(at), minlength=self.count)

    def parts(self, at: NDArray[np.int64]) -> list[NDArray[np.intp]]:
        """The rows of each, in their order."""
        places = self.places(at)
        order = np.argsort(places, kind="stable")
        return np.split(order, np.searchsorted(places[order], np.arange(1, self.count)))

    def measured(self, at: NDArray[np.int64], rows: NDArray[Any]) -> list[Measures]:
        """The figures of each window's rows (n,) of LABELLED."""
        return [measured(rows[part]) for part in self.parts(at)]


def cut(spans: Sequence[tuple[int, int]], timed: bool) -> Windows:
    """Windows over all of some spans, from the first to the last place."""
    low, high = min(first for first, _ in spans), max(last for _, last in spans)
    length = length_of(high - low) if timed else max(-(-(high + 1) // PARTS), 1)
    return _windows(low, high, length, timed)


def daily(windows: Windows, spans: Sequence[tuple[int, int]]) -> Windows:
    """The same in days, or hours of a short span, for what is counted by the day."""
    low, high = min(first for first, _ in spans), max(last for _, last in spans)
    if not windows.timed:
        return windows
    length = HOUR if high - low <= HOURLY else max(DAY, length_of(high - low, MOST_DAYS))
    return _windows(low, high, length, True)


def _windows(low: int, high: int, length: int, timed: bool) -> Windows:
    return Windows(length, low // length, high // length - low // length + 1, timed)


def length_of(span: int, most: int = MOST) -> int:
    """The shortest length of which at most so many fill a span of ms; the longest where none does."""
    return next((length for length in LENGTHS if span // length < most), 52 * WEEK)
