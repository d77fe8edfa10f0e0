"""When each row is due. Pure: seconds since the start come in, there is no clock here."""

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


@dataclass(frozen=True, slots=True)
class Pace:
    """due: float64 (n,), seconds from the start to the moment of each row, never falling; the first is 0."""

    due: NDArray[np.float64]

    def ready(self, elapsed: float) -> int:
        """How many rows are due `elapsed` seconds after the start."""
        return int(np.searchsorted(self.due, elapsed, side="right"))

    def until(self, row: int, elapsed: float) -> float:
        """Seconds until a row is due; below 0 it is late by so much."""
        return float(self.due[row]) - elapsed


def pace(speed: Speed, count: int, event: NDArray[np.int64] | None) -> Pace:
    """The pace of `count` rows. event: their event times (n,), ms, never falling; wanted where `speed.by_event`."""
    if speed.by_event:
        if event is None:
            raise ValueError("this speed needs event times")
        return Pace((event - event[:1]) / (1000 * speed.factor))
    return Pace(np.arange(count) / speed.rate if speed.rate else np.zeros(count))
