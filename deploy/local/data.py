"""What the model learns from and what is replayed: never the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deploy.local.settings import MOST_ROWS, Settings
from detector import table
from detector.errors import DataRefused


@dataclass(frozen=True, slots=True)
class Halves:
    """The files made of a person's own, and how many rows they hold. label, time: the columns found, None if none."""

    training: Path
    live: Path
    training_rows: int
    live_rows: int
    label: str | None
    time: str | None


def split(chosen: Settings, directory: Path) -> Halves:
    """The earlier half of a person's file by event time to train on, the later half to replay.

    Of a long file the rows next to the middle are taken. Without a time the file's order holds.
    """
    path = Path(chosen.data)
    frame = table.read(path)
    try:
        label, time = table.label_column(frame, chosen.label), table.time_column(frame, chosen.time)
        if label:
            table.anomalous(frame, label, chosen.normal or "0")
        order = _in_order(frame, time)
    except DataRefused as refused:
        raise DataRefused(f"data {path}: {refused}") from refused
    if len(frame) < 2:
        raise DataRefused(f"data {path}: 1 row, which cannot be both learnt from and replayed")
    middle = len(order) // 2
    earlier, later = order[:middle][-MOST_ROWS:], order[middle:][: chosen.rows or MOST_ROWS]
    halves = Halves(directory / "earlier.parquet", directory / "later.parquet", len(earlier), len(later), label, time)
    for rows, out in ((earlier, halves.training), (later, halves.live)):
        _storable(frame.iloc[rows]).to_parquet(out, index=False)
    return halves


def _in_order(frame: pd.DataFrame, time: str | None) -> NDArray[np.intp]:
    if time is None:
        return np.arange(len(frame))
    return np.argsort(table.event_milliseconds(frame, time), kind="stable")


def _storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of mixed kinds, which CSV allows and Parquet does not, as text."""
    mixed = {name: "string" for name in frame.columns if frame[name].dtype == object}
    return frame.astype(mixed)
