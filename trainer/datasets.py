"""Data by name or by file. The known sets here are simulated and need no download; `trainer.fetch` has the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from detector import table
from detector.errors import DataRefused
from trainer.fetch import SOURCES, opened
from trainer.simulate import simulated_cards, simulated_ecg


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
class Data:
    """A table and what is known of its columns; None where nothing is."""

    name: str
    frame: pd.DataFrame
    label: str | None = None
    normal: str | None = None
    time: str | None = None


def open_data(text: str, seed: int = 0) -> Data:
    """A known set (made with `seed`), a fetched one, or a file; DataRefused where it is none of them."""
    known = KNOWN.get(text)
    if known:
        return Data(text, known.make(known.rows, seed), known.label, known.normal, known.time)
    if source := SOURCES.get(text):
        return Data(text, opened(text), source.label, source.normal, source.time)
    path = Path(text)
    if not path.exists():
        raise DataRefused(f"data {text!r} is neither a file nor a known set ({', '.join(KNOWN)})")
    return Data(path.name, table.read(path))
