"""Rows that come more often than they happened: the same again, or frauds of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from replay.batch import Batch, Stage, joined, objects
from replay.inject.release import released
from replay.inject.where import Moments, Where, marked

COPY = b"+"
"""Stands between a row's id and the number of its copy."""

SPREAD_MS = 600_000
"""How far behind a row its copies come at most."""


def doubled(where: Where) -> Stage:
    """Rows come twice, the copy right behind the row."""

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            again = where.drawn(batch, where.spec.amount)
            if not again.any():
                yield batch
                continue
            twice = batch.take(np.repeat(np.arange(len(batch)), np.where(again, 2, 1)))
            copies = np.zeros(len(twice), bool)
            copies[np.cumsum(np.where(again, 2, 1))[again] - 1] = True
            yield marked(twice, copies, where.spec.text)

    return stage


def more_frauds(where: Where, time: str | None) -> Stage:
    """Copies of anomalous rows. time: the column of the event time, which is the copy's own where it is a number."""

    def due(batch: Batch) -> tuple[Batch, Moments]:
        assert batch.moments is not None
        assert batch.anomalous is not None
        frauds = np.flatnonzero(where.within(batch.moments) & batch.anomalous).tolist()
        copies = [_copies(batch.take(slice(place, place + 1)), where, time) for place in frauds]
        rows = joined([batch, *(one for one in copies if one is not None)])
        assert rows.moments is not None
        return rows, rows.moments

    return released(due)


def _copies(row: Batch, where: Where, time: str | None) -> Batch | None:
    """The copies of one row, as of their own time."""
    assert row.event is not None
    assert row.moments is not None
    name, moment = row.row_ids[0], int(row.moments[0])
    more = where.spec.amount - 1
    count = int(more) + (where.chance(name, "more") < more - int(more))
    if not count:
        return None
    names = [name + COPY + b"%d" % number for number in range(1, count + 1)]
    room = max(min(SPREAD_MS, where.bounds[1] - 1 - moment), 0)
    behind = np.array([round(where.chance(one) * room) for one in names], np.int64)
    rows = row.take(np.zeros(count, np.intp))
    assert rows.frame is not None
    found = replace(
        rows,
        row_ids=objects(names),
        event=row.event[0] + behind,
        moments=moment + behind,
        frame=_as_of(rows.frame, time, behind),
    )
    return marked(found, np.ones(count, bool), where.spec.text)


def _as_of(frame: pd.DataFrame, time: str | None, behind: Moments) -> pd.DataFrame:
    """Rows whose own time, in seconds, is so many ms later."""
    if time is None or time not in frame.columns or not pd.api.types.is_numeric_dtype(frame[time]):
        return frame
    moved: Any = frame[time].to_numpy() + behind / 1000
    whole = pd.api.types.is_integer_dtype(frame[time])
    return frame.assign(**{time: np.round(moved).astype(frame[time].dtype) if whole else moved})
