"""When each row is due. Pure: event times come in, seconds since the start go out, there is no clock here."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPEEDS = "max (no pace), N/s (rows a second), Kx (K times as fast as the data) or real (1x)"
_SPEED = re.compile(r"(?P<rate>\d+(?:\.\d+)?)/s|(?P<factor>\d+(?:\.\d+)?)x")


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast: `rate` rows a second, or event time passing `factor` times as fast; both 0 for no pace at all."""

    rate: float = 0.0
    factor: float = 0.0

    @property
    def by_event(self) -> bool:
        """Whether the event times set the pace."""
        return self.factor > 0

    @property
    def paced(self) -> bool:
        """Whether a row can be late."""
        return self.rate > 0 or self.by_event


def parse(text: str) -> Speed:
    """A speed from its text; ValueError says what is wanted."""
    if text == "max":
        return Speed()
    found = _SPEED.fullmatch("1x" if text == "real" else text)
    speed = Speed(float(found["rate"] or 0), float(found["factor"] or 0)) if found else Speed()
    if not speed.paced:
        raise ValueError(f"{text!r} is no speed; {SPEEDS} wanted")
    return speed


class Schedule:
    """When each row of a replay is due, batch after batch: seconds from its first row, never falling.

    first: event time of the first row, ms since 1970 UTC, once there was one.
    """

    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        self._rows = 0
        self._latest = -(1 << 62)
        self.first: int | None = None

    def passed(self, event: NDArray[np.int64]) -> NDArray[np.int64]:
        """The time of the data (n,), ms, at rows that were sent before: see `moments`."""
        found = np.maximum(np.maximum.accumulate(event), self._latest)
        self._latest = int(found[-1]) if len(found) else self._latest
        return found

    def moments(self, event: NDArray[np.int64]) -> NDArray[np.int64]:
        """The time of the data when each row is sent (n,), ms: its event time, or a later one of a row before it."""
        found = self.passed(event)
        if len(found) and self.first is None:
            self.first = int(found[0])
        return found

    def due(self, count: int, moments: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Due times (n,) of the next `count` rows. moments: theirs; wanted where the speed is one of event time."""
        start, self._rows = self._rows, self._rows + count
        if self._speed.by_event:
            if moments is None:
                raise ValueError("this speed needs event times")
            return (moments - (self.first or 0)) / (1000 * self._speed.factor)
        return np.arange(start, start + count) / self._speed.rate if self._speed.rate else np.zeros(count)

    def moment(self, seconds: float) -> float | None:
        """The time of the data so many seconds after the start, ms; None where event time sets no pace."""
        if not self._speed.by_event or self.first is None:
            return None
        return self.first + seconds * 1000 * self._speed.factor

    def seconds(self, moment: float) -> float:
        """The inverse, for a speed of event time."""
        return (moment - (self.first or 0)) / (1000 * self._speed.factor)
