"""What the columns of a table hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from detector.errors import DataRefused

Kind = Literal["number", "boolean", "text", "time", "other"]

_KINDS: dict[str, Kind] = {
    "string": "text",
    "boolean": "boolean",
    "datetime": "time",
    "datetime64": "time",
    "date": "time",
}
"""Of what pandas finds in a column of objects. Numbers in one are mixed with something, or no plain numbers."""


def kind(values: pd.Series[Any]) -> Kind:
    """What a column holds, its gaps aside; "other" for what is none of these, a mixture, or nothing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    if pd.api.types.is_numeric_dtype(values):
        return "other" if pd.api.types.is_complex_dtype(values) else "number"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "time"
    return _KINDS.get(pd.api.types.infer_dtype(values, skipna=True), "other")


def require(frame: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """DataRefused where a column is absent, naming it and those that are there."""
    if missing := [name for name in names if name not in frame.columns]:
        there = ", ".join(frame.columns[:40]) + (", ..." if frame.shape[1] > 40 else "")
        raise DataRefused(f"{what} column {', '.join(map(repr, missing))} is not in the data, which has {there}")


def numeric_columns(frame: pd.DataFrame, leave_out: Sequence[str | None]) -> list[str]:
    """Columns of numbers or booleans, in the file's order, but for those left out."""
    numeric = frame.select_dtypes(include=["number", "bool"]).columns
    return [str(name) for name in numeric if name not in leave_out]
