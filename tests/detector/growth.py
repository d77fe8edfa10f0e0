"""How much a process grows while it converts a long file. Run in a process of its own: a peak is for life."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from detector import table

CHUNKS, ROWS, LETTERS = 80, 500, 2_000
WARM = 5
"""Chunks after which libraries have what they keep."""


def grown(source: str, out: str) -> tuple[int, int]:
    """Writes 80 MB of text in chunks of 1 MB and converts the file: how many chunks came, and the growth since the
    first few were written, in kB."""
    peaks: list[int] = []
    table.write(_watched(_long(), peaks), source)
    before = len(peaks)
    table.write(_watched(table.chunks(Path(source), rows=ROWS), peaks), out)
    return len(peaks) - before, _peak() - peaks[WARM]


def _long() -> Iterator[pd.DataFrame]:
    rng = np.random.default_rng(0)
    for _ in range(CHUNKS):
        letters = rng.integers(97, 123, (ROWS, LETTERS), np.uint8)
        yield pd.DataFrame({"a": np.arange(ROWS) / 7, "b": [row.tobytes().decode() for row in letters]})


def _watched(chunks: Iterable[pd.DataFrame], peaks: list[int]) -> Iterator[pd.DataFrame]:
    for chunk in chunks:
        peaks.append(_peak())
        yield chunk


def _peak() -> int:
    """The most memory that this process ever had, in kB on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
