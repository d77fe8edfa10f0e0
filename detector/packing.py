"""Columns of a record, packed: whole numbers in as few bytes as their spread needs, and names, often numbers too."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

WIDTHS = (0, 1, 2, 4, 8)
"""Bytes that the difference to the least number may take; 0 where all numbers are equal."""

NAMELESS = 0xFFFF
"""Stands for the length of a name that is not there."""

MOST_DIGITS = 18
"""Of a name that is packed as a number: all of so many digits are below 2 ** 63."""

_POWERS = 10 ** np.arange(MOST_DIGITS, dtype=np.int64)


class Numbers(msgspec.Struct, frozen=True, array_like=True):
    """Whole numbers: each is `base` and an unsigned little-endian difference of `width` bytes."""

    base: int
    width: int
    data: bytes


class Names(msgspec.Struct, frozen=True, array_like=True):
    """Names: decimal numbers, or UTF-8 text behind uint16 lengths, NAMELESS for none; all empty where none has one."""

    numbers: Numbers | None
    lengths: bytes
    text: bytes


def pack_numbers(values: NDArray[np.int64]) -> Numbers:
    """Packs int64 (n,)."""
    if not len(values):
        return Numbers(0, 0, b"")
    base = int(values.min())
    apart = values.astype(np.uint64) - np.uint64(base & (1 << 64) - 1)  # modulo 2 ** 64, as the way back
    most = int(apart.max())
    width = next(width for width in WIDTHS if most < 1 << (8 * width))
    return Numbers(base, width, apart.astype(f"<u{width}").tobytes() if width else b"")


def unpack_numbers(packed: Numbers, count: int) -> NDArray[np.int64]:
    """The inverse, int64 (n,); ValueError where these are no `count` numbers."""
    if (
        packed.width not in WIDTHS
        or len(packed.data) != count * packed.width
        or not -(1 << 63) <= packed.base < 1 << 63
    ):
        raise ValueError(f"{len(packed.data)} bytes are no {count} numbers of {packed.width} bytes")
    if not packed.width:
        return np.full(count, packed.base, np.int64)
    apart = np.frombuffer(packed.data, f"<u{packed.width}").astype(np.uint64)
    return (apart + np.uint64(packed.base & (1 << 64) - 1)).astype(np.int64)


def pack_names(names: Sequence[str | None]) -> Names:
    """Packs names of less than 64 KiB each; ValueError where one is longer."""
    there = [name for name in names if name is not None]
    if not there:
        return Names(None, b"", b"")
    if len(there) == len(names) and (numbers := _decimal(there)) is not None:
        return Names(pack_numbers(numbers), b"", b"")
    texts = [None if name is None else name.encode() for name in names]
    lengths = [NAMELESS if text is None else len(text) for text in texts]
    longest = max(len(text) for text in texts if text is not None)
    if longest >= NAMELESS:
        raise ValueError(f"a name of {longest} bytes, less than {NAMELESS} wanted")
    return Names(None, np.array(lengths, "<u2").tobytes(), b"".join(text for text in texts if text is not None))


def unpack_names(packed: Names, count: int) -> list[str | None]:
    """The inverse; ValueError where these are no `count` names."""
    if packed.numbers is not None:
        return list(map(str, unpack_numbers(packed.numbers, count).tolist()))
    if not packed.lengths and not packed.text:
        return [None] * count
    if len(packed.lengths) != 2 * count:
        raise ValueError(f"{len(packed.lengths)} bytes are no {count} lengths")
    lengths = np.frombuffer(packed.lengths, "<u2").astype(np.int64)
    there = lengths != NAMELESS
    ends = np.cumsum(np.where(there, lengths, 0))
    if int(ends[-1]) != len(packed.text):
        raise ValueError(f"{len(packed.text)} bytes of names, {ends[-1]} wanted")
    starts = (ends - np.where(there, lengths, 0)).tolist()
    places = zip(there.tolist(), starts, ends.tolist(), strict=True)
    return [packed.text[start:end].decode() if is_there else None for is_there, start, end in places]


def _decimal(names: Sequence[str]) -> NDArray[np.int64] | None:
    """The numbers (n,) that names spell, None where a name is not just as a number is written."""
    joined, sizes = "".join(names), np.fromiter(map(len, names), np.int64, len(names))
    if not (joined.isascii() and joined.isdigit() and sizes.min() > 0 and sizes.max() <= MOST_DIGITS):
        return None
    digits = np.frombuffer(joined.encode(), np.uint8).astype(np.int64) - ord("0")
    ends = np.cumsum(sizes)
    starts = ends - sizes
    if ((digits[starts] == 0) & (sizes > 1)).any():
        return None
    powers = _POWERS[np.repeat(ends, sizes) - 1 - np.arange(len(digits))]
    return np.asarray(np.add.reduceat(digits * powers, starts), np.int64)
