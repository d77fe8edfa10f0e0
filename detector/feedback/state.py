"""What is counted and what waits, as records of a compacted topic: written with the offsets, read back at the start.

Each record's key is a JSON array that begins with the group. `[group, "head"]` has the counts and the positions;
`[group, shelf, chunk, part]` a part of a chunk of a shelf. A transaction writes the head and the chunks that changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from detector.alerts import ModelName
from detector.errors import DataRefused
from detector.feedback.join import WAITING_LABEL, WAITING_ROW, Bounds, Counts, Join, Model
from detector.feedback.measures import LABELLED
from detector.feedback.shelf import Part, Shelf

VERSION = 1
HEAD, ROWS, LABELS, WINDOW = "head", "rows", "labels", "window"

Positions = dict[str, dict[int, int]]
"""By topic and partition, the offset of the next message."""

Kept = tuple[bytes, bytes | None]
"""A record's key and value, None for one that goes."""


class _Shelved(msgspec.Struct, frozen=True):
    """A shelf's next number, and how many rows it holds."""

    next: int
    rows: int


class _Model(msgspec.Struct, frozen=True):
    """A model. caught, missed: millionths as text: JSON's numbers end where many programs' do."""

    number: int
    name: ModelName
    window: _Shelved
    totals: list[int]
    caught: str
    missed: str


class _Head(msgspec.Struct, frozen=True):
    """All but the rows. expired: with a space between side and reason."""

    version: int
    positions: Positions
    clock: int | None
    money: str | None
    next_model: int
    rows: _Shelved
    labels: _Shelved
    models: list[_Model]
    scored: dict[str, int]
    said: dict[str, int]
    expired: dict[str, int]
    refused: dict[str, int]


@dataclass(frozen=True, slots=True)
class Restored:
    """A join as it was saved, and the positions of which it is."""

    join: Join
    positions: Positions


def changes(join: Join, positions: Positions, group: str) -> Iterator[Kept]:
    """The records that keep all that changed since `saved` was called last, the head at the end."""
    for number, model in join.dropped.items():
        yield from _keyed(group, _window(number), model.window.everything_goes())
    for name, shelf in _shelves(join).items():
        yield from _keyed(group, name, shelf.changes())
    yield _key(group, HEAD), msgspec.json.encode(_head(join, positions))


def saved(join: Join) -> None:
    """The changes are kept."""
    join.dropped.clear()
    for shelf in _shelves(join).values():
        shelf.saved()


def _shelves(join: Join) -> dict[str, Shelf]:
    windows = {_window(number): model.window for number, model in join.models.items()}
    return {ROWS: join.rows, LABELS: join.labels, **windows}


def _window(number: int) -> str:
    return f"{WINDOW}-{number}"


def _keyed(group: str, shelf: str, parts: Iterable[tuple[Part, bytes | None]]) -> Iterator[Kept]:
    return ((_key(group, shelf, *part), value) for part, value in parts)


def _key(*parts: str | int) -> bytes:
    return msgspec.json.encode(parts)


def _head(join: Join, positions: Positions) -> _Head:
    counts = join.counts
    return _Head(
        version=VERSION,
        positions=positions,
        clock=join.clock,
        money=join.money,
        next_model=join.next_model,
        rows=_shelved(join.rows),
        labels=_shelved(join.labels),
        models=[
            _Model(n, m.name, _shelved(m.window), m.totals, str(m.caught), str(m.missed))
            for n, m in join.models.items()
        ],
        scored=dict(counts.scored),
        said=dict(counts.said),
        expired={" ".join(key): count for key, count in counts.expired.items()},
        refused=dict(counts.refused),
    )


def _shelved(shelf: Shelf) -> _Shelved:
    return _Shelved(shelf.next, len(shelf))


class Records:
    """The last record of each key of a group, from a topic read to its end."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._found: dict[tuple[Any, ...], bytes] = {}

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """The next record; what is another group's is passed over."""
        try:
            parts = msgspec.json.decode(key or b"")
        except msgspec.MsgspecError:
            return
        if not isinstance(parts, list) or parts[:1] != [self._group]:
            return
        name = tuple(parts[1:])
        if value is None:
            self._found.pop(name, None)
        else:
            self._found[name] = value

    def restored(self, bounds: Bounds, amount: str, topic: str) -> Restored | None:
        """What they keep, None where there is nothing; DataRefused where they are not whole, which names the topic."""
        if (HEAD,) not in self._found:
            return None
        try:
            head = msgspec.json.decode(self._found[(HEAD,)], type=_Head)
            if head.version != VERSION:
                raise ValueError(f"version {head.version}, {VERSION} wanted")
            return Restored(self._join(head, bounds, amount), head.positions)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            why = f"topic {topic!r}: what group {self._group!r} kept is not whole: {error}"
            raise DataRefused(f"{why}; another --feedback-group begins anew") from error

    def _join(self, head: _Head, bounds: Bounds, amount: str) -> Join:
        join = Join(bounds, amount)
        join.clock, join.money, join.next_model = head.clock, head.money, head.next_model
        join.rows = self._shelf(ROWS, WAITING_ROW, head.rows)
        join.labels = self._shelf(LABELS, WAITING_LABEL, head.labels)
        for one in head.models:
            window = self._shelf(_window(one.number), LABELLED, one.window)
            join.models[one.number] = Model(one.name, window, one.totals, int(one.caught), int(one.missed))
        expired: Counter[tuple[str, str]] = Counter()
        for key, count in head.expired.items():
            side, _, reason = key.partition(" ")
            expired[side, reason] = count
        join.counts = Counts(Counter(head.scored), Counter(head.said), expired, Counter(head.refused))
        return join

    def _shelf(self, name: str, kind: np.dtype[Any], told: _Shelved) -> Shelf:
        parts: Mapping[Part, bytes] = {
            (key[1], key[2]): value for key, value in self._found.items() if len(key) == 3 and key[0] == name
        }
        shelf = Shelf.of(kind, parts, told.next)
        if len(shelf) != told.rows:
            raise ValueError(f"{len(shelf)} rows of {name}, {told.rows} wanted")
        return shelf
