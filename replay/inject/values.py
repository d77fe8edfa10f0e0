"""Columns that are not what they were: features that drift, are scaled, or are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector.errors import DataRefused
from replay.batch import Batch, Stage
from replay.columns import Columns
from replay.inject.spec import ALL, Spec
from replay.inject.where import Mask, Where, marked

Change = Callable[[Batch, str, "pd.Series[Any]"], "pd.Series[Any]"]
"""A column of a batch as it becomes, of its name and values."""


def targets(frame: pd.DataFrame, columns: Columns, spec: Spec) -> list[str]:
    """The features that a break changes; DataRefused where one that is to be calculated with is no number.

    All of them are all but the time and the key; those with numbers, unless values are only left out.
    """
    left_out = spec.kind == "missing"
    if spec.features == (ALL,):
        names = [name for name in columns.features if name not in (columns.time, columns.key)]
        return [name for name in names if left_out or _is_number(frame[name])]
    for name in spec.features:
        if not left_out and not _is_number(frame[name]):
            raise DataRefused(f"inject {spec.text!r}: column {name!r} holds {frame[name].dtype}, numbers wanted")
    return list(spec.features)


def _is_number(values: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def drifting(where: Where, columns: Columns, deviations: Mapping[str, float]) -> Stage:
    """Features are shifted. deviations: the standard deviation of each, where the shift counts them."""
    spec = where.spec

    def shifted(batch: Batch, name: str, values: pd.Series[Any]) -> pd.Series[Any]:
        assert batch.moments is not None
        inside = where.within(batch.moments)
        shift = spec.amount * (deviations[name] if spec.deviations else 1.0)
        return values + np.where(inside, shift * where.ramp(batch.moments), 0.0)

    return _changed(where, columns, shifted)


def scaled(where: Where, columns: Columns) -> Stage:
    """Features are multiplied."""

    def multiplied(batch: Batch, name: str, values: pd.Series[Any]) -> pd.Series[Any]:
        assert batch.moments is not None
        return values * np.where(where.within(batch.moments), where.spec.amount, 1.0)

    return _changed(where, columns, multiplied)


def left_out(where: Where, columns: Columns) -> Stage:
    """Values are missing, of each feature for itself."""

    def without(batch: Batch, name: str, values: pd.Series[Any]) -> pd.Series[Any]:
        return values.mask(where.drawn(batch, where.spec.amount, name))

    return _changed(where, columns, without)


def _changed(where: Where, columns: Columns, change: Change) -> Stage:
    """The stage that changes columns, and marks the rows in which a value is another one."""

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        names: list[str] | None = None
        for batch in batches:
            assert batch.frame is not None
            names = targets(batch.frame, columns, where.spec) if names is None else names
            yield _with(batch, names, change, where.spec.text)

    return stage


def _with(batch: Batch, names: Sequence[str], change: Change, spec: str) -> Batch:
    assert batch.frame is not None
    frame, touched = batch.frame.copy(deep=False), np.zeros(len(batch), bool)
    for name in names:
        # Also where nothing is changed: whether 5 is written as 5.0 must not depend on the rows it is read with.
        before = _with_room(frame[name])
        after = change(batch, name, before)
        touched |= _differ(before, after)
        frame[name] = after
    return marked(replace(batch, frame=frame), touched, spec)


def _with_room(values: pd.Series[Any]) -> pd.Series[Any]:
    """A column that can hold fractions and gaps."""
    if pd.api.types.is_bool_dtype(values):
        return values.astype(object)
    return values.astype(np.float64) if pd.api.types.is_integer_dtype(values) else values


def _differ(before: pd.Series[Any], after: pd.Series[Any]) -> Mask:
    gone: NDArray[np.bool_] = after.isna().to_numpy() & before.notna().to_numpy()
    other = after.notna() & (before != after).fillna(False)
    return np.asarray(gone | other.to_numpy(bool))
