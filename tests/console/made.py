"""Alerts and their company, made without a detector."""

from __future__ import annotations

import random
from dataclasses import dataclass

import msgspec
import numpy as np

from detector import drift, scores
from detector.alerts import Alert, ModelName, Reason, Source, alert_id, iso
from detector.console.alerts import Entry
from detector.drift import Levels
from detector.drift.changes import State
from detector.records import dead_letter
from detector.rows import Reject
from detector.scores import Scored

MODEL = ModelName("cards", "1", "7b13abc7" * 8)
START = 1_700_000_000_000
HOSTILE = (
    "<script>top.hacked=1</script><img src=x onerror=top.hacked=1>'\"`${top.hacked=1}"
    "{{constructor.constructor('top.hacked=1')()}}"
)


@dataclass(frozen=True)
class Record:
    """A consumed message."""

    _topic: str
    _partition: int
    _offset: int
    _value: bytes | None
    _key: bytes | None = None
    _time: int = START
    _headers: tuple[tuple[str, bytes], ...] = ()

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._time

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return list(self._headers) or None


def alert(
    offset: int, score: float = 5.0, key: str | None = "card-1", row_id: str | None = None, **other: object
) -> Alert:
    """An alert of the row at this offset; the threshold is 1."""
    source = Source("transactions", offset % 4, offset)
    made = Alert(
        id=alert_id(source),
        score=score,
        threshold=1.0,
        method="percentile:99.9",
        modified_z=score * 3,
        reasons=[Reason("V14", -9.2, -0.4, 0.41), Reason("V10", -6.0, 0.1, 0.22), Reason("Amount", None, 1.5, 0.1)],
        model=MODEL,
        source=source,
        key=key,
        row_id=row_id,
        event_time=iso(START + offset),
        detected_at=iso(START + offset),
    )
    return msgspec.structs.replace(made, **other)


def entry(offset: int, score: float = 5.0, written: int | None = None, **parts: object) -> Entry:
    """The same as it is held."""
    return Entry.of(alert(offset, score, **parts), START + offset if written is None else written)  # type: ignore[arg-type]


def entries(count: int, start: int = 0, seed: int = 0, **parts: object) -> list[Entry]:
    """Many that look like life."""
    drawn = random.Random(seed)
    found = []
    for offset in range(start, start + count):
        names = drawn.sample([f"V{i}" for i in range(1, 29)], 4)
        left, reasons = 1.0, []
        for name in names:
            share = left * drawn.uniform(0.2, 0.6)
            left -= share
            reasons.append(Reason(name, drawn.gauss(0, 6), drawn.gauss(0, 1), share))
        reasons.sort(key=lambda one: -one.share)
        made = alert(
            offset, 1 + drawn.expovariate(0.4), f"card-{drawn.randrange(400):04}", str(offset * 7), reasons=reasons
        )
        found.append(Entry.of(msgspec.structs.replace(made, **parts), START + offset * 350))
    return found


def scored(partition: int, start: int, values: np.ndarray) -> bytes:
    """A record of scores."""
    n = len(values)
    rows = np.arange(start, start + n, dtype=np.int64)
    found = Scored("transactions", partition, MODEL, rows, rows, values.astype(np.float32), np.ones(n), [None] * n)
    return scores.encode(found)


def drifted(name: str, state: State = "drifting", psi: float = 0.4, offset: int = 1) -> bytes:
    """A record of drift."""
    was: State = "stable" if state == "drifting" else "drifting"
    change = drift.Change(
        kind="feature", name=name, was=was, state=state, above=["psi"], levels=Levels(), psi=psi, ks=psi / 2,
        missing=0.02, reference_missing=0.0, rows=1024, partition=0, offset=offset,
    )  # fmt: skip
    return drift.encode(change, "transactions", MODEL)[1]


def letter(offset: int, reason: str, detail: str = "no JSON", value: bytes = b"{") -> Record:
    """A dead letter."""
    message = Record("transactions", offset % 4, offset, value)
    made = dead_letter(Reject(message, reason, detail), "transactions.dead-letters")
    headers = tuple((name, content) for name, content in made.headers)
    return Record("transactions.dead-letters", 0, offset, value, None, START + offset, headers)
