"""What a replay is told, and what it is given to work with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from detector.errors import Failure
from detector.kafka import Record
from replay.leash import Answered
from replay.pace import Speed


class Sender(Answered, Protocol):
    """What is needed of detector.kafka.Publisher and TransactionalPublisher, which explain it."""

    failed: int
    first_error: Failure | None

    @property
    def acknowledged(self) -> int: ...
    @property
    def others(self) -> int: ...
    def answered(self) -> int: ...
    def settle(self) -> None: ...
    def send(self, record: Record, timestamp: int, counted: bool = True) -> None: ...
    def send_all(self, records: Sequence[Record], timestamps: Sequence[int]) -> None: ...
    def poll(self, seconds: float = 0.0) -> None: ...


@dataclass(frozen=True, slots=True)
class Clock:
    """monotonic: seconds from anywhere. wall: seconds since 1970."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def milliseconds(self) -> int:
        """The wall's time, ms since 1970 UTC."""
        return int(self.wall() * 1000)


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
    """Where rows and labels go (labels: None for nowhere), how fast, in which format, and whether with the file's own
    times. start: the moment of the first row, ms since 1970 UTC, None for at once. timeout: s without any answer after
    which the broker has gone. unit: what is sent, rows or samples. injected: what is done to rows on purpose."""

    topic: str
    labels: str | None
    speed: Speed
    original: bool = False
    format: str = "json"
    start: int | None = None
    timeout: float = 60.0
    unit: str = "rows"
    injected: tuple[str, ...] = ()
