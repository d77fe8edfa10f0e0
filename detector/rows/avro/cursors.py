"""Cursors: a place in each row of a batch, read and moved for all rows at once.

All that is read moves a cursor forward and none moves one back, so a row that is too short is found once, at the end:
its cursor stands behind the row's own end. What it read on the way are its neighbours' bytes, and is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.rows.refusals import Refusal

PADDING = bytes(16)
"""What may be read behind the last row before it is found too short: a number's bytes."""

LONGEST = 63
"""How far the last 7 bits of a number of 64 bits are shifted."""


class Fault(NamedTuple):
    """rows: places (k,) of the rows of which the feature at `place` is not as it should be."""

    place: int
    rows: NDArray[np.intp]
    why: Refusal


class Reading:
    """A batch on its way from bytes to numbers.

    data: the rows one after the other. limit: behind all of them. ends: where each ends (n,). wide: float64 (d, n),
    NaN where nothing was found. broken: bool (n,), rows that are not what their schema says.
    """

    def __init__(self, values: Sequence[bytes], width: int) -> None:
        count = len(values)
        self.data = b"".join([*values, PADDING])
        self.ends = np.cumsum(np.fromiter(map(len, values), np.int64, count))
        self.limit = len(self.data) - len(PADDING) + 1
        self.wide = np.full((width, count), np.nan)
        self.broken = np.zeros(count, np.bool_)
        self.faults: list[Fault] = []
        self.bytes = np.frombuffer(self.data, np.uint8)
        self.floats = self._at_every_byte("<f4")
        self.doubles = self._at_every_byte("<f8")
        self.numbers = self._at_every_byte(">u4")

    def _at_every_byte(self, kind: str) -> NDArray[Any]:
        """A number of this kind that begins at each byte."""
        dtype = np.dtype(kind)
        return np.ndarray((len(self.data) - dtype.itemsize + 1,), dtype, self.data, 0, (1,))


class Cursors:
    """Where some rows are read. rows: their places in the batch, a slice for all. at: int64 (k,), bytes of the data."""

    def __init__(self, reading: Reading, rows: NDArray[np.intp] | slice, at: NDArray[np.int64]) -> None:
        self.reading, self.rows, self.at = reading, rows, at

    def __len__(self) -> int:
        return len(self.at)

    def part(self, chosen: NDArray[np.intp]) -> Cursors:
        """Cursors of their own for some of these rows."""
        rows = chosen if isinstance(self.rows, slice) else self.rows[chosen]
        return Cursors(self.reading, rows, self.at[chosen])

    def places(self) -> NDArray[np.intp]:
        """The rows' places (k,)."""
        return np.arange(len(self.reading.ends))[self.rows]

    def advance(self, size: int | NDArray[np.int64]) -> None:
        """Moves on by so many bytes, not beyond the limit."""
        self.at += size
        np.minimum(self.at, self.reading.limit, out=self.at)

    def byte(self) -> NDArray[np.uint8]:
        """The byte here, without moving on."""
        return self.reading.bytes[self.at]

    def varint(self) -> NDArray[np.int64]:
        """A whole number of 1 to 10 bytes, 7 bits each, zigzag: Avro's int and long."""
        wide = self.byte().astype(np.uint64)
        self.advance(1)
        if wide.max(initial=0) > 0x7F:
            self._continue(wide)
        return (wide >> np.uint64(1)).astype(np.int64) ^ -(wide & np.uint64(1)).astype(np.int64)

    def _continue(self, wide: NDArray[np.uint64]) -> None:
        """Adds the further bytes of numbers of which the first says that there are more."""
        more = np.flatnonzero(wide > 0x7F)
        wide &= np.uint64(0x7F)
        for shift in range(7, LONGEST + 1, 7):
            further = self.part(more)
            byte = further.byte()
            further.advance(1)
            self.at[more] = further.at
            wide[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
            if shift == LONGEST:
                further.refuse(byte > 1)  # more than 64 bits
            more = more[byte > 0x7F]
            if not len(more):
                return

    def lengths(self) -> NDArray[np.int64]:
        """The length of the text or bytes that follow: 0 where it is none, or leads out of the row."""
        found = self.varint()
        wrong = (found < 0) | (found > self.reading.ends[self.rows] - self.at)
        if wrong.any():
            self.refuse(wrong)
            found[wrong] = 0
        return found

    def refuse(self, wrong: NDArray[np.bool_]) -> None:
        """Notes that those of these rows (k,) are not what their schema says."""
        self.reading.broken[self.rows] |= wrong

    def put(self, place: int, numbers: NDArray[Any]) -> None:
        """The numbers (k,) of the feature at `place`."""
        with np.errstate(invalid="ignore"):  # numpy warns of a signalling NaN that becomes a quiet one
            self.reading.wide[place, self.rows] = numbers

    def fault(self, place: int, why: Refusal) -> None:
        """Notes why the feature at `place` is not as it should be in any of these rows."""
        self.reading.faults.append(Fault(place, self.places(), why))
