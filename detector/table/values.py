"""Columns to arrays: features, truth, event time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector.errors import DataRefused
from detector.rows import to_float32
from detector.table.columns import require
from detector.table.files import first_line, is_number


def wide(frame: pd.DataFrame, features: Sequence[str]) -> NDArray[np.float64]:
    """The features as float64 (n, d), NaN where a value is missing; DataRefused names a column of text."""
    require(frame, features, "feature")
    for name in features:
        if not (pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name])):
            raise DataRefused(f"feature column {name!r} holds {frame[name].dtype}, numbers wanted")
    return np.ascontiguousarray(frame[list(features)].to_numpy(np.float64, na_value=np.nan))


def matrix(frame: pd.DataFrame, features: Sequence[str]) -> NDArray[np.float32]:
    """The features as the detector sees them: float32 (n, d)."""
    return to_float32(wide(frame, features))


def anomalous(frame: pd.DataFrame, label: str, normal: str) -> NDArray[np.bool_]:
    """Which rows' label is not the normal value, (n,); numbers compare as numbers, all else as text."""
    require(frame, [label], "label")
    values = frame[label]
    if values.isna().any():
        raise DataRefused(f"label column {label!r} has {int(values.isna().sum())} missing values")
    if pd.api.types.is_numeric_dtype(values) and is_number(normal):
        return np.asarray(values.to_numpy(np.float64) != float(normal))
    return np.asarray(values.astype(str).to_numpy() != normal)


def event_milliseconds(frame: pd.DataFrame, time: str) -> NDArray[np.int64]:
    """Event times (n,) in ms since 1970 UTC: numbers are seconds, all else is read as date and time."""
    require(frame, [time], "time")
    values = frame[time]
    if pd.api.types.is_numeric_dtype(values):
        seconds = values.to_numpy(np.float64, na_value=np.nan)
        if not np.isfinite(seconds).all():
            raise DataRefused(f"time column {time!r} has missing values")
        return np.round(seconds * 1000).astype(np.int64)
    try:
        stamps = _dates(values)
    except (ValueError, TypeError) as error:
        raise DataRefused(f"time column {time!r}: {first_line(error)}") from error
    if stamps.isna().any():
        raise DataRefused(f"time column {time!r} has missing values")
    return np.asarray(stamps.dt.as_unit("ms").astype("int64").to_numpy())


def _dates(values: pd.Series[Any]) -> pd.Series[Any]:
    """ISO 8601 in whatever precisions, else what the first value looks like."""
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601")
    except ValueError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that no format was found: what is no date is an error anyway
            return pd.to_datetime(values, utc=True)
