"""One row read alone, step by step: past what has no fixed shape, and to its time."""

from __future__ import annotations

from collections.abc import Callable

Skip = Callable[[bytes, int, int], int]
"""Takes the data, a place in it and the row's end; gives the place behind what it passed over, or raises Malformed."""


class Malformed(Exception):
    """A row is not what its schema says."""


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A whole number of 1 to 10 bytes, zigzag, and the place behind it."""
    wide = shift = 0
    while at < end and shift <= 63:
        byte = data[at]
        at += 1
        wide |= (byte & 0x7F) << shift
        if byte < 0x80 and wide < 1 << 64:
            return (wide >> 1) ^ -(wide & 1), at
        shift += 7
    raise Malformed


def skip_varint(data: bytes, at: int, end: int) -> int:
    """Passes over a whole number."""
    return varint(data, at, end)[1]


def skip_bytes(data: bytes, at: int, end: int) -> int:
    """Passes over text or bytes with their length before them."""
    length, at = varint(data, at, end)
    return within(at, length, end)


def within(at: int, length: int, end: int) -> int:
    """The place so many bytes on; Malformed where that is behind the row, or before the place."""
    if not 0 <= length <= end - at:
        raise Malformed
    return at + length


def skip_fixed(size: int) -> Skip:
    """Passes over so many bytes."""
    return lambda data, at, end: within(at, size, end)


def skip_all(steps: tuple[Skip, ...]) -> Skip:
    """Passes over several things, one after the other."""

    def skip(data: bytes, at: int, end: int) -> int:
        for step in steps:
            at = step(data, at, end)
        return at

    return skip


def skip_union(branches: tuple[Skip, ...]) -> Skip:
    """Passes over the number of a branch and what the branch says."""

    def skip(data: bytes, at: int, end: int) -> int:
        number, at = varint(data, at, end)
        if not 0 <= number < len(branches):
            raise Malformed
        return branches[number](data, at, end)

    return skip


def skip_blocks(item: Skip, size: int | None) -> Skip:
    """Passes over a list or map, which come in blocks until one is empty. size: of each item, None where it varies.

    Items that take no bytes cost nothing, however many a block says there are.
    """

    def skip(data: bytes, at: int, end: int) -> int:
        while True:
            count, at = varint(data, at, end)
            told = None
            if count < 0:  # the block's size in bytes follows
                told, at = varint(data, at, end)
                told += at
            elif count == 0:
                return at
            if size is None:
                for _ in range(abs(count)):
                    at = item(data, at, end)
            else:
                at = within(at, abs(count) * size, end)
            if told not in (None, at):
                raise Malformed

    return skip
