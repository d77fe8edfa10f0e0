"""From a table to what a model learns from: the schema, the normal rows, and the split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused
from detector.schema import Schema
from trainer.datasets import Data

HELD_OUT = 0.2
"""The share of normal rows that stays out of the fit: for early stopping and for the threshold."""

LEAST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Columns:
    """What a person said of the columns; None for what is to be found by name."""

    features: tuple[str, ...] | None = None
    label: str | None = None
    normal: str | None = None
    time: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Normal rows, float32 (n, d) and (m, d), and what they are.

    rows, anomalous: of the whole table. fingerprint: sha256 of its features and labels. dropped: columns left out.
    """

    schema: Schema
    training: NDArray[np.float32]
    held_out: NDArray[np.float32]
    rows: int
    anomalous: int
    fingerprint: str
    dropped: tuple[str, ...]


def find_schema(data: Data, said: Columns, wanted: tuple[str, ...] | None = None) -> Schema:
    """The columns' meanings: what was said, what the set is known for, what the names tell.

    wanted: a recipe's features. A feature whose history has gaps is optional. The time is no feature unless
    it is named as one.
    """
    frame = data.frame
    label = table.label_column(frame, said.label or data.label)
    time = table.time_column(frame, said.time or data.time)
    key = table.key_column(frame, said.key)
    features = said.features or wanted or tuple(table.numeric_columns(frame, (label, time, key)))
    if label in features:
        raise DataRefused(f"label column {label!r} cannot be a feature")
    if len(set(features)) != len(features):
        raise DataRefused(f"features name a column twice: {', '.join(features)}")
    if len(features) < 2:
        raise DataRefused(f"data {data.name}: {len(features)} numeric feature columns, at least 2 wanted")
    gaps = np.flatnonzero(np.isnan(table.wide(frame, features)).any(axis=0))
    optional = tuple(features[gap] for gap in gaps)
    return Schema(features, optional, key, time, label, said.normal or data.normal or "0")


def prepare(data: Data, schema: Schema, seed: int) -> History:
    """The normal rows, split by time (the latest are held out), or by a seeded shuffle where there is no time."""
    frame = data.frame
    rows = table.matrix(frame, schema.features)
    if np.isinf(rows).any():
        raise DataRefused(f"data {data.name}: a feature is infinite or beyond the range of float32")
    bad = _anomalous(frame, schema)
    normal = np.flatnonzero(~bad)
    if len(normal) < LEAST_ROWS:
        why = f" (label {schema.label!r} = {schema.normal!r})" if schema.label else ""
        raise DataRefused(f"data {data.name}: {len(normal)} normal rows{why}, at least {LEAST_ROWS} wanted")
    order = normal[_order(frame.iloc[normal], schema.time, seed)]
    cut = round(len(order) * (1 - HELD_OUT))
    training, held_out = rows[order[:cut]], rows[order[cut:]]
    _refuse_constant(training, data.name)
    return History(
        schema=schema,
        training=training,
        held_out=held_out,
        rows=len(frame),
        anomalous=int(bad.sum()),
        fingerprint=hashlib.sha256(rows.tobytes() + bad.tobytes()).hexdigest(),
        dropped=tuple(
            name for name in frame.columns if name not in {*schema.features, schema.label, schema.time, schema.key}
        ),
    )


def _anomalous(frame: pd.DataFrame, schema: Schema) -> NDArray[np.bool_]:
    if schema.label is None:
        return np.zeros(len(frame), bool)
    return table.anomalous(frame, schema.label, schema.normal)


def _order(frame: pd.DataFrame, time: str | None, seed: int) -> NDArray[np.intp]:
    if time is None:
        return np.random.default_rng(seed).permutation(len(frame))
    return np.argsort(table.event_milliseconds(frame, time), kind="stable")


def _refuse_constant(training: NDArray[np.float32], name: str) -> None:
    if np.all(np.nanmax(training, axis=0, initial=-np.inf) <= np.nanmin(training, axis=0, initial=np.inf)):
        raise DataRefused(f"data {name}: every feature is constant, there is nothing to learn")
