"""The live part: reads alerts and labels back, asks the detector for its figures, until all rows are through."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from deploy.local import scrape
from deploy.local.broker import Broker
from deploy.local.tally import Tally
from deploy.local.view import Facts
from detector import alerts
from detector.errors import Failure
from detector.rows import Message

TURN_SECONDS = 0.2
MOST_MESSAGES = 20_000
RATE_SECONDS = 3.0
LEAST_SECONDS = 1.0
"""Rows that came within less are taken for those of so long: a first look would tell of a burst."""

STALLED_SECONDS = 60.0
"""Rows that stand still for so long do not come."""

SETTLE_SECONDS = 10.0
"""How long alerts and labels are waited for that the broker has and that were not read."""


class Source(Protocol):
    """What is needed of detector.kafka.Reader."""

    def take(self, most: int, seconds: float) -> Sequence[Message]: ...


class Label(msgspec.Struct):
    """What a replay says of a row."""

    row_id: str
    label: int


class Pace:
    """Rows a second of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(0.0, 0)])

    def rate(self, seconds: float, rows: int) -> float:
        """The rate once there are `rows` after so many seconds."""
        self._seen.append((seconds, rows))
        while len(self._seen) > 2 and seconds - self._seen[1][0] >= RATE_SECONDS:
            self._seen.popleft()
        at, before = self._seen[0]
        return (rows - before) / max(seconds - at, LEAST_SECONDS)


class Watch:
    """What is known, brought up to date by each turn. started: when the demo began, by the monotonic clock."""

    def __init__(self, facts: Facts, broker: Broker, reader: Source, started: float) -> None:
        self.facts = facts
        self.first_alert: float | None = None
        self._broker, self._reader, self._started = broker, reader, started
        self._tally, self._pace = Tally(), Pace()
        self._began = self._moved = time.monotonic()
        self._complete: float | None = None

    def turn(self) -> None:
        """Waits a moment for messages, and takes in all there is to know."""
        self._take(self._reader.take(MOST_MESSAGES, TURN_SECONDS))
        page = scrape.get(self.facts.address, "/metrics")
        figures = self.facts.figures if page is None else scrape.figures(page)
        now = time.monotonic()
        if figures.processed != self.facts.figures.processed:
            self._moved = now
        elif not figures.processed:
            self._began = now  # until the first row, nothing is live
        seconds = self.facts.seconds if self._complete else now - self._began
        self.facts = replace(
            self.facts,
            figures=figures,
            counts=self._tally.counts(),
            seconds=seconds,
            rate=self._pace.rate(now - self._began, figures.processed),
            last=self._tally.last(),
            striking=self._tally.striking(),
        )
        if self._complete is None and figures.processed >= self.facts.total:
            self._complete = now

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            value = message.value()
            if value is None:
                continue
            if message.topic() == self._broker.labels:
                label = msgspec.json.decode(value, type=Label)
                self._tally.label(label.row_id, label.label == 1)
            else:
                self._tally.alert(alerts.decode(value))
                if self.first_alert is None:
                    self.first_alert = time.monotonic() - self._started

    def done(self) -> bool:
        """Whether every row is through and everything said of them was read, or waited for long enough."""
        now, counts = time.monotonic(), self.facts.counts
        if self._complete is None:
            if now - self._moved > STALLED_SECONDS:
                raise Failure(f"the detector has processed no row for {STALLED_SECONDS:g} s; all children run")
            return False
        read = counts.alerts >= self.facts.figures.alerts
        labels = not self.facts.labelled or counts.labels >= self.facts.total
        since = now - self._complete  # one turn more: the detector counts rows a moment before their alerts
        return (read and labels and since >= TURN_SECONDS) or since > SETTLE_SECONDS
