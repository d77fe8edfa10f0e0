"""What the columns of a table mean: found by name, or as asked."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from detector.errors import DataRefused

LABELS = ("Class", "class", "label", "Label", "is_fraud", "isFraud", "TX_FRAUD", "account_type", "anomaly", "target")
TIMES = ("Time", "time", "timestamp", "Timestamp", "event_time", "TX_DATETIME", "datetime", "date", "created_at")


def label_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column of the truth: the one asked for, else one with a known name, else none ("none" asks for none)."""
    return _column(frame, asked, LABELS, "label")


def time_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column of the event time, found in the same way."""
    return _column(frame, asked, TIMES, "time")


def key_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column of the entity, only where it is asked for."""
    return _column(frame, asked, (), "key")


def _column(frame: pd.DataFrame, asked: str | None, known: Sequence[str], what: str) -> str | None:
    if asked == "none":
        return None
    if asked:
        require(frame, [asked], what)
        return asked
    return next((name for name in known if name in frame.columns), None)


def require(frame: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """DataRefused where a column is absent, naming it and those that are there."""
    if missing := [name for name in names if name not in frame.columns]:
        there = ", ".join(frame.columns[:40]) + (", ..." if frame.shape[1] > 40 else "")
        raise DataRefused(f"{what} column {', '.join(map(repr, missing))} is not in the data, which has {there}")


def numeric_columns(frame: pd.DataFrame, leave_out: Sequence[str | None]) -> list[str]:
    """Columns of numbers or booleans, in the file's order, but for those left out."""
    numeric = frame.select_dtypes(include=["number", "bool"]).columns
    return [str(name) for name in numeric if name not in leave_out]
