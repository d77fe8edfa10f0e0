"""The loop that sends rows when they are due, never too far ahead of their readers, and counts every answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.alerts import iso
from detector.errors import Failure
from detector.kafka import Record
from detector.rows import FORMAT_HEADER, ROW_ID_HEADER
from replay.pace import Pace, Speed, pace
from replay.progress import Watch, rate
from replay.source import Batch, History

CHUNK = 1000
"""Rows encoded at a time: a stop comes between two chunks at the latest."""

UNANSWERED = 50_000
"""Records on their way at most. The client's queue holds 100,000: handing a record over never has to wait."""

TURN_SECONDS = 0.1
"""Longest time without a look at the stop and at the watch."""

LEAST_SECONDS = 0.001
"""Shortest wait: the client counts in milliseconds."""

ASK_SECONDS = 0.02
"""How often a group is asked while the rows wait for it."""

PATIENCE_SECONDS = 60.0
"""A broker that answers nothing for so long has gone."""

Ends = Mapping[tuple[str, int], int]


class Sender(Protocol):
    """What is needed of detector.kafka.Publisher, which explains it."""

    acknowledged: int
    failed: int
    first_error: Failure | None
    starts: dict[tuple[str, int], int]
    ends: dict[tuple[str, int], int]

    def send(self, record: Record, timestamp: int, counted: bool = True) -> None: ...
    def poll(self, seconds: float = 0.0) -> None: ...
    def waiting(self) -> int: ...


class Group(Protocol):
    """What is needed of detector.kafka.Progress."""

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]: ...


@dataclass(frozen=True, slots=True)
class Clock:
    """monotonic: seconds from anywhere. wall: seconds since 1970."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Stop:
    """Someone's wish to end: once to flush and end, twice to end at once.

    No threading.Event: a signal handler that sets one while its own thread waits on it can deadlock.
    """

    def __init__(self) -> None:
        self.requests = 0

    def request(self, *_: object) -> None:
        """A signal handler."""
        self.requests += 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Where rows and labels go (labels: None for nowhere), how fast, and whether with the file's own times."""

    topic: str
    labels: str | None
    speed: Speed
    original: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of it.

    sent, labels: those that the broker has. failed, failed_labels: those that were handed over and that it did not
    acknowledge. late: seconds by which the latest row was handed over too late, None without a pace.
    error: what ended the replay early, or the first record's failure.
    """

    sent: int
    labels: int
    failed: int
    failed_labels: int
    seconds: float
    late: float | None
    interrupted: bool
    error: Failure | None

    def text(self) -> str:
        """One line for people."""
        start = "replay: interrupted: sent" if self.interrupted else "replay: sent"
        lost = f" ({self.failed_labels} failed)" if self.failed_labels else ""
        late = "" if self.late is None else f", at most {self.late:.3f} s late"
        return (
            f"{start} {self.sent} rows, failed {self.failed}, labels {self.labels}{lost}, "
            f"{rate(self.sent, self.seconds)}, {self.seconds:.1f} s{late}"
        )

    def outcome(self) -> Failure | None:
        """What makes the command fail."""
        if not (self.failed or self.failed_labels):
            return self.error
        first = self.error or "no answer from the broker"
        return Failure(f"{self.failed} rows and {self.failed_labels} labels were not acknowledged; first: {first}")


class Leash:
    """Keeps a replay from running more than `most` rows ahead of what a group has committed."""

    def __init__(self, most: int, name: str, group: Group, sender: Sender, topic: str) -> None:
        self.name = name
        self._most, self._group, self._sender, self._topic = most, group, sender, topic
        self._allowed = most
        self._ask_at = 0.0

    def room(self, sent: int, now: float) -> int:
        """Rows that may follow `sent` others; asks the group only where what it allowed is used up."""
        if sent >= self._allowed and now >= self._ask_at:
            self._allowed = sent + max(self._most - self._ahead(), 0)
            self._ask_at = now + ASK_SECONDS
        return self._allowed - sent

    def _ahead(self) -> int:
        """Rows handed over and not committed. Labels on their way count too: that errs on the safe side."""
        partitions = [partition for name, partition in self._sender.ends if name == self._topic]
        done = self._group.committed(self._topic, partitions) if partitions else {}
        return lead(self._sender.starts, self._sender.ends, done, self._topic) + self._sender.waiting()


def lead(starts: Ends, ends: Ends, done: Mapping[int, int], topic: str) -> int:
    """Rows of a topic from `starts` on that the broker has and that a group has not committed, by partition."""
    return sum(
        max(end - max(done.get(partition, 0), starts[name, partition]), 0)
        for (name, partition), end in ends.items()
        if name == topic
    )


class Patience:
    """Ends when records wait for an answer and none has come for PATIENCE_SECONDS."""

    def __init__(self) -> None:
        self._answered = 0
        self._since = 0.0

    def over(self, waiting: int, answered: int, now: float) -> bool:
        """Whether it has ended `now` seconds after the start."""
        if not waiting or answered != self._answered:
            self._answered, self._since = answered, now
        return now - self._since >= PATIENCE_SECONDS


def timestamps(plan: Plan, event: NDArray[np.int64] | None, due: Pace, start: int) -> NDArray[np.int64] | None:
    """Kafka timestamps (n,), ms since 1970; None where it is the moment of sending. start: that of the first row."""
    if plan.original and event is not None:
        return np.maximum(event, 1)  # to the client 0 means none
    return start + np.round(due.due * 1000).astype(np.int64) if plan.speed.by_event else None


def rows_of(batch: Batch, format_: str, topic: str) -> list[Record]:
    """The records of a batch's rows."""
    written, keys = (FORMAT_HEADER, format_.encode()), batch.keys or [None] * len(batch)
    return [
        Record(topic, key, value, [written, (ROW_ID_HEADER, row_id)])
        for key, value, row_id in zip(keys, batch.values, batch.row_ids, strict=True)
    ]


def label_of(row_id: bytes, anomalous: bool, event_time: str, topic: str) -> Record:
    """The record of a row's label."""
    label = {"row_id": row_id.decode(), "label": int(anomalous), "event_time": event_time}
    return Record(topic, row_id, msgspec.json.encode(label), [])


class Replay:
    """One pass over a history."""

    def __init__(
        self,
        history: History,
        plan: Plan,
        sender: Sender,
        watch: Watch,
        stop: Stop,
        leash: Leash | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._history, self._plan, self._sender = history, plan, sender
        self._watch, self._stop, self._leash, self._clock = watch, stop, leash, clock or Clock()
        self._pace = pace(plan.speed, len(history), history.event)
        self._patience = Patience()
        self._sent = self._labels = 0
        self._late = 0.0
        self._look_at = watch.every
        self._waiting = ""

    def run(self) -> Summary:
        """1. Each row is sent when it is due and the leash allows it, and its label after it; 2. every answer is
        waited for; 3. all of them are counted. A stop or a failure skips what is left of the first."""
        self._began = self._clock.monotonic()
        start = int(self._clock.wall() * 1000)
        self._stamps = timestamps(self._plan, self._history.event, self._pace, start)
        error: Failure | None = None
        try:
            self._send_all()
        except Failure as failure:
            error = failure
        self._flush()
        return self._summary(error)

    def _send_all(self) -> None:
        for start in range(0, len(self._history), CHUNK):
            if not self._send_batch(self._history.batch(start, CHUNK)):
                return

    def _send_batch(self, batch: Batch) -> bool:
        """Sends a batch's rows as they fall due; False where the replay has to end before."""
        rows, first = rows_of(batch, self._history.format, self._plan.topic), 0
        while first < len(batch):
            if self._stop.requests or self._given_up():
                return False
            if count := min(self._free(), len(batch) - first):
                self._send(batch, rows, slice(first, first + count))
                first += count
            self._turn(0.0 if count else self._wait())
        return True

    def _free(self) -> int:
        """Rows that may go now; also notes what the others wait for."""
        now = self._elapsed()
        due = self._pace.ready(now) - self._sent
        self._waiting = ""
        if due <= 0 or self._sender.waiting() >= UNANSWERED:
            return 0
        room = self._leash.room(self._sent, now) if self._leash else due
        if self._leash and not room:
            self._waiting = f"waiting for group {self._leash.name}"
        return min(due, room)

    def _send(self, batch: Batch, rows: list[Record], part: slice) -> None:
        count = part.stop - part.start
        self._note_lateness(self._sent)
        stamps = self._stamped(count)
        if batch.anomalous is None or self._plan.labels is None:
            for record, stamp in zip(rows[part], stamps, strict=True):
                self._sender.send(record, stamp)
        else:
            self._send_labelled(batch, rows, part, stamps)
        self._sent += count
        self._note_lateness(self._sent - 1)

    def _note_lateness(self, row: int) -> None:
        self._late = max(self._late, -self._pace.until(row, self._elapsed()))

    def _send_labelled(self, batch: Batch, rows: list[Record], part: slice, stamps: list[int]) -> None:
        assert batch.anomalous is not None
        assert self._plan.labels is not None
        texts = {stamp: iso(stamp) for stamp in set(stamps)}
        labels = zip(batch.row_ids[part], batch.anomalous[part], stamps, strict=True)
        for record, (row_id, anomalous, stamp) in zip(rows[part], labels, strict=True):
            self._sender.send(record, stamp)
            self._sender.send(label_of(row_id, anomalous, texts[stamp], self._plan.labels), stamp, counted=False)
        self._labels += len(stamps)

    def _stamped(self, count: int) -> list[int]:
        """Timestamps of the next rows, ms."""
        if self._stamps is None:
            return [int(self._clock.wall() * 1000)] * count
        stamps: list[int] = self._stamps[self._sent : self._sent + count].tolist()
        return stamps

    def _wait(self) -> float:
        """Seconds for which nothing can be sent, as far as is known."""
        due = self._pace.until(self._sent, self._elapsed())
        return min(max(due, LEAST_SECONDS), TURN_SECONDS) if due > 0 else ASK_SECONDS

    def _turn(self, seconds: float) -> None:
        """Takes in answers, waiting as long as told or until the first comes, and lets the watcher look."""
        self._sender.poll(seconds)
        now = self._elapsed()
        if now >= self._look_at:
            self._look_at = now + self._watch.every
            self._watch.show(self._sender.acknowledged, now, self._waiting)

    def _flush(self) -> None:
        self._waiting = ""
        while self._sender.waiting() and self._stop.requests < 2 and not self._given_up():
            self._turn(TURN_SECONDS)

    def _given_up(self) -> bool:
        answered = self._sender.acknowledged + self._sender.failed
        return self._patience.over(self._sender.waiting(), answered, self._elapsed())

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began

    def _summary(self, error: Failure | None) -> Summary:
        """What was handed over and not acknowledged has failed, whether it was refused or never answered."""
        sent = self._sender.acknowledged
        failed = self._sent - sent
        failed_labels = self._sender.failed + self._sender.waiting() - failed
        return Summary(
            sent=sent,
            labels=self._labels - failed_labels,
            failed=failed,
            failed_labels=failed_labels,
            seconds=self._elapsed(),
            late=self._late if self._plan.speed.paced else None,
            interrupted=self._stop.requests > 0,
            error=error or self._sender.first_error,
        )
