"""What would be sent, for a person: the columns, the span, how long it takes, and the first rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from detector.alerts import iso
from detector.command import columns
from detector.errors import BrokerUnavailable, TopicMissing
from detector.kafka import check_topics, connect
from replay.batch import Batch
from replay.columns import Columns
from replay.encoding import encoded
from replay.history import History
from replay.inject.faults import spoiled
from replay.outbox import rows_of
from replay.partitions import partition_of
from replay.pipeline import encoder_of
from replay.settings import NONE, Settings
from replay.stages import limited

ROWS = 5
LONGEST = 2_000
"""Characters of a value that are shown."""


def text(history: History, batches: Iterator[Batch], chosen: Settings) -> str:
    """All of it. batches: the rows that are played, not encoded."""
    shown = list(limited(ROWS)(batches))
    first = shown[0] if shown else None
    lines = [f"{history.name}: {', '.join(_extent(history, chosen))}"]
    if history.columns and first is not None and first.frame is not None:
        lines += ["", columns(_roles(history.columns, first, chosen))]
    if first is None:
        return "\n".join([*lines, "", "no row would be sent"])
    partitions, told = _partitions(chosen)
    rows = (line for batch in shown for line in _rows(history, batch, chosen, partitions))
    return "\n".join([*lines, *told, "", *rows])


def _partitions(chosen: Settings) -> tuple[int, list[str]]:
    """How many the topic has, 0 where no broker is named or none tells, with what there is to say of it."""
    if not chosen.bootstrap_servers:
        return 0, []
    try:
        admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
        count = check_topics(admin, [chosen.topic])[chosen.topic]
    except (BrokerUnavailable, TopicMissing) as failure:
        return 0, ["", f"partitions unknown: {failure}"]
    return count, ["", f"topic {chosen.topic} has {count} partitions"]


def _extent(history: History, chosen: Settings) -> list[str]:
    """Rows, span and time as far as they are known; what is left out of them is not counted."""
    told = ["rows unknown" if history.rows is None else f"{history.rows:,} rows"]
    if history.span:
        told.append(f"{iso(history.span[0])} to {iso(history.span[1])}")
    seconds = _seconds(history, chosen)
    fewer = chosen.sample < 1 or chosen.between or chosen.skip or (chosen.limit and chosen.pace.by_event)
    if seconds is not None:
        told.append(f"{'at most ' if fewer else ''}{timedelta(seconds=round(seconds, 3))} at {chosen.speed}")
    elif not chosen.pace.paced:
        told.append("as fast as the broker takes them")
    return told + (["for ever"] if chosen.loop == 0 else [f"{chosen.loop} times"] if chosen.loop > 1 else [])


def _seconds(history: History, chosen: Settings) -> float | None:
    """How long one pass takes at this pace, None where it has none or nobody knows."""
    speed = chosen.pace
    if speed.by_event and history.span:
        return (history.span[1] - history.span[0]) / 1000 / speed.factor
    counts = [count for count in (history.rows, chosen.limit) if count]
    width = len(history.columns.features) if history.columns and chosen.as_signal else 1
    return min(counts) * width / speed.rate if speed.rate and counts else None


def _roles(found: Columns, batch: Batch, chosen: Settings) -> list[tuple[str, str, str]]:
    assert batch.frame is not None
    dtypes = {str(name): str(dtype) for name, dtype in batch.frame.dtypes.items()}
    told = {name: ["feature"] for name in found.features}
    for name, role in ((found.key, "key"), (found.time, "event time"), (found.label, _label(found, chosen))):
        if name:
            told.setdefault(name, []).append(role)
    return [("column", "type", "is"), *((name, dtypes.get(name, ""), ", ".join(is_)) for name, is_ in told.items())]


def _label(found: Columns, chosen: Settings) -> str:
    sent = "not sent" if chosen.labels_topic == NONE else f"sent to {chosen.labels_topic}"
    return f"label ({found.normal!r} is normal), {sent}"


def _rows(history: History, batch: Batch, chosen: Settings, partitions: int) -> Iterator[str]:
    """A line for where each row goes, and one for its value."""
    make = encoder_of(history, chosen)
    ready = next(spoiled(chosen.format, history.columns)(encoded(make)(iter([batch])))) if make else batch
    for place, record in enumerate(rows_of(ready, chosen.format, chosen.topic)):
        key = "none" if record.key is None else record.key.decode("utf-8", "replace")
        marks = " ".join(f"{name}={(value or b'').decode('utf-8', 'replace')}" for name, value in record.headers)
        when = "" if batch.event is None else f", event time {iso(int(batch.event[place]))}"
        told = batch.anomalous is not None and (batch.last is None or batch.last[place])
        label = f", label {int(batch.anomalous[place])}" if batch.anomalous is not None and told else ""
        broken = "" if batch.injected is None else "".join(f", {mark.spec}" for mark in batch.injected[place])
        found = partition_of(record.key, partitions, chosen.partitioner) if partitions else None
        where = record.topic if found is None else f"{record.topic}/{found}"
        yield f"to {where}: key {key}, headers {marks}{when}{label}{broken}".replace("\n", " ")
        yield f"  {_value(record.value, history, chosen)}"


def _value(value: bytes | None, history: History, chosen: Settings) -> str:
    if value is None:
        return "no value"
    if history.columns and chosen.format == "packed":
        kind = "<f8" if chosen.as_signal else "<f4"
        numbers = " ".join(f"{number:.9g}" for number in np.frombuffer(value, kind).tolist())
        return f"{len(value)} bytes: {numbers}"[:LONGEST]
    return ascii(value.decode("utf-8", "backslashreplace"))[1:-1][:LONGEST] if not _plain(value) else value.decode()


def _plain(value: bytes) -> bool:
    """Whether a terminal can show it as it is."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and len(text) <= LONGEST
