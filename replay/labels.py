"""The truth beside the rows: each row's label, at once or when life would tell it, for all rows or for some.

What is drawn is drawn for a row's id: two runs of a seed delay and leave out the same labels, wherever they begin.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.alerts import iso
from detector.kafka import Record
from replay.batch import Batch, Marks, Objects
from replay.inject.tally import injected
from replay.stages import share_of

DELAYS = "7d, 36h, 90m, 45s or 250ms; exp:2d is drawn from an exponential distribution of that mean"
_DELAY = re.compile(r"(?P<exp>exp:)?(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Delay:
    """From a row's event time to its label. mean: ms. drawn: from the exponential distribution of that mean."""

    mean: float = 0.0
    drawn: bool = False


def parse(text: str) -> Delay:
    """A delay from its text, empty for none; ValueError says what is wanted."""
    if not text:
        return Delay()
    found = _DELAY.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no delay; {DELAYS} wanted")
    return Delay(float(found["number"]) * _UNITS[found["unit"]], bool(found["exp"]))


@dataclass(frozen=True, slots=True)
class Truth:
    """How labels are told. share: of the rows that have one. seed: for what is drawn."""

    delay: Delay = Delay()
    share: float = 1.0
    seed: int = 0

    def told(self, row_ids: Objects) -> NDArray[np.bool_]:
        """Which rows (n,) have a label that is ever sent."""
        if self.share >= 1:
            return np.ones(len(row_ids), bool)
        salt = b"share %d" % self.seed
        return np.array([share_of(row_id, salt) < self.share for row_id in row_ids.tolist()], bool)

    def delays(self, row_ids: Objects) -> NDArray[np.int64]:
        """Delay of each row's label (n,), ms; the exponential ones by inversion of their distribution function."""
        if not self.delay.drawn:
            return np.full(len(row_ids), round(self.delay.mean), np.int64)
        salt = b"delay %d" % self.seed
        drawn = (-self.delay.mean * math.log1p(-share_of(row_id, salt)) for row_id in row_ids.tolist())
        return np.fromiter(map(round, drawn), np.int64, len(row_ids))


class Label(NamedTuple):
    """A label to come, in the order of its due time, ms in the data's time, then of its row.

    row: the number of its row in this replay. event: the row's event time as it was sent, ms since 1970.
    """

    due: int
    row: int
    row_id: bytes
    anomalous: bool
    event: int
    marks: Marks = ()

    @property
    def place(self) -> tuple[int, int]:
        """Where it is in the order of labels."""
        return self.due, self.row


class Pending:
    """Labels that are not due yet. after: place of the last one that was sent before, which none may come before."""

    def __init__(self, truth: Truth, after: tuple[int, int] | None = None) -> None:
        self._truth, self._after = truth, after
        self._heap: list[Label] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, batch: Batch, first: int, moments: NDArray[np.int64], events: list[int]) -> None:
        """The labels of rows that are sent. first: the first row's number. moments: int64 (n,), never falling, from
        which their delays count. events: the rows' event times as they are sent."""
        if batch.anomalous is None:
            return
        places = np.arange(len(batch)) if batch.last is None else np.flatnonzero(batch.last)
        places = places[self._truth.told(batch.row_ids[places])]
        dues = (moments[places] + self._truth.delays(batch.row_ids[places])).tolist()
        marks: list[Marks] = [()] * len(batch) if batch.injected is None else batch.injected.tolist()
        for place, due in zip(places.tolist(), dues, strict=True):
            row_id, anomalous = batch.row_ids[place], bool(batch.anomalous[place])
            label = Label(due, first + place, row_id, anomalous, events[place], marks[place])
            if self._after is None or label.place > self._after:
                heapq.heappush(self._heap, label)

    def told(self, row_ids: Objects) -> NDArray[np.bool_]:
        """Which rows (n,) have a label that is ever sent, if they have one."""
        return self._truth.told(row_ids)

    def next_due(self) -> int | None:
        """The moment of the next one, None where there is none."""
        return self._heap[0].due if self._heap else None

    def take(self, moment: float, most: int) -> Iterator[Label]:
        """Those that are due at a moment, in order; at most so many."""
        while most and self._heap and self._heap[0].due <= moment:
            most -= 1
            yield heapq.heappop(self._heap)


def label_of(row_id: bytes, anomalous: bool, event_time: str, topic: str, marks: Marks = ()) -> Record:
    """The record of a row's label. marks: what was done to the row on purpose."""
    label = {"row_id": row_id.decode(), "label": int(anomalous), "event_time": event_time}
    if marks:
        label |= injected(marks)
    return Record(topic, row_id, msgspec.json.encode(label), [])


def record_of(label: Label, topic: str) -> Record:
    """The record of a label that comes after its row."""
    return label_of(label.row_id, label.anomalous, iso(label.event), topic, label.marks)
