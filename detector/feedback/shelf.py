"""Rows that are kept under names until they are taken, saved in chunks of which only those that changed go anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.packing import Names, Numbers, pack_names, pack_numbers, unpack_names, unpack_numbers

SIZE = 1024
"""Rows of a chunk: what is written anew when one of its last rows comes."""

MOST_NAMES = 128 * 1024
"""Characters of a chunk's names: with its rows they stay well below what a topic takes as one record."""

CONTENT, LEFT = "content", "left"
"""The two records of a chunk: its rows, and which of its rows are left, a bit for each of SIZE places.

Rows come once and go one by one: what goes rewrites 128 bytes, and not the rows."""

Part = tuple[int, str]
"""A chunk's number, and CONTENT or LEFT."""

Rows = NDArray[Any]
"""Structured, (n,)."""


class _Content(msgspec.Struct, frozen=True, array_like=True):
    """Rows by their places in the chunk."""

    places: Numbers
    names: Names
    rows: bytes


@dataclass(slots=True)
class _Chunk:
    """rows: (SIZE,). names: of the places so far. left: bool (SIZE,), whether the row of a place is still there."""

    rows: Rows
    names: list[str] = field(default_factory=list)
    left: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(SIZE, np.bool_))
    characters: int = 0

    def content(self) -> bytes:
        """Its rows as a record."""
        at = np.flatnonzero(self.left)
        names = pack_names([self.names[place] for place in at.tolist()])
        return msgspec.msgpack.encode(_Content(pack_numbers(at.astype(np.int64)), names, self.rows[at].tobytes()))

    def left_bits(self) -> bytes:
        """Which rows are left as a record."""
        return np.packbits(self.left).tobytes()


class Shelf:
    """Rows under names, each name once, in the order in which they came.

    kind: the dtype of a row, packed and little-endian. A row's number says how many places came before it; a chunk is
    SIZE numbers, and closed early where names are long.
    """

    def __init__(self, kind: np.dtype[Any]) -> None:
        self.kind = kind
        self.next = 0
        self._numbers: dict[str, int] = {}
        self._chunks: dict[int, _Chunk] = {}
        self._grown: set[int] = set()
        self._shrunk: set[int] = set()
        self._saved: set[int] = set()

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def disjoint(self, names: Iterable[str]) -> bool:
        """Whether none of the names is here."""
        return self._numbers.keys().isdisjoint(names)

    def add(self, names: Sequence[str], rows: Rows) -> None:
        """Puts rows (n,) at the end under names that are not here yet."""
        start = 0
        while start < len(names):
            number, chunk = self._open()
            place = self.next % SIZE
            sizes = np.cumsum(list(map(len, names[start : start + SIZE - place])))
            end = start + max(int(np.searchsorted(sizes, MOST_NAMES - chunk.characters, "right")), 1)
            chunk.rows[place : place + end - start] = rows[start:end]
            chunk.left[place : place + end - start] = True
            chunk.names += names[start:end]
            chunk.characters += int(sizes[end - start - 1])
            self._numbers.update(zip(names[start:end], range(self.next, self.next + end - start), strict=True))
            self._grown.add(number)
            self.next += end - start
            start = end

    def _open(self) -> tuple[int, _Chunk]:
        """The chunk that takes the next row."""
        chunk = self._chunks.get(self.next // SIZE)
        if chunk and chunk.characters >= MOST_NAMES:
            if not chunk.left.any():
                del self._chunks[self.next // SIZE]
            self.next = (self.next // SIZE + 1) * SIZE
            chunk = None
        number = self.next // SIZE
        if chunk is None:
            chunk = self._chunks[number] = _Chunk(np.zeros(SIZE, self.kind), [""] * (self.next % SIZE))
        return number, chunk

    def get(self, name: str) -> Any:
        """The row of a name, as it stands; KeyError where there is none."""
        number = self._numbers[name]
        return self._chunks[number // SIZE].rows[number % SIZE]

    def set(self, name: str, column: str, value: Any) -> None:
        """Changes a row."""
        number = self._numbers[name]
        self._chunks[number // SIZE].rows[column][number % SIZE] = value
        self._grown.add(number // SIZE)

    def take(self, names: Sequence[str]) -> Rows:
        """The rows (k,) of names that are here, which go; in the names' order."""
        numbers = np.fromiter(map(self._numbers.pop, names), np.int64, len(names))
        found = np.empty(len(names), self.kind)
        of_chunk, places = numbers // SIZE, numbers % SIZE
        for number in np.unique(of_chunk).tolist():
            here, chunk = of_chunk == number, self._chunks[number]
            found[here] = chunk.rows[places[here]]
            chunk.left[places[here]] = False
            self._shrunk.add(number)
            if not chunk.left.any() and number < self.next // SIZE:
                del self._chunks[number]
        return found

    def oldest(self, count: int) -> list[str]:
        """The names of the first so many rows."""
        return list(islice(self._numbers, max(count, 0)))

    def below(self, column: str, limit: float) -> list[str]:
        """The names of the rows of which a column is less than a limit."""
        found: list[str] = []
        for chunk in self._chunks.values():
            at = np.flatnonzero(chunk.left & (chunk.rows[column] < limit))
            found += [chunk.names[place] for place in at.tolist()]
        return found

    def rows(self) -> Rows:
        """All rows (n,), in their order."""
        parts = [chunk.rows[chunk.left] for _, chunk in sorted(self._chunks.items())]
        return np.concatenate(parts) if parts else np.empty(0, self.kind)

    def changes(self) -> Iterator[tuple[Part, bytes | None]]:
        """What makes a copy of the shelf anew with all that was told before: records, None for one that goes."""
        for number in sorted(self._grown | self._shrunk):
            chunk = self._chunks.get(number)
            if chunk is None or not chunk.left.any():
                if number in self._saved:
                    yield from (((number, CONTENT), None), ((number, LEFT), None))
                continue
            if number in self._grown or number not in self._saved:
                yield (number, CONTENT), chunk.content()
            yield (number, LEFT), chunk.left_bits()

    def everything_goes(self) -> Iterator[tuple[Part, None]]:
        """What takes all records of the shelf away."""
        for number in sorted(self._saved):
            yield from (((number, CONTENT), None), ((number, LEFT), None))

    def saved(self) -> None:
        """The changes are kept."""
        for number in self._grown | self._shrunk:
            chunk = self._chunks.get(number)
            if chunk is not None and chunk.left.any():
                self._saved.add(number)
            else:
                self._saved.discard(number)
        self._grown, self._shrunk = set(), set()

    @classmethod
    def of(cls, kind: np.dtype[Any], parts: Mapping[Part, bytes], following: int) -> Shelf:
        """A shelf from its records; ValueError where they are none. following: its `next`."""
        shelf = cls(kind)
        shelf.next = following
        for number in sorted({number for number, _ in parts}):
            shelf._restore(number, parts)
        return shelf

    def _restore(self, number: int, parts: Mapping[Part, bytes]) -> None:
        bits = np.frombuffer(parts.get((number, LEFT), b""), np.uint8)
        if len(bits) * 8 != SIZE or (number, CONTENT) not in parts:
            raise ValueError(f"chunk {number} is not whole")
        try:
            content = msgspec.msgpack.decode(parts[number, CONTENT], type=_Content)
        except msgspec.MsgspecError as error:
            raise ValueError(f"chunk {number}: {error}") from error
        rows = np.frombuffer(content.rows, self.kind)
        places, names = unpack_numbers(content.places, len(rows)), unpack_names(content.names, len(rows))
        if len(rows) and not (places[0] >= 0 and places[-1] < SIZE and (np.diff(places) > 0).all()):
            raise ValueError(f"chunk {number}: rows out of place")
        chunk = _Chunk(np.zeros(SIZE, self.kind), [""] * (int(places[-1]) + 1 if len(rows) else 0))
        chunk.rows[places], chunk.left[places] = rows, True
        chunk.left &= np.unpackbits(bits).astype(np.bool_)
        for place, name in zip(places.tolist(), names, strict=True):
            chunk.names[place] = name or ""
            if chunk.left[place]:
                self._numbers[name or ""] = number * SIZE + place
        if self.next // SIZE == number:  # taken rows behind the last one that is left keep their places
            chunk.names += [""] * (self.next % SIZE - len(chunk.names))
        chunk.characters = sum(map(len, chunk.names))
        self._chunks[number] = chunk
        self._saved.add(number)
