"""Rows and labels as they are handed over: their records, timestamps and order, and how many there were."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from detector.alerts import iso
from detector.kafka import Record
from detector.rows import FORMAT_HEADER, ROW_ID_HEADER
from detector.rows.messages import MAX_NAME_BYTES
from replay.batch import Batch, Headers, Marks
from replay.inject.tally import Tally, note_of
from replay.labels import Pending, label_of, record_of
from replay.legs import Leg, stamps
from replay.pace import Schedule
from replay.plan import Clock, Plan, Sender

Moments = Callable[[NDArray[np.int64]], NDArray[np.int64]]

UNANSWERED = 50_000
"""Records on their way at most. The client's queue holds 100,000: handing a record over never has to wait."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch's records, and for each row (n,): when it is due, s; its moment in the data's time, ms; its timestamp,
    ms, None for that of sending."""

    batch: Batch
    records: list[Record]
    due: NDArray[np.float64]
    moments: NDArray[np.int64]
    stamps: NDArray[np.int64] | None


class Outbox:
    """Hands rows and labels to a sender. pending: labels that come later than their rows, None for those that come
    with them. before: rows that were sent by earlier processes of the same replay, in `legs`.

    sent, labels: how many were handed over, records beside the labels among these. event: the last row's event time.
    reached: its moment. label: the place of the last label that came later than its row. tally: of what was done to
    rows on purpose, also by the earlier process.
    """

    def __init__(
        self,
        plan: Plan,
        sender: Sender,
        clock: Clock,
        pending: Pending | None,
        before: int = 0,
        legs: Sequence[Leg] = (),
    ) -> None:
        self._plan, self._sender, self._clock, self._pending = plan, sender, clock, pending
        self._before, self._remembered, self._legs = before, 0, legs
        self._start = 0
        self._later = pending is not None and plan.labels is not None
        self.schedule = Schedule(plan.speed)
        self.tally = Tally(plan.injected)
        self.sent = self.labels = 0
        self.event: int | None = None
        self.reached = -math.inf
        self.label: tuple[int, int] | None = None

    def begin(self) -> None:
        """The first row happens now."""
        self._start = self._clock.milliseconds()

    def remember(self, batch: Batch) -> None:
        """Rows that an earlier process sent: their labels may still have to come, with the times that the rows had."""
        moments = self._moments(batch, self._remembered, self.schedule.passed)
        later = self._pending if self._later else None
        if later is not None or batch.injected is not None:
            events = np.maximum(batch.event, 1) if self._plan.original and batch.event is not None else None
            if events is None:
                events = stamps(self._legs, self._before, self._remembered, moments)
                events -= np.round(self._behind(batch, moments)).astype(np.int64)
            if later is not None:
                later.add(batch, self._remembered, moments, events.tolist())
            for place, marks in _touched(batch):
                self.tally.add(marks, batch.row_ids[place], int(events[place]))
        self._remembered += len(batch)

    def leg(self) -> Leg:
        """What this process sent so far."""
        speed, first = self._plan.speed, self.schedule.first
        return Leg(self._before, self._start, self._clock.milliseconds(), first or 0, speed.factor)

    def ready(self, batch: Batch) -> Ready:
        """The next rows, as they will be sent."""
        moments = self._moments(batch, self._before + self.sent, self.schedule.moments)
        due = self.schedule.due(len(batch), moments)
        stamps = None
        if self._plan.original and batch.event is not None:
            stamps = np.maximum(batch.event, 1)  # to the client 0 means none
        elif self._plan.speed.by_event:
            stamps = self._start + np.round(due * 1000 - self._behind(batch, moments)).astype(np.int64)
        return Ready(batch, rows_of(batch, self._plan.format, self._plan.topic), due, moments, stamps)

    @staticmethod
    def _moments(batch: Batch, first: int, of: Moments) -> NDArray[np.int64]:
        """Where there are no event times, rows count for time."""
        if batch.event is None:
            return np.arange(first, first + len(batch))
        return of(batch.event if batch.moments is None else batch.moments)

    def _behind(self, batch: Batch, moments: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far rows (n,) come behind their event time where they were held back, ms at this speed."""
        if batch.moments is None or batch.event is None:
            return np.zeros(len(batch))
        return (moments - batch.event) / self._plan.speed.factor

    def send(self, ready: Ready, part: slice) -> None:
        """Hands over some of the rows, with their labels where these do not come later."""
        batch, records, stamps = ready.batch, ready.records[part], self._stamps(ready, part)
        if batch.anomalous is None or self._plan.labels is None or self._pending is not None:
            self._sender.send_all(records, stamps)
        else:
            self._send_labelled(batch.take(part), records, stamps, self._plan.labels)
        if self._pending is not None and self._later:
            self._pending.add(batch.take(part), self._before + self.sent, ready.moments[part], stamps)
        if batch.injected is not None:
            self._note(batch.take(part), stamps)
        self.sent += len(records)
        self.event = None if batch.event is None else int(batch.event[part][-1])
        self.reached = float(ready.moments[part][-1])

    def _send_labelled(self, batch: Batch, rows: list[Record], stamps: list[int], topic: str) -> None:
        assert batch.anomalous is not None
        texts, send = cache(iso), self._sender.send
        told = np.ones(len(batch), bool) if batch.last is None else batch.last
        marks: list[Marks] = [()] * len(batch) if batch.injected is None else batch.injected.tolist()
        truths = zip(batch.row_ids.tolist(), batch.anomalous.tolist(), told.tolist(), marks, strict=True)
        for record, stamp, (row_id, anomalous, whole, mark) in zip(rows, stamps, truths, strict=True):
            send(record, stamp)
            if whole:
                send(label_of(row_id, anomalous, texts(stamp), topic, mark), stamp, counted=False)
        self.labels += int(told.sum())

    def _note(self, batch: Batch, stamps: list[int]) -> None:
        """Counts the rows to which something was done, and says so beside the labels where no label does."""
        topic, unlabelled = self._plan.labels, self._unlabelled(batch)
        for place, marks in _touched(batch):
            row_id, stamp = batch.row_ids[place], stamps[place]
            begun = self.tally.add(marks, row_id, stamp)
            if topic is not None:
                for spec in begun:
                    self._say(self.tally.record(spec, "begins", topic), stamp)
                if unlabelled[place]:
                    self._say(note_of(row_id, marks, iso(stamp), topic), stamp)

    def _unlabelled(self, batch: Batch) -> NDArray[np.bool_]:
        """Which rows (n,) have no label that is ever sent."""
        if batch.anomalous is None:
            return np.ones(len(batch), bool)
        return np.zeros(len(batch), bool) if self._pending is None else ~self._pending.told(batch.row_ids)

    def say_ended(self) -> None:
        """Says of all that was done on purpose that it has ended."""
        if (topic := self._plan.labels) is not None:
            for spec, event in self.tally.begun().items():
                self._say(self.tally.record(spec, "ended", topic), event)

    def _say(self, record: Record, stamp: int) -> None:
        self._sender.send(record, stamp, counted=False)
        self.labels += 1

    def _stamps(self, ready: Ready, part: slice) -> list[int]:
        """Timestamps of rows, ms."""
        if ready.stamps is None:
            return [self._clock.milliseconds()] * len(ready.records[part])
        stamps: list[int] = ready.stamps[part].tolist()
        return stamps

    def send_due(self, moment: float) -> int:
        """Hands over the labels that are due at a moment of the data's time, ms; how many."""
        if self._pending is None or self._plan.labels is None:
            return 0
        before = self.labels
        for label in self._pending.take(moment, max(UNANSWERED - self._sender.waiting(), 0)):
            self._sender.send(record_of(label, self._plan.labels), self._label_stamp(label.due), counted=False)
            self.labels += 1
            self.label = label.place
        return self.labels - before

    def _label_stamp(self, due: int) -> int:
        """A label's timestamp, ms since 1970: when it was due, on the same clock as its row's."""
        if self._plan.original:
            return max(due, 1)
        if self._plan.speed.by_event:
            return self._start + round(max(self.schedule.seconds(due), 0.0) * 1000)
        return self._clock.milliseconds()

    def moment(self, ready: Ready, first: int, seconds: float) -> float:
        """The data's time, ms, when the rows from `first` on are left: never later than the next row, so that labels
        come in their order. seconds: since the start."""
        moments = ready.moments
        if (now := self.schedule.moment(seconds)) is None:
            return float(moments[first - 1]) if first else -math.inf
        return min(now, float(moments[min(first, len(moments) - 1)]))

    def next_label(self) -> float | None:
        """When the next label is due, s since the start; None where there is none, or no pace."""
        due = self._pending.next_due() if self._pending is not None and self._later else None
        return self.schedule.seconds(due) if due is not None and self._plan.speed.by_event else None

    def labels_left(self) -> bool:
        """Whether labels are still to come."""
        return self._later and bool(self._pending)


def rows_of(batch: Batch, format_: str, topic: str) -> list[Record]:
    """The records of a batch's rows or samples; headers that came with them are kept, under the row's own id."""
    assert batch.values is not None
    keys = [None] * len(batch) if batch.keys is None else batch.keys.tolist()
    values, row_ids = batch.values.tolist(), batch.row_ids.tolist()
    written = (FORMAT_HEADER, format_.encode())
    if batch.headers is not None:
        headers = list(map(_renamed, batch.headers.tolist(), row_ids))
    elif batch.last is None:
        headers = [[written, (ROW_ID_HEADER, row_id)] for row_id in row_ids]
    else:
        pairs, within = zip(row_ids, batch.last.tolist(), strict=True), [written]
        headers = [[written, (ROW_ID_HEADER, row_id)] if last else within for row_id, last in pairs]
    return list(map(Record, repeat(topic), keys, values, headers))


def _renamed(headers: Headers, row_id: bytes) -> Headers:
    return [(name, row_id if _names(name, value) else value) for name, value in headers]


def _names(name: str, value: bytes | None) -> bool:
    """Whether a header says a row's id; one that is too long names nothing."""
    return name == ROW_ID_HEADER and len(value or b"") <= MAX_NAME_BYTES


def _touched(batch: Batch) -> list[tuple[int, Marks]]:
    """The places of rows to which something was done, and what."""
    return [] if batch.injected is None else [(at, marks) for at, marks in enumerate(batch.injected.tolist()) if marks]
