"""The steps by which rows of one schema are read, each for all rows at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detector.rows.avro.cursors import Cursors
from detector.rows.avro.single import Malformed, Skip
from detector.rows.refusals import Refusal


class Step(Protocol):
    """Reads something of each row, at least one, and moves the cursors behind it."""

    def __call__(self, here: Cursors) -> None: ...


@dataclass(frozen=True, slots=True)
class All:
    """Several steps, one after the other."""

    steps: tuple[Step, ...]

    def __call__(self, here: Cursors) -> None:
        for step in self.steps:
            step(here)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Passes over so many bytes."""

    size: int

    def __call__(self, here: Cursors) -> None:
        here.advance(self.size)


class Varint:
    """Passes over a whole number."""

    def __call__(self, here: Cursors) -> None:
        here.varint()


class Bytes:
    """Passes over text or bytes with their length before them; what they say is not looked at."""

    def __call__(self, here: Cursors) -> None:
        here.advance(here.lengths())


@dataclass(frozen=True, slots=True)
class RowByRow:
    """Passes over what has no fixed shape, such as a list: as many steps as the row has items."""

    skip: Skip

    def __call__(self, here: Cursors) -> None:
        data, ends = here.reading.data, here.reading.ends[here.rows].tolist()
        broken = np.zeros(len(here), np.bool_)
        for row, (at, end) in enumerate(zip(here.at.tolist(), ends, strict=True)):
            try:
                here.at[row] = self.skip(data, at, end)
            except (Malformed, RecursionError):
                broken[row] = True
        here.refuse(broken)


@dataclass(frozen=True, slots=True)
class Union:
    """The number of a branch, and what that branch says."""

    branches: tuple[Step, ...]

    def __call__(self, here: Cursors) -> None:
        first = here.byte()
        same, odd = divmod(int(first[0]), 2)
        if same < len(self.branches) and not odd and first[0] < 0x80 and (first == first[0]).all():
            here.advance(1)
            self.branches[same](here)
            return
        branch = here.varint()
        here.refuse((branch < 0) | (branch >= len(self.branches)))
        for number, step in enumerate(self.branches):
            if len(chosen := np.flatnonzero(branch == number)):
                there = here.part(chosen)
                step(there)
                here.at[chosen] = there.at


@dataclass(frozen=True, slots=True)
class Wrong:
    """A feature that cannot be read here, whatever the row says."""

    place: int
    why: Refusal

    def __call__(self, here: Cursors) -> None:
        here.fault(self.place, self.why)


@dataclass(frozen=True, slots=True)
class Real:
    """A float or double. optional: the feature may be missing, which NaN stands for, so one that was sent is not."""

    place: int
    double: bool
    optional: bool

    def __call__(self, here: Cursors) -> None:
        reading = here.reading
        numbers = (reading.doubles if self.double else reading.floats)[here.at]
        here.advance(8 if self.double else 4)
        if self.optional and (sent := np.isnan(numbers)).any():
            numbers[sent] = np.inf  # not finite either, and never taken for a gap
        here.put(self.place, numbers)


@dataclass(frozen=True, slots=True)
class Whole:
    """An int or long."""

    place: int

    def __call__(self, here: Cursors) -> None:
        here.put(self.place, here.varint())


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean: one byte, 0 or 1."""

    place: int

    def __call__(self, here: Cursors) -> None:
        byte = here.byte()
        here.advance(1)
        here.refuse(byte > 1)
        here.put(self.place, byte)


@dataclass(frozen=True, slots=True)
class Decimal:
    """Bytes that are a whole number, big-endian two's complement, over a power of ten.

    size: how many bytes; None where their length stands before them.
    """

    place: int
    power: int
    size: int | None = None

    def __call__(self, here: Cursors) -> None:
        data, ends = here.reading.data, here.reading.ends[here.rows]
        lengths = here.lengths() if self.size is None else np.minimum(self.size, np.maximum(ends - here.at, 0))
        starts = here.at.tolist()
        here.advance(lengths if self.size is None else self.size)
        texts = (data[at : at + length] for at, length in zip(starts, lengths.tolist(), strict=True))
        here.put(
            self.place, np.array([_quotient(int.from_bytes(text, "big", signed=True), self.power) for text in texts])
        )


def _quotient(whole: int, power: int) -> float:
    try:
        return whole / power  # rounded once, however many digits there are
    except OverflowError:
        return np.inf


@dataclass(frozen=True, slots=True)
class Text:
    """A string. positions: of the texts that are values, as UTF-8; all others are `other`."""

    place: int
    positions: Mapping[bytes, float]
    other: float

    def __call__(self, here: Cursors) -> None:
        lengths = here.lengths()
        starts = here.at.tolist()
        here.advance(lengths)
        data, get, other = here.reading.data, self.positions.get, self.other
        texts = [data[at : at + length] for at, length in zip(starts, lengths.tolist(), strict=True)]
        numbers = np.array([get(text, other) for text in texts])
        wrong = np.zeros(len(here), np.bool_)
        wrong[[row for row in np.flatnonzero(numbers == other).tolist() if not _is_utf8(texts[row])]] = True
        here.refuse(wrong)
        here.put(self.place, numbers)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """An enum. numbers: float64 (k,), what the matrix holds for each of its symbols."""

    place: int
    numbers: NDArray[np.float64]

    def __call__(self, here: Cursors) -> None:
        symbol = here.varint()
        wrong = (symbol < 0) | (symbol >= len(self.numbers))
        here.refuse(wrong)
        symbol[wrong] = 0
        here.put(self.place, self.numbers[symbol])
