"""What the columns of a table are for: as asked, else found by their names and by what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused
from detector.schema import Schema
from detector.table.columns import Kind
from trainer.amounts import amount_column
from trainer.left_out import MOST_VALUES, numbers_as_text, why_left_out
from trainer.look import Look, Surroundings
from trainer.suspicion import suspicions

MOST_ASKED = 1_000
"""Distinct texts that a feature may have that was asked for by name."""

Role = Literal["label", "time", "key", "feature", "dropped"]


@dataclass(frozen=True, slots=True)
class Columns:
    """What a person said of the columns; None for what is to be found, "none" for no such column."""

    features: tuple[str, ...] | None = None
    label: str | None = None
    normal: str | None = None
    time: str | None = None
    key: str | None = None
    amount: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """What was found of one column.

    missing: rows without a value. distinct: different values, None where they cannot be compared (lists and the like).
    bounds: the least and the largest number. examples: the most frequent values, each with its rows, or 0 where they
    were not counted. why: why it was dropped, else empty.
    """

    name: str
    role: Role
    kind: Kind
    missing: int
    distinct: int | None
    bounds: tuple[float, float] | None
    examples: tuple[tuple[str, int], ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a table is. columns: in the file's order. features: in the order of the matrix.

    categories: the values of each text feature. normal: the label's value for a normal row. anomalous: rows with
    another; None without a label, or where it has gaps. span: first and last event time, ms since 1970 UTC; None
    where there is none, or it cannot be read. amount: the column of the value at stake. warnings: a sentence each.
    """

    rows: int
    columns: tuple[Column, ...]
    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    label: str | None
    normal: str | None
    anomalous: int | None
    time: str | None
    span: tuple[int, int] | None
    key: str | None
    amount: str | None
    warnings: tuple[str, ...]

    def column(self, name: str) -> Column:
        """What was found of it."""
        return next(one for one in self.columns if one.name == name)

    @property
    def dropped(self) -> dict[str, str]:
        """Columns that are left out, and why."""
        return {one.name: one.why for one in self.columns if one.role == "dropped"}

    def schema(self) -> Schema:
        """The shape of a row; ValueError where there is no feature."""
        of = {one.name: one for one in self.columns}
        return Schema(
            features=self.features,
            optional=tuple(name for name in self.features if of[name].missing),
            key=self.key,
            time=self.time,
            label=self.label,
            normal=self.normal or "0",
            categories=self.categories,
            booleans=tuple(name for name in self.features if of[name].kind == "boolean"),
        )


def find(frame: pd.DataFrame, said: Columns | None = None) -> Findings:
    """The role of every column; what was said wins over what is found.

    DataRefused where a column that was asked for is absent, or a feature that was asked for cannot be one.
    """
    said = said or Columns()
    twice = frame.columns.duplicated(keep=False)
    single = frame.loc[:, ~twice] if twice.any() else frame
    around = _surroundings(single, said)
    key = table.key_column(single, said.key, leave_out=(around.label, around.time))
    _refuse_features(single, said.features or (), around.label)
    looks = {str(name): Look.at(str(name), single[name]) for name in single.columns}
    columns = {name: _column(look, around, key, said.features) for name, look in looks.items()}
    features = said.features or tuple(name for name, one in columns.items() if one.role == "feature")
    return Findings(
        rows=len(frame),
        columns=tuple(columns.get(name) or _twice(name) for name in map(str, frame.columns)),
        features=features,
        categories={name: _values(looks[name]) for name in features if looks[name].kind == "text"},
        label=around.label,
        normal=around.normal,
        anomalous=None if around.truth is None else int(around.truth.sum()),
        time=around.time,
        span=_span(around.moments),
        key=key,
        amount=amount_column(single, said.amount),
        warnings=tuple(suspicions([looks[name] for name in features], list(looks.values()), around)),
    )


def _surroundings(frame: pd.DataFrame, said: Columns) -> Surroundings:
    label = table.label_column(frame, said.label)
    normal = None if label is None else said.normal or table.normal_value(frame[label])
    time = table.time_column(frame, said.time, leave_out=(label,))
    moments, refused = None, ""
    try:
        moments = None if time is None else table.event_milliseconds(frame, time)
    except DataRefused as error:
        refused = str(error)
    return Surroundings(label, normal, not said.normal, _truth(frame, label, normal), time, moments, refused)


def _refuse_features(frame: pd.DataFrame, asked: tuple[str, ...], label: str | None) -> None:
    table.require(frame, asked, "feature")
    if label in asked:
        raise DataRefused(f"label column {label!r} cannot be a feature")
    if len(set(asked)) != len(asked):
        raise DataRefused(f"features name a column twice: {', '.join(asked)}")
    for name in asked:
        if not frame[name].isna().all() and table.kind(frame[name]) not in ("number", "boolean", "text"):
            held = frame[name].dtype
            raise DataRefused(f"feature column {name!r} holds {held}, numbers, text or true and false wanted")


def _column(look: Look, around: Surroundings, key: str | None, asked: tuple[str, ...] | None) -> Column:
    role, why = _role(look, around, key, asked)
    return Column(look.name, role, look.kind, look.missing, look.distinct, look.bounds(), look.examples(), why)


def _role(look: Look, around: Surroundings, key: str | None, asked: tuple[str, ...] | None) -> tuple[Role, str]:
    if look.name == around.label:
        return "label", ""
    if asked and look.name in asked:
        return "feature", ""
    if look.name == around.time:
        return "time", ""
    if look.name == key:
        return "key", ""
    why = "not asked for" if asked else why_left_out(look, around)
    return ("dropped", why) if why else ("feature", "")


def _twice(name: str) -> Column:
    return Column(name, "dropped", "other", 0, None, None, (), "several columns have this name")


def _values(look: Look) -> tuple[str, ...]:
    found = look.categories()
    if len(found) > MOST_VALUES and (why := numbers_as_text(look)):
        raise DataRefused(f"feature column {look.name!r}: {why}")
    if not 0 < len(found) <= MOST_ASKED:
        raise DataRefused(
            f"feature column {look.name!r} has {len(found):,} different texts of at most 256 characters, "
            f"1 to {MOST_ASKED:,} wanted"
        )
    return found


def _span(moments: NDArray[np.int64] | None) -> tuple[int, int] | None:
    return None if moments is None or not len(moments) else (int(moments.min()), int(moments.max()))


def _truth(frame: pd.DataFrame, label: str | None, normal: str | None) -> NDArray[np.bool_] | None:
    if label is None or normal is None or frame[label].isna().any():
        return None
    return table.anomalous(frame, label, normal)
