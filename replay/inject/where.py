"""Which rows of a history are broken: those of a stretch of it, and of these the ones that are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from replay.batch import Batch, Mark, Objects, Stage, objects, unmarked
from replay.inject.spec import Point, Spec
from replay.stages import share_of

FAR = 1 << 61
"""Later than any moment."""

Mask = NDArray[np.bool_]
Moments = NDArray[np.int64]


@dataclass(slots=True)
class Origin:
    """Where a history begins and ends, in ms since 1970 UTC; where it has no event times rows count for ms.

    first: known once its first row has come. last: None where no share of it is asked for.
    """

    last: int | None = None
    first: int | None = None

    def stage(self) -> Stage:
        """The stage before all others: rows get their moments, which never fall."""

        def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
            rows, latest = 0, -FAR
            for batch in batches:
                if not len(batch):
                    continue
                found = np.arange(rows, rows + len(batch)) if batch.event is None else batch.event
                moments = np.maximum(np.maximum.accumulate(found), latest)
                rows, latest = rows + len(batch), int(moments[-1])
                if self.first is None:
                    self.first = int(moments[0])
                yield replace(batch, moments=moments)

        return stage

    def length(self, point: Point) -> int:
        """How long a length is, ms."""
        if point.share is None:
            return point.after or 0
        assert self.last is not None
        assert self.first is not None
        return round(point.share * (self.last - self.first + 1))

    def moment(self, point: Point) -> int:
        """When a point is."""
        assert self.first is not None
        return self.first + self.length(point) if point.time is None else point.time


@dataclass(frozen=True, slots=True)
class Where:
    """The rows that one break is about. salt: what is drawn is drawn from it and the row's id."""

    spec: Spec
    origin: Origin
    salt: bytes

    @classmethod
    def of(cls, spec: Spec, origin: Origin, seed: int) -> Where:
        """Two breaks draw apart, and so do two seeds."""
        return cls(spec, origin, blake2b(f"{seed} {spec.text}".encode(), digest_size=32).digest())

    @property
    def bounds(self) -> tuple[int, int]:
        """The first moment of the stretch, and the first behind it."""
        told, origin = self.spec.stretch, self.origin
        assert origin.first is not None
        first = origin.first if told.first is None else origin.moment(told.first)
        if told.end:
            return first, max(origin.moment(told.end), first)
        return first, first + origin.length(told.length) if told.length else FAR

    def within(self, moments: Moments) -> Mask:
        """Which rows (n,) are in the stretch."""
        first, end = self.bounds
        return (moments >= first) & (moments < end)

    def drawn(self, batch: Batch, share: float, also: str = "") -> Mask:
        """Which rows (n,) of the stretch are of this share of them. also: draws anew for each text."""
        assert batch.moments is not None
        found = self.within(batch.moments)
        if share < 1:
            for place in np.flatnonzero(found).tolist():
                found[place] = self.chance(batch.row_ids[place], also) < share
        return found

    def chance(self, row_id: bytes, also: str = "") -> float:
        """A number from 0 to below 1 that a row always has."""
        return share_of(row_id + also.encode(), self.salt)

    def ramp(self, moments: Moments) -> NDArray[np.float64]:
        """How much of it there is at moments (n,), 0 to 1: it grows over the ramp, if there is one."""
        told = self.spec.stretch.ramp
        if told is None:
            return np.ones(len(moments))
        return np.asarray(np.clip((moments - self.bounds[0]) / max(self.origin.length(told), 1), 0, 1))


def marked(batch: Batch, which: Mask, spec: str, faults: Objects | None = None) -> Batch:
    """The same rows, those of a mask (n,) marked. faults: of each row (n,), see Mark."""
    if not which.any():
        return batch
    marks = unmarked(len(batch)) if batch.injected is None else batch.injected.copy()
    for place in np.flatnonzero(which).tolist():
        marks[place] = (*marks[place], Mark(spec, "" if faults is None else faults[place]))
    return replace(batch, injected=marks)


def unmark(batch: Batch, which: Mask, spec: str) -> Batch:
    """The same rows, those of a mask (n,) without the marks of one break."""
    if batch.injected is None or not which.any():
        return batch
    rows = zip(batch.injected.tolist(), which.tolist(), strict=True)
    left = [tuple(mark for mark in marks if mark.spec != spec) if out else marks for marks, out in rows]
    return replace(batch, injected=objects(left))
