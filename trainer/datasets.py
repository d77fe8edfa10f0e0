"""Data by name or by file. The known sets here are simulated and need no download; `trainer.fetch` has the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from detector import table
from detector.errors import DataRefused
from trainer.fetch import SOURCES, opened
from trainer.memory import CELL, first_rows
from trainer.simulate import simulated_cards, simulated_ecg

LOOKED_AT = 200_000
"""The rows of a table too long for memory in which its columns' roles are found: its first."""

LEAST_CELL = 2
"""Bytes of a cell in a CSV, with the comma; in other formats whose rows are not counted a cell takes more."""

PACKED = 20
"""Times that a table becomes shorter by packing, at most; only text that repeats itself becomes shorter still."""


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A data set that can be named: what its columns mean, and how it comes to be."""

    about: str
    make: Callable[[int, int], pd.DataFrame]
    rows: int
    label: str
    normal: str
    time: str | None


KNOWN: dict[str, KnownSet] = {
    "simulated-cards": KnownSet(
        about="SIMULATED card transactions in the shape of the ULB/Worldline set: Time, V1..V28, Amount, Class",
        make=lambda rows, seed: simulated_cards(rows, seed),
        rows=60_000,
        label="Class",
        normal="0",
        time="Time",
    ),
    "simulated-ecg": KnownSet(
        about="SIMULATED heartbeats of 140 samples in the shape of ECG5000: c0..c139, label (1 = normal)",
        make=lambda rows, seed: simulated_ecg(rows, seed),
        rows=5_000,
        label="label",
        normal="1",
        time=None,
    ),
}


@dataclass(frozen=True, slots=True)
class Stream:
    """A file whose rows take more memory than the budget, in bytes."""

    path: Path
    budget: int


@dataclass(frozen=True, slots=True)
class Data:
    """A table and what is known of its columns; None where nothing is.

    stream: where all rows are, if there are too many for memory; `frame` then holds the first.
    """

    name: str
    frame: pd.DataFrame
    label: str | None = None
    normal: str | None = None
    time: str | None = None
    stream: Stream | None = None


def open_data(text: str, seed: int = 0, budget: int | None = None) -> Data:
    """A known set (made with `seed`), a fetched one, or a file; DataRefused where it is none of them.

    budget: bytes that a training on the rows of a file may take; of a longer file only the first rows are read.
    """
    known = KNOWN.get(text)
    if known:
        return Data(text, known.make(known.rows, seed), known.label, known.normal, known.time)
    if source := SOURCES.get(text):
        return Data(text, opened(text), source.label, source.normal, source.time)
    path = Path(text)
    if not path.exists():
        raise DataRefused(f"data {text!r} is neither a file nor a known set ({', '.join(KNOWN)})")
    if budget is not None and (columns := _too_long(path, budget)):
        first = next(table.chunks(path, rows=first_rows(budget, columns, LOOKED_AT)))
        return Data(path.name, first, stream=Stream(path, budget))
    return Data(path.name, table.read(path))


def _too_long(path: Path, budget: int) -> int:
    """The number of columns of a table that takes more than the budget, else 0; counts its rows where nothing tells."""
    shape = table.describe(path)
    columns = len(shape.columns)
    most = budget // (columns * CELL)
    rows = shape.rows
    if rows is None:
        content = shape.size * (PACKED if path.name.lower().endswith((".gz", ".xz", ".zst")) else 1)
        few = content <= most * columns * LEAST_CELL
        rows = 0 if few else _counted(path, shape.columns[0], most)
    return columns if rows > most else 0


def _counted(path: Path, column: str, most: int) -> int:
    """Rows of a table, as far as it takes to know whether there are more than that."""
    rows = 0
    for chunk in table.chunks(path, [column]):
        rows += len(chunk)
        if rows > most:
            break
    return rows
