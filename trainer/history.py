"""From a table to what a model learns from: the schema, the normal rows, and the split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.calibration import MOST_SCORES, spaced
from detector.errors import DataRefused
from detector.schema import Schema
from trainer.amounts import amount_column, amounts
from trainer.columns import Columns as Columns
from trainer.columns import Findings, find
from trainer.datasets import Data
from trainer.rows import Rows

HELD_OUT = 0.2
"""The share of normal rows that stays out of the fit: for early stopping and for the threshold."""

LEAST_ROWS = 50
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class History:
    """Rows to learn from, float32 (n, d), and those that judge what was learned, and what they are.

    held_out: normal rows. anomalous: rows labelled so and kept out of the fit, all but anomalous_learned of them; of
    more than MOST_SCORES, so many evenly spaced in time. held_out_amounts, anomalous_amounts: the column `amount` of
    both, float64; empty where it is None. normal_rows, anomalous_rows: of the whole table. days: what its event times
    span, None without a time. fingerprint: sha256 of features and labels. dropped: columns left out.
    """

    schema: Schema
    training: Rows
    held_out: NDArray[np.float32]
    anomalous: NDArray[np.float32]
    normal_rows: int
    anomalous_rows: int
    fingerprint: str
    dropped: tuple[str, ...]
    days: float | None = None
    amount: str | None = None
    held_out_amounts: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    anomalous_amounts: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    anomalous_learned: int = 0

    @property
    def rows(self) -> int:
        """Of the whole table."""
        return self.normal_rows + self.anomalous_rows


def find_schema(data: Data, said: Columns, wanted: tuple[str, ...] | None = None) -> Schema:
    """The columns' meanings: what was said, what the set is known for, what `trainer.columns.find` finds.

    wanted: a recipe's features. A feature whose history has gaps is optional. The time is no feature unless
    it is named as one.
    """
    known = with_known(data, said, wanted)
    found = find(data.frame, known)
    if len(found.features) < 2:
        raise DataRefused(f"data {data.name}: {_too_few(found, known.features is None)}")
    try:
        return found.schema()
    except ValueError as error:
        raise DataRefused(f"data {data.name}: {error}") from error


def with_known(data: Data, said: Columns, wanted: tuple[str, ...] | None = None) -> Columns:
    """What was said of the columns, completed by what the set is known for and by a recipe's features."""
    return replace(
        said,
        features=said.features or wanted,
        label=said.label or data.label,
        normal=said.normal or (data.normal if said.label in (None, data.label) else None),
        time=said.time or data.time,
    )


def _too_few(found: Findings, guessed: bool) -> str:
    count = len(found.features)
    told = f"{count} feature column{'s' * (count != 1)}, at least 2 wanted"
    if not guessed or not found.dropped:
        return told
    left_out = "; ".join(f"{name}: {why}" for name, why in list(found.dropped.items())[:4])
    return f"{told} (left out: {left_out}{'; ...' * (len(found.dropped) > 4)})"


def prepare(
    data: Data, schema: Schema, seed: int, amount: str | None = None, learn_from: Literal["normal", "all"] = "normal"
) -> History:
    """The normal rows, split by time (the latest are held out), or by a seeded shuffle where there is no time.

    amount: the column of the value at stake; None for one found by name, "none" for none. learn_from: "all" splits
    the anomalous rows in the same way, and those before the cut are learned from with the normal ones.
    """
    frame = data.frame
    rows = table.encoded(frame, schema)
    if np.isinf(rows).any():
        raise DataRefused(f"data {data.name}: a feature is infinite or beyond the range of float32")
    bad = _anomalous(frame, schema)
    normal = np.flatnonzero(~bad)
    if len(normal) < LEAST_ROWS:
        why = f" (label {schema.label!r} = {schema.normal!r})" if schema.label else ""
        raise DataRefused(f"data {data.name}: {len(normal)} normal rows{why}, at least {LEAST_ROWS} wanted")
    moments = table.event_milliseconds(frame, schema.time) if schema.time else None
    order = normal[_order(moments, normal, seed)]
    cut = round(len(order) * (1 - HELD_OUT))
    learned, held_out, anomalous = order[:cut], order[cut:], np.flatnonzero(bad)
    if learn_from == "all":
        anomalous = anomalous[_order(moments, anomalous, seed)]
        some = round(len(anomalous) * (1 - HELD_OUT))
        learned, anomalous = np.sort(np.append(learned, anomalous[:some])), anomalous[some:]
    training = rows[learned]
    _refuse_constant(training, data.name)
    anomalous = _kept(moments, anomalous)
    amount = amount_column(frame, amount)
    values = amounts(frame, amount) if amount else np.empty(0)
    used = {*schema.features, schema.label, schema.time, schema.key, amount}
    return History(
        schema=schema,
        training=Rows.of(training, seed),
        held_out=rows[held_out],
        anomalous=rows[anomalous],
        normal_rows=len(normal),
        anomalous_rows=int(bad.sum()),
        fingerprint=hashlib.sha256(rows.tobytes() + bad.tobytes()).hexdigest(),
        dropped=tuple(name for name in frame.columns if name not in used),
        days=None if moments is None else days(moments),
        anomalous_learned=int(bad[learned].sum()),
        amount=amount,
        held_out_amounts=values[held_out] if amount else values,
        anomalous_amounts=values[anomalous] if amount else values,
    )


def days(moments: NDArray[np.int64]) -> float | None:
    """What event times (n,), ms, span: last - first and one step of their resolution, so that seven dates are a week.

    None where they are all the same.
    """
    distinct = np.unique(moments)
    if len(distinct) < 2:
        return None
    return float(distinct[-1] - distinct[0] + np.diff(distinct).min()) / DAY_MS


def _anomalous(frame: pd.DataFrame, schema: Schema) -> NDArray[np.bool_]:
    if schema.label is None:
        return np.zeros(len(frame), bool)
    return table.anomalous(frame, schema.label, schema.normal)


def _order(moments: NDArray[np.int64] | None, rows: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    if moments is None:
        return np.random.default_rng(seed).permutation(len(rows))
    return np.argsort(moments[rows], kind="stable")


def _kept(moments: NDArray[np.int64] | None, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows in the order of time, or of the file, thinned evenly to MOST_SCORES."""
    ordered = rows if moments is None else rows[np.argsort(moments[rows], kind="stable")]
    return ordered[spaced(len(ordered), MOST_SCORES)]


def _refuse_constant(training: NDArray[np.float32], name: str) -> None:
    if np.all(np.nanmax(training, axis=0, initial=-np.inf) <= np.nanmin(training, axis=0, initial=np.inf)):
        raise DataRefused(f"data {name}: every feature is constant, there is nothing to learn")
