"""Columns to arrays: features, truth, event time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector.errors import DataRefused
from detector.rows import to_float32
from detector.schema import Schema
from detector.table.columns import kind, require
from detector.table.files import first_line, is_number

MOST_SECONDS = 2.0**53
"""What is more than this is no time in seconds: its milliseconds would leave int64."""


def wide(frame: pd.DataFrame, features: Sequence[str]) -> NDArray[np.float64]:
    """The features as float64 (n, d), NaN where a value is missing; DataRefused names a column of text."""
    require(frame, features, "feature")
    for name in features:
        if not pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_complex_dtype(frame[name]):
            raise DataRefused(f"feature column {name!r} holds {frame[name].dtype}, numbers wanted")
    return np.ascontiguousarray(frame[list(features)].to_numpy(np.float64, na_value=np.nan))


def matrix(frame: pd.DataFrame, features: Sequence[str]) -> NDArray[np.float32]:
    """The features as the detector sees them: float32 (n, d)."""
    return to_float32(wide(frame, features))


def encoded(frame: pd.DataFrame, schema: Schema) -> NDArray[np.float32]:
    """The features of a schema as the detector sees them: float32 (n, d), NaN where a value is missing.

    A text is its position among the schema's values, or their number if it is none of them; true is 1, false 0.
    DataRefused names the column, the row (by the frame's index) and the value that is of another kind than wanted.
    """
    require(frame, schema.features, "feature")
    found = np.empty((len(frame), len(schema.features)), np.float32)
    for place, name in enumerate(schema.features):
        found[:, place] = to_float32(_encoded(frame[name], name, schema))
    return found


def _encoded(values: pd.Series[Any], name: str, schema: Schema) -> NDArray[np.float64]:
    if values.isna().all():
        return np.full(len(values), np.nan)
    if name in schema.categories:
        return _positions(values, name, schema.categories[name])
    return _truths(values, name) if name in schema.booleans else _numbers(values, name)


def _positions(values: pd.Series[Any], name: str, known: Sequence[str]) -> NDArray[np.float64]:
    if kind(values) != "text":
        _refuse(values, name, str, "text")
    codes, texts = pd.factorize(values.astype(object))
    places = {text: float(place) for place, text in enumerate(known)}
    missing = np.nan  # the last, where factorize's code -1 points to
    return np.array([*(places.get(text, float(len(known))) for text in texts), missing])[codes]


def _truths(values: pd.Series[Any], name: str) -> NDArray[np.float64]:
    found = _numbers(values, name, "true or false")
    if (wrong := ~np.isin(found, (0, 1)) & ~np.isnan(found)).any():
        _refuse_row(values, name, int(np.argmax(wrong)), "true or false")
    return found


def _numbers(values: pd.Series[Any], name: str, wanted: str = "a number") -> NDArray[np.float64]:
    held = kind(values)
    if held not in ("number", "boolean"):
        _refuse(values, name, (int, float, np.number), wanted)
    if held == "boolean":
        values = values.astype("boolean")
    return values.to_numpy(np.float64, na_value=np.nan)


def _refuse(values: pd.Series[Any], name: str, fine: type | tuple[type, ...], wanted: str) -> NoReturn:
    wrong = (row for row, value in enumerate(values) if not isinstance(value, fine) and not _is_missing(value))
    _refuse_row(values, name, next(wrong, 0), wanted)


def _refuse_row(values: pd.Series[Any], name: str, row: int, wanted: str) -> NoReturn:
    value = values.iloc[row]
    told = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    raise DataRefused(f"feature column {name!r} holds {told:.60} in row {values.index[row]}, {wanted} wanted")


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value  # only NaN is not itself


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
        if (np.abs(seconds) >= MOST_SECONDS).any():
            raise DataRefused(f"time column {time!r} holds {np.abs(seconds).max():g}, seconds wanted")
        return np.round(seconds * 1000).astype(np.int64)
    try:
        stamps = dates(values)
    except (ValueError, TypeError) as error:
        raise DataRefused(f"time column {time!r}: {first_line(error)}") from error
    if stamps.isna().any():
        raise DataRefused(f"time column {time!r} has missing values")
    return np.asarray(stamps.dt.as_unit("ms").astype("int64").to_numpy())


def dates(values: pd.Series[Any]) -> pd.Series[Any]:
    """Dates as UTC: ISO 8601 in whatever precisions, else what the first value looks like; ValueError for no date."""
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601")
    except ValueError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that no format was found: what is no date is an error anyway
            return pd.to_datetime(values, utc=True)
