"""How far a named replay came: a record in the transaction of the rows, read back by the process that goes on."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from detector.errors import Failure, UsageError
from detector.kafka import COMPACTED, Reader, Record, check_topics, connect, created
from detector.kafka.extent import decided, extent
from replay.columns import Columns
from replay.history import History
from replay.legs import Leg
from replay.settings import Settings

MOST_ROWS = 50_000
"""Rows and labels after which a transaction is committed."""

COMMIT_SECONDS = 0.2
"""How long they wait for it at most: so late do readers of committed messages see a row."""

CREATED_SECONDS, PAUSE_SECONDS = 10.0, 0.05
"""How long a new topic may take to be there, and how often it is asked for."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far it came. rows: of those in the order they are played in. event: the last one's event time, ms since 1970
    UTC. label: the place of the last delayed label (due, row). ended: whether nothing is left. of: what decides the
    rows, a digest of each by name. held: see `replay.history.History`. legs: which process sent which of them, when."""

    rows: int
    event: int | None = None
    label: tuple[int, int] | None = None
    ended: bool = False
    of: dict[str, str] = {}
    held: Any = None
    legs: list[Leg] = []


class Sender(Protocol):
    """What is needed of detector.kafka.TransactionalPublisher."""

    def commit(self, last: Record) -> None: ...


def decides(history: History, columns: Columns | None, chosen: Settings) -> dict[str, str]:
    """What decides the rows and where they go, a digest of each by name: the data, its columns, settings.

    Speed and timestamps are not among them: a replay may go on faster.
    """
    told = history.identity() | (columns.told() if columns else {})
    settings = ("topic", "labels_topic", "format", "order", "between", "sample", "loop", "limit", "partitioner")
    more = ("label_delay", "label_share", "seed", "as_signal", "sample_rate")
    told |= {name: str(getattr(chosen, name)) for name in (*settings, *more)}
    told |= {"inject": repr([spec.text for spec in chosen.injections])} if chosen.inject else {}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in told.items()}


class Ledger:
    """Writes positions. start: the last one, or where nothing was sent."""

    def __init__(self, name: str, topic: str, start: Position, sender: Sender) -> None:
        self.start = start
        self._name, self._topic, self._sender = name, topic, sender

    def commit(self, rows: int, event: int | None, label: tuple[int, int] | None, ended: bool, leg: Leg) -> None:
        """Makes visible what was sent since the last time, and how far that is. rows, leg: since `start`."""
        here = msgspec.structs.replace(
            self.start,
            rows=self.start.rows + rows,
            event=self.start.event if event is None else event,
            label=label or self.start.label,
            ended=ended,
            legs=[*self.start.legs, leg],
        )
        self._sender.commit(Record(self._topic, self._name.encode(), msgspec.json.encode(here), []))


def prepare(chosen: Settings) -> None:
    """Makes the topic of positions where it is not there: one partition, compacted."""
    admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
    if created(admin, [chosen.resume_topic], 1, {chosen.resume_topic: COMPACTED}):
        _await_leader(chosen, admin)


def _await_leader(chosen: Settings, admin: Any) -> None:
    """A topic that was just made is not known to all of a cluster at once."""
    deadline = time.monotonic() + CREATED_SECONDS
    while True:
        try:
            extent(admin, chosen.resume_topic, range(check_topics(admin, [chosen.resume_topic])[chosen.resume_topic]))
            return
        except Failure:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(PAUSE_SECONDS)


def read_back(chosen: Settings) -> Position | None:
    """The last committed position of a named replay, None where there is none.

    To be called once nobody of this name can commit any more. UsageError where a record is not ours.
    """
    admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
    partitions = range(check_topics(admin, [chosen.resume_topic])[chosen.resume_topic])
    reader = Reader(chosen.bootstrap_servers, chosen.kafka)
    found: Any = None
    try:
        for messages in reader.between(chosen.resume_topic, decided(admin, chosen.resume_topic, partitions)):
            for message in messages:
                found = message.value() if message.key() == chosen.resume.encode() else found
    finally:
        reader.close()
    try:
        return None if found is None else msgspec.json.decode(found, type=Position)
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"resume {chosen.resume!r}: topic {chosen.resume_topic!r} holds no position: {error}"
        ) from error


def begun(chosen: Settings, history: History, of: Mapping[str, str], found: Position | None) -> Position:
    """Where to begin; UsageError where the position is one of other data or settings."""
    if found is None:
        return Position(rows=0, of=dict(of), held=history.held())
    if other := sorted(name for name in {*of, *found.of} if of.get(name) != found.of.get(name)):
        raise UsageError(
            f"resume {chosen.resume!r} was begun with other {', '.join(other)}; "
            f"it goes on with the same alone, after {found.rows} rows"
        )
    history.hold(found.held)
    return found
