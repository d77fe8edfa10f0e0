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
from trainer.datasets import Data, Stream
from trainer.memory import Shares
from trainer.rows import POOL, SAMPLE, Rows
from trainer.streaming import LongTable, Split, Survey, parted, refuse_infinite, truth

HELD_OUT = 0.2
"""The share of normal rows that stays out of the fit: for early stopping and for the threshold."""

LEAST_ROWS = 50
DAY_MS = 86_400_000

MOST = Shares(chunk=table.CHUNK_ROWS, pool=POOL, kept=min(SAMPLE, MOST_SCORES), times=1 << 27)
"""What a training that streams its rows holds at most, however much memory there is."""

LearnFrom = Literal["normal", "all"]


@dataclass(frozen=True, slots=True)
class History:
    """Rows to learn from, float32 (n, d), and those that judge what was learned, and what they are.

    held_out: normal rows. anomalous: rows labelled so and kept out of the fit, all but anomalous_learned of them; of
    more than MOST_SCORES, so many evenly spaced in time. held_out_amounts, anomalous_amounts: the column `amount` of
    both, float64; empty where it is None. normal_rows, anomalous_rows: of the whole table. days: what its event times
    span, None without a time. fingerprint: sha256 of features and labels. dropped: columns left out. Of a table that is
    streamed held_out and anomalous are drawn evenly from all such rows, as many as there is room for.
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
    data: Data,
    schema: Schema,
    seed: int,
    amount: str | None = None,
    learn_from: LearnFrom = "normal",
    found_label: bool = False,
) -> History:
    """The normal rows, split by time (the latest are held out), or by a seeded draw where there is no time.

    amount: the column of the value at stake; None for one found by name, "none" for none. learn_from: "all" splits
    the anomalous rows in the same way, and those before the cut are learned from with the normal ones. found_label:
    nobody said which column the label is; of data that are streamed a third value of it is refused.
    """
    if data.stream:
        return _streamed(data, data.stream, schema, seed, amount_column(data.frame, amount), learn_from, found_label)
    frame = data.frame
    rows = table.encoded(frame, schema)
    refuse_infinite(rows, schema.features, data.name)
    bad = truth(frame, schema)
    _refuse_few(int((~bad).sum()), schema, data.name)
    moments = table.event_milliseconds(frame, schema.time) if schema.time else None
    places = _Places.of(bad, moments, seed, learn_from)
    training = rows[places.learned]
    if np.all(np.nanmax(training, axis=0, initial=-np.inf) <= np.nanmin(training, axis=0, initial=np.inf)):
        raise _constant(data.name)
    amount = amount_column(frame, amount)
    values = amounts(frame, amount) if amount else None
    return History(
        schema=schema,
        training=Rows.of(training, seed),
        held_out=rows[places.held_out],
        anomalous=rows[places.anomalous],
        normal_rows=int((~bad).sum()),
        anomalous_rows=int(bad.sum()),
        fingerprint=hashlib.sha256(rows.tobytes() + bad.tobytes()).hexdigest(),
        dropped=_dropped(frame, schema, amount),
        days=None if moments is None else days(moments),
        anomalous_learned=int(bad[places.learned].sum()),
        amount=amount,
        held_out_amounts=_some(values, places.held_out),
        anomalous_amounts=_some(values, places.anomalous),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """Which rows of a table in memory are learned from, and which judge."""

    learned: NDArray[np.intp]
    held_out: NDArray[np.intp]
    anomalous: NDArray[np.intp]

    @classmethod
    def of(cls, bad: NDArray[np.bool_], moments: NDArray[np.int64] | None, seed: int, learn_from: LearnFrom) -> _Places:
        """bad: which rows (n,) are anomalous. moments: their event times; None without a time."""
        normal, anomalous = np.flatnonzero(~bad), np.flatnonzero(bad)
        learned, held_out = _parted(normal[_order(moments, normal, seed)])
        if learn_from == "all":
            more, anomalous = _parted(anomalous[_order(moments, anomalous, seed)])
            learned = np.sort(np.append(learned, more))
        return cls(learned, held_out, _kept(moments, anomalous))


def _parted(ordered: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first of them, and the share that is held out."""
    cut = round(len(ordered) * (1 - HELD_OUT))
    return ordered[:cut], ordered[cut:]


def _some(values: NDArray[np.float64] | None, places: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.empty(0) if values is None else values[places]


def _streamed(
    data: Data,
    stream: Stream,
    schema: Schema,
    seed: int,
    amount: str | None,
    learn_from: LearnFrom,
    found_label: bool,
) -> History:
    """The same of a table too long for memory: the columns mean what they do in its first rows, data.frame.

    Where there is room for all event times, training and held-out rows are those of a table in memory; without a time
    they are drawn by their numbers. Held-out and anomalous rows are thinned to what there is room for.
    """
    shares = Shares.of(stream.budget, max(_width(schema), data.frame.shape[1]), MOST)
    long = LongTable(data.name, stream.path, schema, amount, shares.chunk)
    survey = Survey.of(long, shares.times, found_label)
    _refuse_few(survey.normal, schema, data.name)
    cuts = [times.cut(1 - HELD_OUT) if schema.time else None for times in (survey.normal_times, survey.anomalous_times)]
    parts = parted(long, Split(1 - HELD_OUT, seed, cuts[0], cuts[1], learn_from == "all"), shares)
    if parts.constant:
        raise _constant(data.name)
    moments = survey.moments()
    gaps = {name for name, gap in zip(schema.features, survey.gaps, strict=True) if gap}
    optional = tuple(name for name in schema.features if name in gaps or name in schema.optional)
    return History(
        schema=replace(schema, optional=optional),
        training=parts.training,
        held_out=parts.held_out.rows,
        anomalous=parts.anomalous.rows,
        normal_rows=survey.normal,
        anomalous_rows=survey.anomalous,
        fingerprint=survey.fingerprint,
        dropped=_dropped(data.frame, schema, amount),
        days=None if moments is None else days(moments),
        anomalous_learned=parts.learned,
        amount=amount,
        held_out_amounts=parts.held_out.amounts if amount else np.empty(0),
        anomalous_amounts=parts.anomalous.amounts if amount else np.empty(0),
    )


def _width(schema: Schema) -> int:
    """Columns that a network sees."""
    return sum(len(schema.categories.get(name, ())) + 1 for name in schema.features)


def _refuse_few(normal: int, schema: Schema, name: str) -> None:
    if normal < LEAST_ROWS:
        why = f" (label {schema.label!r} = {schema.normal!r})" if schema.label else ""
        raise DataRefused(f"data {name}: {normal} normal rows{why}, at least {LEAST_ROWS} wanted")


def _dropped(frame: pd.DataFrame, schema: Schema, amount: str | None) -> tuple[str, ...]:
    used = {*schema.features, schema.label, schema.time, schema.key, amount}
    return tuple(name for name in frame.columns if name not in used)


def _constant(name: str) -> DataRefused:
    return DataRefused(f"data {name}: every feature is constant, there is nothing to learn")


def days(moments: NDArray[np.int64]) -> float | None:
    """What event times (n,), ms, span: last - first and one step of their resolution, so that seven dates are a week.

    None where they are all the same.
    """
    distinct = np.unique(moments)
    if len(distinct) < 2:
        return None
    return float(distinct[-1] - distinct[0] + np.diff(distinct).min()) / DAY_MS


def _order(moments: NDArray[np.int64] | None, rows: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    if moments is None:
        return np.random.default_rng(seed).permutation(len(rows))
    return np.argsort(moments[rows], kind="stable")


def _kept(moments: NDArray[np.int64] | None, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows in the order of time, or of the file, thinned evenly to MOST_SCORES."""
    ordered = rows if moments is None else rows[np.argsort(moments[rows], kind="stable")]
    return ordered[spaced(len(ordered), MOST_SCORES)]
