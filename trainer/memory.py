"""How much memory rows may take, and how much of it each part of a training that streams them gets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CELL = 72
"""Bytes that a training in memory takes at its peak for each cell of the table: the table as it was read and as
float32, the training rows, and what preprocessing makes of them; measured with 30 columns and a million rows."""

QUARTER = 4
LEAST = 1 << 24
"""The smallest budget: below it, chunks of a few rows would take for ever."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def size(text: str) -> int:
    """Bytes of a size such as 800M or 1.5G, in powers of 1024; ValueError for anything else, or less than 16M."""
    found = _SIZE.fullmatch(text.strip())
    bytes_ = round(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if bytes_ < LEAST:
        raise ValueError(text)
    return bytes_


size.__name__ = "size of at least 16M, such as 2G"


def budget(root: Path = Path("/")) -> int:
    """A quarter of the memory that this process may have, in bytes.

    Of all of it, not of what is free at the moment: the same machine trains the same model whatever else it does.
    """
    return max(min(_limits(root), default=LEAST * QUARTER) // QUARTER, LEAST)


def _limits(root: Path) -> Iterator[int]:
    """Bytes: of the machine, of this process' control groups, and of its own limits; those that there are."""
    yield from _machine()
    for path in _groups(root):
        try:
            yield int((root / path).read_text("ascii"))
        except (OSError, ValueError):  # ValueError where the group says "max"
            continue
    yield from _own()


def _machine() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return


def _own() -> Iterator[int]:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for name in ("RLIMIT_AS", "RLIMIT_DATA"):
        limit, _ = resource.getrlimit(getattr(resource, name))
        if limit != resource.RLIM_INFINITY:
            yield limit


def _groups(root: Path) -> Iterator[str]:
    """Files that say what the control groups may have, of version 2 and of version 1; in a container its own is
    mounted where the topmost is elsewhere."""
    yield "sys/fs/cgroup/memory.max"
    yield "sys/fs/cgroup/memory/memory.limit_in_bytes"
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            yield f"sys/fs/cgroup{path}/memory.max"
        elif "memory" in names.split(","):
            yield f"sys/fs/cgroup/memory{path}/memory.limit_in_bytes"


@dataclass(frozen=True, slots=True)
class Shares:
    """Rows of what a streamed training holds at a time.

    chunk: read at once. pool: shuffled together. kept: of each of the sample, the held-out and the anomalous rows.
    times: event times that are kept to find the cut.
    """

    chunk: int
    pool: int
    kept: int
    times: int

    @classmethod
    def of(cls, budget: int, columns: int, most: Shares) -> Shares:
        """What a budget in bytes has room for, `most` at most. columns: those of the file or of the network's input.

        Each part gets an eighth. A row of a chunk is there as it was read and several times as float64, one of a pool
        up to three times as float32; of rows that are kept twice as many are held while they are chosen, and those
        chosen are preprocessed like a chunk.
        """
        part = budget // 8
        return cls(
            chunk=_between(256, part // (columns * 80), most.chunk),
            pool=_between(1_024, part // (columns * 12), most.pool),
            kept=_between(1_024, part // (columns * 64), most.kept),
            times=_between(1_024, part // 48, most.times),
        )


def first_rows(budget: int, columns: int, most: int) -> int:
    """Of a table, those that its columns' roles are found in."""
    return _between(1_024, budget // 8 // (columns * 24), most)


def _between(least: int, found: int, most: int) -> int:
    return min(max(least, found), most)
